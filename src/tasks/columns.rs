//! What is said of samples, as columns of a table.

use serde::Serialize;

use super::Values;
use crate::data::Table;
use crate::error::{Context as _, Result};

impl Values {
    /// Adds them to `table` as a column called `name`. Where a list has to be text, words stand with what their task puts between them,
    /// and all else is JSON.
    ///
    /// # Errors
    /// Another number of values than of rows, a column that is there already.
    pub fn add_to(self, table: Table, name: &str, as_text: bool) -> Result<Table> {
        match self {
            Self::Words(words) => with_texts(table, name, &words),
            Self::Numbers(numbers) => table.with_numbers(name, &numbers),
            Self::Figures(figures) => table.with_figures(name, &figures),
            Self::Lists(lists, between) if as_text => {
                let joined: Vec<String> = lists.iter().map(|list| list.join(&between)).collect();
                with_texts(table, name, &joined)
            }
            Self::NumberLists(lists) if as_text => with_json(table, name, &lists),
            Self::Entities(lists) if as_text => with_json(table, name, &lists),
            Self::Vectors(vectors) if as_text => with_json(table, name, &vectors),
            Self::Lists(lists, _) => table.with_lists(name, &lists),
            Self::NumberLists(lists) => table.with_number_lists(name, &lists),
            Self::Entities(lists) => table.with_entities(name, &lists),
            Self::Vectors(vectors) => table.with_vectors(name, &vectors),
        }
    }
}

fn with_texts(table: Table, name: &str, texts: &[String]) -> Result<Table> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    table.with_text(name, &texts)
}

fn with_json<T: Serialize>(table: Table, name: &str, rows: &[T]) -> Result<Table> {
    let rows = rows.iter().map(serde_json::to_string);
    let rows: Vec<String> = rows
        .collect::<Result<_, _>>()
        .or_stage(|| "lists are no JSON")?;
    with_texts(table, name, &rows)
}
