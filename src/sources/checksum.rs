//! SHA-256 digests: how pipeline files pin the bytes of what they fetch.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest;

use crate::error::{Context, Error, Result};

/// The SHA-256 digest of a file: `sha256:` and 64 hexadecimal digits; the prefix may be left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of the file at `path`. `tick` is called for every piece read and may stop the reading.
    ///
    /// # Errors
    /// A file that cannot be read, and those of `tick`.
    pub fn of_file(path: &Path, tick: &dyn Fn() -> Result<()>) -> Result<Self> {
        let cannot = || format!("cannot read `{}`", path.display());
        let mut file = File::open(path).or_stage(cannot)?;
        let mut hasher = sha2::Sha256::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            tick()?;
            match file.read(&mut piece).or_stage(cannot)? {
                0 => return Ok(Self(hasher.finalize().into())),
                read => hasher.update(&piece[..read]),
            }
        }
    }

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl FromStr for Sha256 {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let refuse = |found: String| {
            Error::usage(format!("`{text}` is not a SHA-256 digest: {found}")).help(
                "write \"sha256:\" and the 64 hexadecimal digits that `sha256sum FILE` prints",
            )
        };
        if let Some(wrong) = hex.chars().find(|digit| !digit.is_ascii_hexdigit()) {
            return Err(refuse(format!("`{wrong}` is not a hexadecimal digit")));
        }
        if hex.len() != 64 {
            return Err(refuse(format!("it has {} digits instead of 64", hex.len())));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digit = |ascii: u8| char::from(ascii).to_digit(16).unwrap_or(0);
            *byte = u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).unwrap_or(0);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|error: Error| de::Error::custom(error.message()))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Sha256 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Sha256".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(sha256:)?[0-9a-fA-F]{64}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_with_and_without_prefix_and_written_with_it() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [
            empty.to_string(),
            format!("sha256:{empty}"),
            empty.to_uppercase(),
        ] {
            let read: Sha256 = text.parse().expect("a digest");
            assert_eq!(read, Sha256::of(b""));
            assert_eq!(read.to_string(), format!("sha256:{empty}"));
        }
    }

    #[test]
    fn what_is_not_a_digest_is_refused_with_the_reason() {
        let short = "sha256:abc".parse::<Sha256>().expect_err("too short");
        assert!(
            short.message().contains("3 digits instead of 64"),
            "{short}"
        );
        let wrong = format!("sha256:{}", "g".repeat(64))
            .parse::<Sha256>()
            .expect_err("no hex");
        assert!(
            wrong.message().contains("`g` is not a hexadecimal digit"),
            "{wrong}"
        );
        assert!("md5:1234".parse::<Sha256>().is_err());
    }
}
