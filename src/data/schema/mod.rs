//! Data schemas: what must hold for a table, in JSON Schema's words where it has them.

mod check;
mod guess;

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

pub use self::guess::guess;
use super::types::Type;

/// What must hold for a table.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSchema {
    /// What must hold for each column, by its name.
    #[serde(default)]
    pub columns: BTreeMap<String, Rules>,
    /// Whether columns that `columns` does not list are refused. Default: false.
    #[serde(default)]
    pub strict: bool,
    /// Sets of columns whose values together must not repeat: `[["user", "item"]]`.
    #[serde(default)]
    pub unique: Vec<Vec<String>>,
    /// The least number of rows.
    pub min_rows: Option<usize>,
    /// The largest number of rows.
    pub max_rows: Option<usize>,
}

impl DataSchema {
    /// The type of each column that has one.
    #[must_use]
    pub fn types(&self) -> BTreeMap<String, Type> {
        let typed = |(name, rules): (&String, &Rules)| Some((name.clone(), rules.written.kind?));
        self.columns.iter().filter_map(typed).collect()
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            columns,
            strict,
            unique,
            min_rows,
            max_rows,
        } = self;
        columns.is_empty()
            && !strict
            && unique.is_empty()
            && min_rows.is_none()
            && max_rows.is_none()
    }
}

/// What must hold for a column: settings that fit together.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Rules {
    written: Written,
    pattern: Option<Regex>,
}

impl Serialize for Rules {
    /// What is set, so that a rule that is added to this module changes no key of those who do not use it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rules = serde_json::to_value(&self.written).map_err(S::Error::custom)?;
        if let Some(rules) = rules.as_object_mut() {
            rules.retain(|name, value| !value.is_null() && name != "description");
        }
        rules.serialize(serializer)
    }
}

impl JsonSchema for Rules {
    fn schema_name() -> Cow<'static, str> {
        "ColumnRules".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Written::json_schema(generator)
    }
}

/// What must hold for a column, as it stands in the file.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Written {
    /// What the column is, for people.
    description: Option<String>,
    /// The type of its values: string, integer, number, boolean, date or datetime. A CSV column is read as this
    /// type; without it, as what its values look like. Numbers in a string column of NDJSON keep their digits.
    #[serde(rename = "type")]
    kind: Option<Type>,
    /// Whether the column must exist. Default: true.
    required: bool,
    /// Whether values may be missing. Default: false.
    nullable: bool,
    /// Whether each value comes once; missing values do not count. Default: false.
    unique: bool,
    /// The values that there may be.
    allowed: Option<Vec<Scalar>>,
    /// The least number of characters of a string.
    min_length: Option<usize>,
    /// The largest number of characters of a string.
    max_length: Option<usize>,
    /// A regular expression that each string matches somewhere; `^` and `$` for the whole string.
    pattern: Option<String>,
    /// The least number.
    minimum: Option<f64>,
    /// The largest number.
    maximum: Option<f64>,
    /// A number that all numbers are above.
    exclusive_minimum: Option<f64>,
    /// A number that all numbers are below.
    exclusive_maximum: Option<f64>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            description: None,
            kind: None,
            required: true,
            nullable: false,
            unique: false,
            allowed: None,
            min_length: None,
            max_length: None,
            pattern: None,
            minimum: None,
            maximum: None,
            exclusive_minimum: None,
            exclusive_maximum: None,
        }
    }
}

/// A value that `allowed` lists.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a string, an integer, a number, true or false"
)]
enum Scalar {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(String),
}

impl Scalar {
    fn fits(&self, kind: Type) -> bool {
        match self {
            Self::Boolean(_) => kind == Type::Boolean,
            Self::Integer(_) => matches!(kind, Type::Integer | Type::Number),
            Self::Number(_) => kind == Type::Number,
            Self::String(_) => kind == Type::String,
        }
    }
}

impl TryFrom<Written> for Rules {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let lengths = written.min_length.is_some() || written.max_length.is_some();
        let bounds = written.bounds().any(|(_, bound)| bound.is_some());
        match written.kind {
            Some(kind) if kind != Type::String && (lengths || written.pattern.is_some()) => {
                return Err("`min_length`, `max_length` and `pattern` are for strings".into());
            }
            Some(kind) if bounds && !matches!(kind, Type::Integer | Type::Number) => {
                return Err("bounds are for columns of type integer or number".into());
            }
            _ => {}
        }
        if let (Some(kind), Some(allowed)) = (written.kind, &written.allowed)
            && !allowed.iter().all(|value| value.fits(kind))
        {
            return Err(format!("each of `allowed` must be {}", kind.with_article()));
        }
        if written.allowed.as_ref().is_some_and(Vec::is_empty) {
            return Err("`allowed` lists no value".into());
        }
        if let (Some(least), Some(most)) = (written.min_length, written.max_length)
            && least > most
        {
            return Err("`min_length` is larger than `max_length`".into());
        }
        if let (Some(least), Some(most)) = (written.minimum, written.maximum)
            && least > most
        {
            return Err("`minimum` is larger than `maximum`".into());
        }
        let pattern = written.pattern.as_deref().map(Regex::new).transpose();
        let pattern =
            pattern.map_err(|error| format!("`pattern` is not a regular expression: {error}"))?;
        Ok(Self { written, pattern })
    }
}

impl Written {
    /// The bounds: what a number must be, and the number.
    fn bounds(&self) -> impl Iterator<Item = (Bound, Option<f64>)> {
        [
            (Bound::AtLeast, self.minimum),
            (Bound::AtMost, self.maximum),
            (Bound::Above, self.exclusive_minimum),
            (Bound::Below, self.exclusive_maximum),
        ]
        .into_iter()
    }
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast,
    AtMost,
    Above,
    Below,
}

impl Bound {
    fn words(self) -> &'static str {
        match self {
            Self::AtLeast => "at least",
            Self::AtMost => "at most",
            Self::Above => "above",
            Self::Below => "below",
        }
    }

    /// Whether `value` is within `bound`; what is not a number never is.
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::AtLeast => value >= bound,
            Self::AtMost => value <= bound,
            Self::Above => value > bound,
            Self::Below => value < bound,
        }
    }
}

#[cfg(test)]
mod tests;
