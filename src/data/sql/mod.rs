//! SQL over tables: polars' dialect, with the place of every error, and the same rows in the same order on every run.

mod depth;
mod engine;
mod order;
mod place;
mod syntax;

use std::collections::BTreeMap;
use std::ops::Range;

use polars::prelude::{IntoLazy, PolarsError};
use polars::sql::SQLContext;

use self::place::Identifier;
use super::table::Table;
use crate::error::{Error, Result, Span};

/// Where a range of bytes of a query stands in the file that holds it.
pub type Locate<'l> = dyn Fn(Range<usize>) -> Span + 'l;

/// A query that can be read: one `SELECT` over known tables.
#[derive(Debug)]
pub struct Query {
    text: String,
    /// The names in it, to find the place of what polars complains about.
    identifiers: Vec<Identifier>,
}

impl Query {
    /// Reads `text`, which may refer to `tables`.
    ///
    /// # Errors
    /// What is not SQL, more or other than one `SELECT`, tables that are not there, functions that polars does not
    /// have or that would read files or give other values on every run. All with their place.
    pub fn parse(text: &str, tables: &[&str], locate: &Locate<'_>) -> Result<Self> {
        let statement = syntax::parse(text, locate)?;
        let identifiers = syntax::check(text, &statement, tables, locate)?;
        Ok(Self {
            text: text.to_owned(),
            identifiers,
        })
    }

    /// Runs the query on `tables`.
    ///
    /// The order of rows is part of the result: filters and projections keep it, groups and distinct rows come in the
    /// order in which they first appear, joins go by the left table and then the right one, and `ORDER BY` keeps it
    /// among equals. Sums of floats are added up in that order.
    ///
    /// # Errors
    /// Whatever polars refuses: columns that are not there, types that do not fit, values that cannot be cast.
    pub fn run(&self, tables: &BTreeMap<String, Table>, locate: &Locate<'_>) -> Result<Table> {
        let mut context = SQLContext::new();
        for (name, table) in tables {
            context.register(name, table.frame.clone().lazy());
        }
        let frame = engine::collect(move || context.execute(&self.text))
            .map_err(|error| self.explain(&error, tables, locate))?;
        Ok(Table::new(frame))
    }

    /// polars' error with the place of the name that it is about.
    fn explain(
        &self,
        error: &PolarsError,
        tables: &BTreeMap<String, Table>,
        locate: &Locate<'_>,
    ) -> Error {
        let message = place::first_paragraph(&error.to_string());
        let found = place::quoted(&message).find_map(|name| {
            Some((
                name,
                self.identifiers.iter().find(|known| known.name == name)?,
            ))
        });
        let error = Error::stage(format!("polars refuses the query: {message}"));
        let Some((name, identifier)) = found else {
            return error.at(&locate(0..self.text.len()), "");
        };
        let columns: Vec<&str> = tables.values().flat_map(Table::columns).collect();
        let error = error.at(&locate(identifier.range.clone()), "");
        if columns.contains(&name) {
            error
        } else {
            error.did_you_mean(name, columns)
        }
    }
}

#[cfg(test)]
mod tests;
