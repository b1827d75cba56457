//! Names for content: BLAKE3 digests, and how several fields become one digest without ambiguity.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// A BLAKE3 digest: 32 bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first ten hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(10);
        hex
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash.into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        from_hex(text.as_bytes()).ok_or_else(|| {
            Error::usage(format!(
                "`{text}` is not a BLAKE3 digest, which has 64 hexadecimal digits"
            ))
        })
    }
}

/// Reads 64 hexadecimal digits by a table: a run with nothing to do reads tens of thousands of digests.
fn from_hex(text: &[u8]) -> Option<Digest> {
    const NONE: u8 = 0xff;
    const VALUES: [u8; 256] = {
        let mut values = [NONE; 256];
        let mut value = 0;
        while value < 16 {
            values[b"0123456789abcdef"[value as usize] as usize] = value;
            values[b"0123456789ABCDEF"[value as usize] as usize] = value;
            value += 1;
        }
        values
    };
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
    let value = |digit: u8| VALUES[usize::from(digit)];
    let valid = pairs.iter().flatten().all(|digit| value(*digit) != NONE);
    valid.then(|| Digest(pairs.map(|[high, low]| value(high) << 4 | value(low))))
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;
        impl Visitor<'_> for Hex {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hexadecimal digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Digest, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

/// Makes one digest of several fields.
///
/// Each field is preceded by its length (u64, little-endian), so that no two different lists of fields feed the
/// hash the same bytes.
pub(super) struct Fields(blake3::Hasher);

impl Fields {
    /// Starts with a field that says what is hashed and in which version.
    pub(super) fn new(tag: &str) -> Self {
        let mut fields = Self(blake3::Hasher::new());
        fields.push(tag.as_bytes());
        fields
    }

    /// Adds a field.
    pub(super) fn push(&mut self, field: &[u8]) {
        self.number(field.len() as u64);
        self.0.update(field);
    }

    /// Adds a number, which needs no length.
    pub(super) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    /// The digest of all fields.
    pub(super) fn digest(&self) -> Digest {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_text_and_json() {
        let digest = Digest::of(b"refire");
        assert_eq!(digest.to_string().parse::<Digest>().expect("hex"), digest);
        let json = serde_json::to_string(&digest).expect("a string");
        assert_eq!(json, format!("\"{digest}\""));
        assert_eq!(
            serde_json::from_str::<Digest>(&json).expect("hex in JSON"),
            digest
        );
        assert_eq!(digest.short(), digest.to_string()[..10]);
        let upper = digest.to_string().to_uppercase();
        assert_eq!(upper.parse::<Digest>().expect("hex"), digest);
    }

    #[test]
    fn what_is_no_digest_is_refused_by_name() {
        for text in ["", "12", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            let error = text.parse::<Digest>().expect_err("no digest");
            assert!(error.message().contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn moving_a_byte_between_fields_changes_the_digest() {
        let digest = |fields: &[&str]| {
            let mut all = Fields::new("test");
            for field in fields {
                all.push(field.as_bytes());
            }
            all.digest()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&["ab"]), digest(&["ab", ""]));
    }
}
