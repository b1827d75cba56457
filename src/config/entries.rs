//! The keys of a table: a map for a handful of entries, in a fraction of the memory that a tree of nodes takes.

use std::slice;
use std::vec;

use super::value::Value;
use crate::error::Span;

/// Key → where the key stands, and its value; in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries(Vec<Item>);

type Item = (String, (Span, Value));

impl Entries {
    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands at `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&(Span, Value)> {
        let place = self.place(key).ok()?;
        Some(&self.0[place].1)
    }

    /// Whether there is such a key.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.place(key).is_ok()
    }

    /// Puts `entry` at `key`, in place of what stood there.
    pub fn insert(&mut self, key: String, entry: (Span, Value)) {
        match self.place(&key) {
            Ok(place) => self.0[place].1 = entry,
            Err(place) => self.0.insert(place, (key, entry)),
        }
    }

    /// What stands at `key`, which becomes `new()` if there is nothing.
    pub fn get_or_insert_with(
        &mut self,
        key: &str,
        new: impl FnOnce() -> (Span, Value),
    ) -> &mut (Span, Value) {
        let place = self.place(key).unwrap_or_else(|place| {
            self.0.insert(place, (key.to_string(), new()));
            place
        });
        &mut self.0[place].1
    }

    /// What stands at `key`, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut (Span, Value)> {
        let place = self.place(key).ok()?;
        Some(&mut self.0[place].1)
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<(Span, Value)> {
        let place = self.place(key).ok()?;
        Some(self.0.remove(place).1)
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(key, _)| key)
    }

    /// What stands at the keys.
    pub fn values(&self) -> impl Iterator<Item = &(Span, Value)> {
        self.0.iter().map(|(_, entry)| entry)
    }

    /// Keys with what stands there.
    pub fn iter(&self) -> slice::Iter<'_, Item> {
        self.0.iter()
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        // Tables are read in order: the next key most often goes to the end.
        if self.0.last().is_none_or(|(last, _)| last.as_str() < key) {
            return Err(self.0.len());
        }
        self.0
            .binary_search_by(|(known, _)| known.as_str().cmp(key))
    }
}

impl IntoIterator for Entries {
    type Item = Item;
    type IntoIter = vec::IntoIter<Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'e> IntoIterator for &'e Entries {
    type Item = &'e Item;
    type IntoIter = slice::Iter<'e, Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl FromIterator<Item> for Entries {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        let mut entries = Self::default();
        for (key, entry) in items {
            entries.insert(key, entry);
        }
        entries.0.shrink_to_fit();
        entries
    }
}
