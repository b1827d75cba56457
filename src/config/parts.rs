//! A table whose settings fall into parts, each a struct of its own that parses and checks itself.

use serde::de::DeserializeOwned;

use super::de::{fields_of, from_part};
use super::value::Table;
use crate::error::{Error, Result};

/// Reads the parts of a table, and refuses what is in none of them.
#[derive(Debug)]
pub struct Parts<'t> {
    table: &'t Table,
    known: Vec<&'static str>,
}

impl<'t> Parts<'t> {
    /// The parts of `table`; none is read yet.
    #[must_use]
    pub fn new(table: &'t Table) -> Self {
        Self {
            table,
            known: Vec::new(),
        }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &'t Table {
        self.table
    }

    /// Reads the part whose keys are the fields of `T`; the other keys are left to other parts.
    ///
    /// # Errors
    /// Missing keys, wrong types and whatever the struct refuses, with their place.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.known.extend(fields_of::<T>());
        from_part(self.table)
    }

    /// Refuses keys that no part has. `elsewhere` may have a better word for one: a key that belongs to another table of its kind.
    ///
    /// # Errors
    /// The first such key, with its place.
    pub fn finish(self, elsewhere: impl Fn(&str) -> Option<Error>) -> Result<()> {
        let known = |key: &str| self.known.contains(&key);
        let mut entries = self.table.entries.iter();
        let Some((key, (span, _))) = entries.find(|(key, _)| !known(key)) else {
            return Ok(());
        };
        let error = elsewhere(key).unwrap_or_else(|| {
            Error::usage(format!("unknown key `{key}`"))
                .did_you_mean(key, self.known.iter().copied())
                .note(format!("known keys: {}", self.known.join(", ")))
        });
        Err(error.or_at(span, ""))
    }
}
