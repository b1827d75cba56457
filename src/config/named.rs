//! Things with names, a handful of them: a map in a fraction of the memory that a tree of nodes takes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::slice;
use std::vec;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Name → thing, in alphabetical order.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T>(Vec<(String, T)>);

impl<T> Named<T> {
    /// None yet, with room for `count`.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        let place = self.place(name).ok()?;
        Some(&self.0[place].1)
    }

    /// What is called `name`, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let place = self.place(name).ok()?;
        Some(&mut self.0[place].1)
    }

    /// What is called `name`, which becomes `new()` if there is nothing.
    pub fn get_or_insert_with(&mut self, name: &str, new: impl FnOnce() -> T) -> &mut T {
        let place = self.place(name).unwrap_or_else(|place| {
            self.0.insert(place, (name.to_string(), new()));
            place
        });
        &mut self.0[place].1
    }

    /// Whether something is called `name`.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Calls `thing` by `name`; gives what was called so before.
    pub fn insert(&mut self, name: String, thing: T) -> Option<T> {
        // Most often it stays the only one.
        if self.0.capacity() == 0 {
            self.0.reserve_exact(1);
        }
        match self.place(&name) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, thing)),
            Err(place) => {
                self.0.insert(place, (name, thing));
                None
            }
        }
    }

    /// Adds all of `others`, in the time of sorting them; false if two things have the same name.
    pub fn join(&mut self, others: impl Iterator<Item = Self>) -> bool {
        self.0.extend(others.flat_map(|named| named.0));
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.0.is_sorted_by(|(one, _), (other, _)| one < other)
    }

    /// Takes out what is called `name`.
    pub fn remove(&mut self, name: &str) -> Option<T> {
        let place = self.place(name).ok()?;
        Some(self.0.remove(place).1)
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The things.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, thing)| thing)
    }

    /// The things, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, thing)| thing)
    }

    /// Names and things.
    pub fn iter(&self) -> slice::Iter<'_, (String, T)> {
        self.0.iter()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        // Names come in order most often: the next one goes to the end.
        if self.0.last().is_none_or(|(last, _)| last.as_str() < name) {
            return Err(self.0.len());
        }
        self.0
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> PartialEq<BTreeMap<String, T>> for Named<T> {
    fn eq(&self, other: &BTreeMap<String, T>) -> bool {
        self.0.len() == other.len()
            && self
                .iter()
                .zip(other)
                .all(|(own, other)| (&own.0, &own.1) == other)
    }
}

impl<T> IntoIterator for Named<T> {
    type Item = (String, T);
    type IntoIter = vec::IntoIter<(String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'e, T> IntoIterator for &'e Named<T> {
    type Item = &'e (String, T);
    type IntoIter = slice::Iter<'e, (String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T> FromIterator<(String, T)> for Named<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(items: I) -> Self {
        let items = items.into_iter();
        let mut named = Self::with_capacity(items.size_hint().0);
        for (name, thing) in items {
            named.insert(name, thing);
        }
        named.0.shrink_to_fit();
        named
    }
}

impl<T: Clone> From<&BTreeMap<String, T>> for Named<T> {
    fn from(map: &BTreeMap<String, T>) -> Self {
        map.iter()
            .map(|(name, thing)| (name.clone(), thing.clone()))
            .collect()
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(name, thing)| (name, thing)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut named = Named::with_capacity(map.size_hint().unwrap_or(0));
                while let Some((name, thing)) = map.next_entry()? {
                    named.insert(name, thing);
                }
                named.0.shrink_to_fit();
                Ok(named)
            }
        }

        deserializer.deserialize_map(Read(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}
