//! The formats that a data file can have.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The format of a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The format that a file called `name` has by its ending, in any case.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let ending = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "parquet" | "pq" => Some(Self::Parquet),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    /// As in `format = "…"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        })
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Csv, Self::Tsv, Self::Ndjson, Self::Parquet];
        let named = all.into_iter().find(|format| format.to_string() == text);
        named.ok_or_else(|| Error::usage("a format is csv, tsv, ndjson or parquet"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ending_decides() {
        assert_eq!(Format::of("a/b.CSV"), Some(Format::Csv));
        assert_eq!(Format::of("reviews.jsonl"), Some(Format::Ndjson));
        assert_eq!(Format::of("reviews.txt"), None);
        assert_eq!(Format::of("reviews"), None);
    }
}
