//! Files with one JSON object a line. Every line is checked before polars reads it, because polars names no line
//! and turns values of another type than the column's first ones into nulls.

mod object;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use polars::prelude::{
    DataFrame, DataType, Field, JsonFormat, JsonReader, PolarsResult, Schema, SchemaRef, SerReader,
};

pub(super) use self::object::AsText;
use self::object::{Member, Value, members, quoted};
use super::csv::{Loaded, decode};
use super::guard::guarded;
use super::numerals::comes_back;
use super::table::Table;
use super::types::Type;
use crate::error::{Context, Error, Result};

/// Reads the lines of `bytes`, which `name` stands for in messages. Columns come in the order in which they first
/// appear; a key that an object does not have is null there. Objects, and lists of lists or objects, stay JSON text. Text columns that `types` calls dates become dates; numbers in
/// columns that it calls strings stay as they are written.
///
/// # Errors
/// Bytes that are not UTF-8, a line that is no JSON object, a column with values of two types, a number that would change, no rows, no
/// columns.
pub fn read(name: &str, bytes: &[u8], types: &BTreeMap<String, Type>) -> Result<Loaded> {
    let text = decode(name, bytes)?;
    let mut columns = Columns::of(types);
    let lines = columns.add_lines(name, text, 1)?;
    if lines.is_empty() {
        return Err(Error::stage(format!("`{name}` has no rows")));
    }
    columns.refuse_none(name)?;
    columns.refuse_changed(name)?;
    let what = || format!("cannot read `{name}`");
    let frame = parse(text, columns.schema(), &columns.quoted()).or_stage(what)?;
    let table = Table::new(with_dates(&frame, types).or_stage(what)?);
    let mut loaded = Loaded::new(name, table, lines)?;
    loaded.notices.extend(columns.told(name));
    Ok(loaded)
}

/// Reads the lines of `text` as columns of `schema`, those of `as_text` as they are written.
pub(super) fn parse(
    text: &str,
    schema: impl Into<SchemaRef>,
    as_text: &AsText,
) -> PolarsResult<DataFrame> {
    let text = if as_text.is_empty() {
        Cow::Borrowed(text)
    } else {
        let lines = text.split('\n').map(|line| quoted(line, as_text));
        Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
    };
    let reader = JsonReader::new(Cursor::new(text.as_bytes()))
        .with_json_format(JsonFormat::JsonLines)
        .with_schema(schema.into());
    guarded(|| reader.finish())
}

fn with_dates(frame: &DataFrame, types: &BTreeMap<String, Type>) -> PolarsResult<DataFrame> {
    let columns = frame.columns().iter().map(|column| {
        let wanted = types.get(column.name().as_str());
        match (wanted, column.str()) {
            (Some(wanted @ (Type::Date | Type::Datetime)), Ok(text)) => {
                wanted.read(text).unwrap_or_else(|| column.clone())
            }
            _ => column.clone(),
        }
    });
    DataFrame::new(frame.height(), columns.collect())
}

/// The columns seen so far.
#[derive(Default)]
pub(super) struct Columns {
    list: Vec<Seen>,
    index: BTreeMap<String, usize>,
    /// The columns that are declared as text: their numbers stay as they are written.
    as_text: BTreeSet<String>,
    /// The columns that are declared to hold floats: their numbers may be rounded.
    as_numbers: BTreeSet<String>,
}

/// What was seen of a column.
struct Seen {
    name: String,
    /// Its type, with the line that decided it.
    kind: Option<(Kind, usize)>,
    /// Whether it has numbers, though it is declared as text.
    has_digits: bool,
    /// The first number that a float changes; rather one that it does not hold at all.
    changed: Option<Changed>,
}

/// What the values of a column are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain(Type),
    /// Lists of such values; none if all were empty so far.
    List(Option<Type>),
    /// Objects, and lists of lists or objects.
    Json,
}

impl Kind {
    /// The kind that holds values of both; none if there is none.
    fn common(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => common(one, other).map(Self::Plain),
            (Self::List(None), Self::List(of)) | (Self::List(of), Self::List(None)) => {
                Some(Self::List(of))
            }
            (Self::List(Some(one)), Self::List(Some(other))) => {
                Some(Self::List(Some(common(one, other)?)))
            }
            (Self::Json, Self::Json | Self::List(None)) | (Self::List(None), Self::Json) => {
                Some(Self::Json)
            }
            _ => None,
        }
    }

    /// The type of a value, or of what is in a list.
    fn of(self) -> Option<Type> {
        match self {
            Self::Plain(of) => Some(of),
            Self::List(of) => of,
            Self::Json => None,
        }
    }

    fn with_article(self) -> String {
        match self {
            Self::Plain(of) => of.with_article().to_owned(),
            Self::Json => "nested JSON".to_owned(),
            Self::List(None) => "a list".to_owned(),
            Self::List(Some(Type::Boolean)) => "a list of true and false".to_owned(),
            Self::List(Some(of)) => {
                let (_, of) = of.with_article().split_once(' ').unwrap_or_default();
                format!("a list of {of}s")
            }
        }
    }
}

/// A number that a float changes.
struct Changed {
    number: String,
    line: usize,
    /// Where in the line it begins, counted from 1.
    column: usize,
}

impl Changed {
    /// Whether it is larger than every float.
    fn is_too_large(&self) -> bool {
        self.number.parse().is_ok_and(f64::is_infinite)
    }
}

impl Seen {
    /// Whether its values stay JSON.
    fn is_json(&self) -> bool {
        self.kind.is_some_and(|(kind, _)| kind == Kind::Json)
    }

    /// Whether it is a column of floats that would not all be what is written.
    fn changes(&self) -> Option<&Changed> {
        let of = self.kind.and_then(|(kind, _)| kind.of());
        self.changed.as_ref().filter(|_| of == Some(Type::Number))
    }
}

impl Columns {
    /// Columns of which `types` declares some.
    fn of(types: &BTreeMap<String, Type>) -> Self {
        let declared = |wanted: Type| {
            let declared = types.iter().filter(move |(_, kind)| **kind == wanted);
            declared.map(|(name, _)| name.clone()).collect()
        };
        Self {
            as_text: declared(Type::String),
            as_numbers: declared(Type::Number),
            ..Self::default()
        }
    }

    /// Adds what the lines of `text` have, which begins on line `first` of the file `name`; returns the lines that are
    /// not empty.
    pub(super) fn add_lines(&mut self, name: &str, text: &str, first: usize) -> Result<Vec<usize>> {
        let mut lines = Vec::new();
        for (line, text) in (first..).zip(text.split('\n')) {
            if text.trim().is_empty() {
                continue;
            }
            lines.push(line);
            for member in members(name, line, text)? {
                self.add(name, (line, text), &member)?;
            }
        }
        Ok(lines)
    }

    fn add(&mut self, name: &str, (line, text): (usize, &str), member: &Member<'_>) -> Result<()> {
        let key = member.key.clone().into_owned();
        let at = *self.index.entry(key).or_insert_with_key(|key| {
            self.list.push(Seen {
                name: key.clone(),
                kind: None,
                has_digits: false,
                changed: None,
            });
            self.list.len() - 1
        });
        let seen = &mut self.list[at];
        let mut plain = |at: usize, value: &Value<'_>| match value {
            Value::String => Type::String,
            Value::Boolean => Type::Boolean,
            Value::Number(_) if self.as_text.contains(&seen.name) => {
                seen.has_digits = true;
                Type::String
            }
            Value::Number(number) => {
                if !comes_back(number) {
                    let changed = Changed {
                        number: (*number).to_owned(),
                        line,
                        column: text[..at].chars().count() + 1,
                    };
                    let is_too_large = changed.is_too_large();
                    let may_round = self.as_numbers.contains(&seen.name);
                    if is_too_large || (seen.changed.is_none() && !may_round) {
                        seen.changed = Some(changed);
                    }
                }
                if Type::Integer.accepts(number) {
                    Type::Integer
                } else {
                    Type::Number
                }
            }
            Value::Null | Value::List(_) | Value::Json(_) => {
                unreachable!("the scanner has plain values here")
            }
        };
        let found = match &member.value {
            Value::Null => return Ok(()),
            Value::Json(_) => Kind::Json,
            Value::List(values) => {
                let mut of = Some(Kind::List(None));
                for (at, value) in values {
                    let value = Kind::List(Some(plain(*at, value)));
                    of = of.and_then(|of| of.common(value));
                }
                of.ok_or_else(|| {
                    Error::stage(format!(
                        "line {line} of `{name}` has a list of values of several types in column `{}`",
                        seen.name
                    ))
                })?
            }
            value => Kind::Plain(plain(member.at, value)),
        };
        let agreed = match seen.kind {
            None => Some((found, line)),
            Some((before, first)) => before.common(found).map(|agreed| (agreed, first)),
        };
        let Some(agreed) = agreed else {
            let (before, first) = seen.kind.unwrap_or((found, line));
            return Err(Error::stage(format!(
                "line {line} of `{name}` has {} in column `{}`, which is {} on line {first}",
                found.with_article(),
                seen.name,
                before.with_article(),
            ))
            .help("a column has one type: quote the numbers, or correct the line"));
        };
        seen.kind = Some(agreed);
        Ok(())
    }

    /// Refuses objects of which none has a key: they have no columns, and a table without columns has no rows.
    pub(super) fn refuse_none(&self, name: &str) -> Result<()> {
        if self.list.is_empty() {
            return Err(Error::stage(format!("`{name}` has no columns"))
                .help("every line of it is an empty object"));
        }
        Ok(())
    }

    /// Refuses a number that a float changes.
    fn refuse_changed(&self, name: &str) -> Result<()> {
        let changed = |seen| Some((seen, Seen::changes(seen)?));
        let Some((seen, changed)) = self.list.iter().find_map(changed) else {
            return Ok(());
        };
        let Seen { name: key, .. } = seen;
        let Changed {
            number,
            line,
            column,
        } = changed;
        let error = Error::stage(format!(
            "line {line}, column {column} of `{name}`: `{key}` is {number}, and no 64-bit number is exactly that"
        ));
        Err(error.help(format!(
            "quote it, or keep the digits as text by a data schema with [columns.{key}] and type = \"string\""
        )))
    }

    /// The columns whose numbers are to be read as they are written, those declared as text and those of floats that would change; and
    /// those whose values stay JSON.
    pub(super) fn quoted(&self) -> AsText {
        let names = |wanted: fn(&Seen) -> bool| {
            let seen = self.list.iter().filter(|seen| wanted(seen));
            seen.map(|seen| seen.name.clone()).collect()
        };
        AsText {
            numbers: names(|seen| seen.has_digits || seen.changes().is_some()),
            json: names(Seen::is_json),
        }
    }

    /// What the user is to be told of the columns of the file `name`, if anything.
    fn told(&self, name: &str) -> Option<String> {
        let json = self.list.iter().filter(|seen| seen.is_json());
        let json: Vec<_> = json.map(|seen| format!("`{}`", seen.name)).collect();
        (!json.is_empty()).then(|| {
            format!(
                "nested values of `{name}` stay JSON text, in the columns {}",
                json.join(", ")
            )
        })
    }

    /// The columns in the order in which they first appeared.
    pub(super) fn schema(&self) -> Schema {
        self.list
            .iter()
            .map(|seen| {
                let (kind, is_list) = match seen.kind {
                    Some((Kind::List(of), _)) => (of, true),
                    Some((Kind::Plain(of), _)) => (Some(of), false),
                    Some((Kind::Json, _)) | None => (None, false),
                };
                let dtype = match kind {
                    _ if seen.changes().is_some() => DataType::String,
                    Some(Type::Integer) => DataType::Int64,
                    Some(Type::Number) => DataType::Float64,
                    Some(Type::Boolean) => DataType::Boolean,
                    _ => DataType::String,
                };
                let dtype = if is_list {
                    DataType::List(Box::new(dtype))
                } else {
                    dtype
                };
                Field::new(seen.name.as_str().into(), dtype)
            })
            .collect()
    }
}

fn common(one: Type, other: Type) -> Option<Type> {
    match (one, other) {
        (one, other) if one == other => Some(one),
        (Type::Integer, Type::Number) | (Type::Number, Type::Integer) => Some(Type::Number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(text: &str) -> Result<Loaded> {
        read("t.ndjson", text.as_bytes(), &BTreeMap::new())
    }

    fn column(loaded: &Loaded, name: &str) -> Vec<Option<String>> {
        loaded.table.as_text(name).expect("a column")
    }

    #[test]
    fn objects_become_rows() {
        let loaded =
            load("{\"text\":\"a\\n\u{85}b\",\"n\":1}\r\n\n{\"n\":2.5,\"ok\":true,\"text\":null}\n")
                .expect("read");
        assert_eq!(loaded.table.columns(), ["text", "n", "ok"]);
        assert_eq!(loaded.lines, [1, 3]);
        assert_eq!(
            column(&loaded, "text"),
            [Some("a\n\u{85}b".to_owned()), None]
        );
        assert_eq!(
            column(&loaded, "n"),
            [Some("1.0".to_owned()), Some("2.5".to_owned())]
        );
        assert_eq!(column(&loaded, "ok"), [None, Some("true".to_owned())]);
    }

    #[test]
    fn lists_become_lists() {
        let loaded = load(concat!(
            "{\"s\":[],\"n\":[1,2],\"b\":[true]}\n{\"s\":[\"a, b\",\"\u{e9}\\n\"],\"n\":[ 0.5 ],\"b\":[]}\n",
            "{\"s\":null,\"n\":[],\"b\":[false]}"
        ))
        .expect("read");
        let dtype = |name| loaded.table.column(name).expect("a column").dtype().clone();
        let list = |of| DataType::List(Box::new(of));
        assert_eq!(dtype("s"), list(DataType::String));
        assert_eq!(dtype("n"), list(DataType::Float64));
        assert_eq!(dtype("b"), list(DataType::Boolean));
        let column = loaded.table.column("s").expect("s");
        assert_eq!(column.null_count(), 1);
        let second = column.list().expect("lists").get_as_series(1).expect("one");
        let words: Vec<_> = second.str().expect("texts").iter().flatten().collect();
        assert_eq!(words, ["a, b", "\u{e9}\n"]);

        let message = |text: &str| load(text).expect_err("refused").to_string();
        assert_eq!(
            message("{\"a\":[1]}\n{\"a\":[\"x\"]}"),
            "line 2 of `t.ndjson` has a list of strings in column `a`, which is a list of integers on line 1"
        );
        assert_eq!(
            message("{\"a\":1}\n{\"a\":[]}"),
            "line 2 of `t.ndjson` has a list in column `a`, which is an integer on line 1"
        );
        assert!(message("{\"a\":[1,\"x\"]}").contains("values of several types in column `a`"));
        assert!(message("{\"a\":[null]}").ends_with("there is a null in a list (column 10)"));
        assert_eq!(
            message("{\"a\":[1]}\n{\"a\":[[1]]}"),
            "line 2 of `t.ndjson` has nested JSON in column `a`, which is a list of integers on line 1"
        );
        assert!(
            message("{\"a\":[0.5, 9007199254740993]}")
                .starts_with("line 1, column 12 of `t.ndjson`: `a` is 9007199254740993,")
        );
    }

    #[test]
    fn nested_values_stay_json_and_it_is_said() {
        let loaded = load(concat!(
            "{\"spans\":[],\"x\":1}\n{\"spans\":[{\"start\": 0}],\"x\":2}\n{\"spans\":[[0, 4, \"A\"]],\"x\":2}\n",
            "{\"spans\":null,\"x\":3}"
        ))
        .expect("read");
        let expected = ["[]", "[{\"start\": 0}]", "[[0, 4, \"A\"]]"];
        let expected = expected.map(|text| Some(text.to_owned()));
        let found = column(&loaded, "spans");
        assert_eq!((&found[..3], &found[3]), (&expected[..], &None));
        assert_eq!(
            loaded.notices,
            ["nested values of `t.ndjson` stay JSON text, in the columns `spans`"]
        );
        assert!(load("{\"a\":[1]}").expect("read").notices.is_empty());
    }

    #[test]
    fn all_rows_decide_the_type() {
        let loaded = load(&("{\"n\":1}\n".repeat(300) + "{\"n\":0.5}")).expect("read");
        assert_eq!(column(&loaded, "n")[300].as_deref(), Some("0.5"));
        assert_eq!(loaded.table.rows(), 301);
    }

    #[test]
    fn bad_lines_are_named() {
        let message = |text: &str| load(text).expect_err("refused").to_string();
        assert_eq!(
            message("{\"a\":1}\n{\"a\":1,}\n"),
            "line 2 of `t.ndjson` is not a JSON object of values and lists: trailing comma (column 8)"
        );
        assert_eq!(
            message("{\"a\":{\"b\":}}"),
            "line 1 of `t.ndjson` is not a JSON object of values and lists: expected value (column 11)"
        );
        assert_eq!(
            message("{\"a\":1}\n{\"a\":\"x\"}"),
            "line 2 of `t.ndjson` has a string in column `a`, which is an integer on line 1"
        );
        assert_eq!(
            message("{\"a\":1,\"a\":2}"),
            "line 1 of `t.ndjson` is not a JSON object of values and lists: key `a` comes twice (column 13)"
        );
        assert_eq!(message("\n"), "`t.ndjson` has no rows");
    }

    #[test]
    fn numbers_that_would_change_are_refused_unless_they_are_declared_text() {
        let error = |text: &str| load(text).expect_err("refused");
        let message = |text: &str| error(text).message().to_owned();
        assert_eq!(
            message("{\"id\":1}\n{\"é\":1,\"id\":11898508762506083200}"),
            "line 2, column 13 of `t.ndjson`: `id` is 11898508762506083200, and no 64-bit number is exactly that"
        );
        assert!(
            message("{\"a\":1}\n{\"a\":12e400}")
                .starts_with("line 2, column 6 of `t.ndjson`: `a` is 12e400,")
        );
        for text in [
            "{\"a\":9007199254740993}\n{\"a\":0.5}",
            "{\"a\":0.5}\n{\"a\":9007199254740993}",
        ] {
            assert!(message(text).contains("`a` is 9007199254740993,"));
        }
        assert!(load("{\"a\":9007199254740993}").is_ok());

        let lines = "{\"id\":11898508762506083200}\n{\"id\":12e400}\n{\"id\":\"x\"}\n{\"id\":1.10}\n{\"id\":null}";
        let types = |kind| BTreeMap::from([("id".to_owned(), kind)]);
        let loaded = read("t.ndjson", lines.as_bytes(), &types(Type::String)).expect("text");
        let ids = column(&loaded, "id")
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        assert_eq!(ids, ["11898508762506083200", "12e400", "x", "1.10"]);
        let truths = read("t.ndjson", b"{\"id\":true}", &types(Type::String)).expect("read");
        assert!(truths.table.column("id").expect("id").dtype().is_bool());
        // Who declares a number has it rounded, but not made infinite.
        let declared = |text: &str| read("t.ndjson", text.as_bytes(), &types(Type::Number));
        let rounded = declared("{\"id\":11898508762506083200}").expect("read");
        assert_eq!(
            rounded.table.column("id").expect("id").dtype(),
            &DataType::Float64
        );
        assert!(declared("{\"id\":11898508762506083200}\n{\"id\":12e400}").is_err());
    }

    proptest! {
        #[test]
        fn floats_are_read_as_they_are_written(values in prop::collection::vec(any::<f64>(), 1..20)) {
            let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).chain([0.5]).collect();
            let lines: Vec<_> = values.iter().map(|value| format!("{{\"n\":{value:e}}}")).collect();
            let loaded = load(&lines.join("\n")).expect("read");
            let read = loaded.table.column("n").expect("n").f64().expect("floats").to_vec();
            prop_assert_eq!(read, values.into_iter().map(Some).collect::<Vec<_>>());
        }
    }

    #[test]
    fn declared_dates_are_read() {
        let types = BTreeMap::from([("day".to_owned(), Type::Date)]);
        let loaded = read("t.ndjson", b"{\"day\":\"2026-01-31\"}", &types).expect("read");
        assert_eq!(
            loaded.table.column("day").expect("day").dtype(),
            &DataType::Date
        );
    }
}
