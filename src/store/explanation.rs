//! What a key was made of, as records keep it: names and values in one text, because a run with nothing to do reads those of
//! thousands of records.

use std::fmt;

use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names and values, in order. In JSON a list of pairs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    text: String,
    /// Where in `text` each name and each value ends.
    ends: Vec<usize>,
}

impl Explanation {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let (pairs, _) = self.ends.as_chunks::<2>();
        let mut from = 0;
        pairs.iter().map(move |[middle, end]| {
            let pair = (&self.text[from..*middle], &self.text[*middle..*end]);
            from = *end;
            pair
        })
    }

    fn push(&mut self, part: &str) {
        self.text.push_str(part);
        self.ends.push(self.text.len());
    }
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Explanation {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut explanation = Self::default();
        for (name, value) in pairs {
            explanation.push(name.as_ref());
            explanation.push(value.as_ref());
        }
        explanation
    }
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Explanation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut explanation = Self {
            text: String::with_capacity(256),
            ends: Vec::with_capacity(16),
        };
        Pairs(&mut explanation).deserialize(deserializer)?;
        Ok(explanation)
    }
}

/// Takes in a list of pairs.
struct Pairs<'e>(&'e mut Explanation);
/// Takes in a name and a value.
struct Pair<'e>(&'e mut Explanation);
/// Takes in one of them.
struct Part<'e>(&'e mut Explanation);

impl<'de> DeserializeSeed<'de> for Pairs<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Pairs<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names with values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<(), A::Error> {
        while pairs.next_element_seed(Pair(self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_tuple(2, self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name and a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<(), A::Error> {
        for index in 0..2 {
            parts
                .next_element_seed(Part(self.0))?
                .ok_or_else(|| A::Error::invalid_length(index, &"a name and a value"))?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, part: &str) -> Result<(), E> {
        self.0.push(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_list_of_pairs(pairs: Vec<(String, String)>) {
            let explanation: Explanation = pairs.iter().map(|(name, value)| (name, value)).collect();
            let read: Vec<(&str, &str)> = explanation.iter().collect();
            prop_assert_eq!(&read, &pairs.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>());
            let json = serde_json::to_string(&explanation).expect("it can be written");
            prop_assert_eq!(&json, &serde_json::to_string(&pairs).expect("it can be written"));
            prop_assert_eq!(serde_json::from_str::<Explanation>(&json).expect("it can be read"), explanation);
        }
    }

    #[test]
    fn what_is_no_list_of_pairs_is_refused() {
        for json in [
            "{}",
            "[[]]",
            "[[\"a\"]]",
            "[[\"a\", \"b\", \"c\"]]",
            "[[\"a\", 1]]",
        ] {
            assert!(serde_json::from_str::<Explanation>(json).is_err(), "{json}");
        }
    }
}
