//! One line of NDJSON: an object of plain values and lists of them, with each number as it is written; and of deeper values, which stay
//! the JSON that they are.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};

/// A key of an object with its value.
#[derive(Debug)]
pub(super) struct Member<'l> {
    pub(super) key: Cow<'l, str>,
    pub(super) value: Value<'l>,
    /// Where in the line the value begins, in bytes.
    pub(super) at: usize,
    /// Where it ends.
    pub(super) end: usize,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'l> {
    Null,
    Boolean,
    String,
    /// A number as it is written.
    Number(&'l str),
    /// Plain values that are not null, and where in the line each begins, in bytes.
    List(Vec<(usize, Value<'l>)>),
    /// An object, or a list with objects or lists in it, as it is written.
    Json(&'l str),
}

/// Columns whose values are text, though they are written otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::data) struct AsText {
    /// Those whose numbers stay as they are written.
    pub(super) numbers: BTreeSet<String>,
    /// Those whose values stay the JSON that they are.
    pub(super) json: BTreeSet<String>,
}

impl AsText {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.json.is_empty()
    }
}

/// The members of the object on line `number` of the file `name`.
///
/// # Errors
/// A line that is no JSON object, a null in a list of plain values, a key that comes twice.
pub(super) fn members<'l>(name: &str, number: usize, line: &'l str) -> Result<Vec<Member<'l>>> {
    let mut scanner = Scanner { line, at: 0 };
    scanner.object().ok_or_else(|| {
        // serde_json says best what is wrong.
        let reason = match serde_json::from_str::<Checked>(line) {
            Ok(_) => "a value is not as JSON has it".to_owned(),
            Err(error) => {
                let text = error.to_string();
                // It counts lines in what it was given, which is one line.
                let (reason, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
                format!("{reason} (column {})", error.column())
            }
        };
        Error::stage(format!(
            "line {number} of `{name}` is not a JSON object of values and lists"
        ))
        .cause(reason)
        .help("NDJSON has one object a line: {\"text\": \"good\", \"label\": 1}")
    })
}

/// `line`, a JSON object, with quotes around what is to be text.
pub(super) fn quoted(line: &str, columns: &AsText) -> String {
    let members = Scanner { line, at: 0 }.object().unwrap_or_default();
    let (mut text, mut end) = (String::new(), 0);
    let mut quote = |at: usize, value: &str| {
        text.push_str(&line[end..at]);
        text.push_str(&serde_json::Value::from(value).to_string());
        end = at + value.len();
    };
    for Member {
        key,
        value,
        at,
        end,
    } in members
    {
        let is_json = matches!(value, Value::Json(_) | Value::List(_));
        if is_json && columns.json.contains(&*key) {
            quote(at, &line[at..end]);
        } else if columns.numbers.contains(&*key) {
            let values = match value {
                Value::List(values) => values,
                value => vec![(at, value)],
            };
            for (at, value) in values {
                if let Value::Number(number) = value {
                    quote(at, number);
                }
            }
        }
    }
    text + &line[end..]
}

/// Walks an object; whatever finds something else than it looks for returns none.
struct Scanner<'l> {
    line: &'l str,
    at: usize,
}

impl<'l> Scanner<'l> {
    fn object(&mut self) -> Option<Vec<Member<'l>>> {
        let mut members = Vec::new();
        let mut seen = BTreeSet::new();
        self.take(b'{')?;
        while self.take(b'}').is_none() {
            if !members.is_empty() {
                self.take(b',')?;
            }
            self.skip_blanks();
            let key = self.string()?;
            self.take(b':')?;
            self.skip_blanks();
            let at = self.at;
            let value = match self.line.as_bytes().get(at) {
                Some(b'[') => self.list()?,
                Some(b'{') => self.json()?,
                _ => self.value()?,
            };
            seen.insert(key.clone()).then_some(())?;
            let end = self.at;
            members.push(Member {
                key,
                value,
                at,
                end,
            });
        }
        self.skip_blanks();
        (self.at == self.line.len()).then_some(members)
    }

    /// A list.
    fn list(&mut self) -> Option<Value<'l>> {
        let start = self.at;
        let mut values = Vec::new();
        self.take(b'[')?;
        while self.take(b']').is_none() {
            if !values.is_empty() {
                self.take(b',')?;
            }
            self.skip_blanks();
            let at = self.at;
            if matches!(self.line.as_bytes().get(at), Some(b'[' | b'{')) {
                self.at = start;
                return self.json();
            }
            let value = self.value().filter(|value| *value != Value::Null)?;
            values.push((at, value));
        }
        Some(Value::List(values))
    }

    /// A value of any kind, which is not looked into.
    fn json(&mut self) -> Option<Value<'l>> {
        let rest = &self.line[self.at..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let length = values.byte_offset();
        self.at += length;
        Some(Value::Json(&rest[..length]))
    }

    /// A plain value.
    fn value(&mut self) -> Option<Value<'l>> {
        let words = [
            ("null", Value::Null),
            ("true", Value::Boolean),
            ("false", Value::Boolean),
        ];
        let rest = &self.line[self.at..];
        if rest.starts_with('"') {
            return self.string().map(|_| Value::String);
        }
        if let Some((word, value)) = words.iter().find(|(word, _)| rest.starts_with(word)) {
            self.at += word.len();
            return Some(value.clone());
        }
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += length;
        // Without its value, which may be too large for serde_json.
        let number = &rest[..length];
        serde_json::from_str::<IgnoredAny>(number).ok()?;
        Some(Value::Number(number))
    }

    fn string(&mut self) -> Option<Cow<'l, str>> {
        let rest = &self.line[self.at..];
        let inside = rest.strip_prefix('"')?;
        let mut escaped = false;
        let end = inside.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        self.at += end + 2;
        if inside[..end]
            .bytes()
            .all(|byte| byte >= b' ' && byte != b'\\')
        {
            return Some(Cow::Borrowed(&inside[..end]));
        }
        serde_json::from_str(&rest[..end + 2]).ok().map(Cow::Owned)
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        self.skip_blanks();
        (self.line.as_bytes().get(self.at) == Some(&wanted)).then_some(())?;
        self.at += 1;
        Some(())
    }

    fn skip_blanks(&mut self) {
        let rest = self.line[self.at..].bytes();
        self.at += rest.take_while(|byte| b" \t\r\n".contains(byte)).count();
    }
}

/// An object as [`members`] takes it, for `serde_json`'s words about one that it does not take.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Checked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checked, A::Error> {
                let mut seen = BTreeSet::new();
                while let Some((key, Checking::<false> { .. })) = map.next_entry()? {
                    let key: String = key;
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format!("key `{key}` comes twice")));
                    }
                }
                Ok(Checked)
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A value. In a list of plain values there is no null.
struct Checking<const IN_LIST: bool> {
    is_plain: bool,
}

impl<'de, const IN_LIST: bool> Deserialize<'de> for Checking<IN_LIST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor<const IN_LIST: bool>;

        impl<'de, const IN_LIST: bool> Visitor<'de> for ValueVisitor<IN_LIST> {
            type Value = Checking<IN_LIST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number, true or false")
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Checking { is_plain: true })
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Checking { is_plain: true })
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Checking { is_plain: true })
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Checking { is_plain: true })
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Checking { is_plain: true })
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
                if IN_LIST {
                    return Err(E::custom("there is a null in a list"));
                }
                Ok(Checking { is_plain: true })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut is_plain = !IN_LIST;
                while is_plain {
                    match list.next_element::<Checking<true>>()? {
                        Some(value) => is_plain = value.is_plain,
                        None => return Ok(Checking { is_plain: !IN_LIST }),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Checking { is_plain: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Checking { is_plain: false })
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let line = " {\"a\\u0041\" : 12e400,\"b\":-0.10 , \"c\":\"9\\\"}\",\"d\":null} ";
        let members = members("t", 1, line).expect("an object");
        let found: Vec<_> = members
            .iter()
            .map(|member| (&*member.key, member.value.clone()))
            .collect();
        assert_eq!(
            found,
            [
                ("aA", Value::Number("12e400")),
                ("b", Value::Number("-0.10")),
                ("c", Value::String),
                ("d", Value::Null),
            ]
        );
        let list = "{\"a\": [1 ,2.50, \"x\"], \"b\":[ ]}";
        let members = super::members("t", 1, list).expect("an object");
        let numbers = [
            (7, Value::Number("1")),
            (10, Value::Number("2.50")),
            (16, Value::String),
        ];
        assert_eq!(members[0].value, Value::List(numbers.into()));
        assert_eq!(members[1].value, Value::List(Vec::new()));
        assert_eq!(
            quoted(list, &of_numbers(&["a"])),
            "{\"a\": [\"1\" ,\"2.50\", \"x\"], \"b\":[ ]}"
        );
        let text = quoted(line, &of_numbers(&["aA", "c"]));
        assert_eq!(
            text,
            " {\"a\\u0041\" : \"12e400\",\"b\":-0.10 , \"c\":\"9\\\"}\",\"d\":null} "
        );
    }

    fn of_numbers(columns: &[&str]) -> AsText {
        AsText {
            numbers: columns.iter().map(|name| (*name).to_owned()).collect(),
            ..AsText::default()
        }
    }

    #[test]
    fn what_is_deeper_stays_json() {
        let line = "{\"a\": [ [0, 12e400,\"\\u00e9\"] ] , \"b\":{\"x\":[]}, \"c\":[], \"d\":[1]}";
        let members = members("t", 1, line).expect("an object");
        assert_eq!(members[0].value, Value::Json("[ [0, 12e400,\"\\u00e9\"] ]"));
        assert_eq!(members[1].value, Value::Json("{\"x\":[]}"));
        assert_eq!(members[2].value, Value::List(Vec::new()));
        let columns = AsText {
            json: ["a", "b", "c"].map(String::from).into(),
            ..AsText::default()
        };
        let text = quoted(line, &columns);
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let expected = serde_json::json!({
            "a": "[ [0, 12e400,\"\\u00e9\"] ]", "b": "{\"x\":[]}", "c": "[]", "d": [1],
        });
        assert_eq!(read, expected);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(super::members("t", 1, &deep).is_ok());
        assert!(super::members("t", 1, &deep[..150_000]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_an_object_is_what_serde_json_says(
            line in "[{ ]{1,2}(\"(a|b|\\\\n|\\\\u00e9|\\\\x|ä)\" ?[:,]? ?(1|-|01|1.|-0.5|2e5|tru|true|nullx|null|\"\"|\"\\\\\"\"|\\[1\\]|\\[\\]|\\[1 ?, \"\"|, ?null\\]|\\[\\[1\\]\\]|\\[1, \\{\\}, null\\]|\\{\\}|\\{\"a\": ?\\[1\\]\\})[,} ]{0,2}){0,3}\\}?",
        ) {
            let ours = members("t", 1, &line).is_ok();
            prop_assert_eq!(ours, serde_json::from_str::<Checked>(&line).is_ok(), "{}", line);
        }
    }
}
