//! Settings and errors on their way to another process and back, without losing their places.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::value::{Data, Table, Value};
use crate::error::{Error, Kind, Source, Span};

/// The files that places point into, each once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sources(Vec<WireSource>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct WireSource {
    name: String,
    text: String,
    folder: PathBuf,
    #[serde(skip)]
    shared: Option<Arc<Source>>,
}

/// A place: number of the file, start, end.
type WireSpan = (usize, usize, usize);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct WireValue(WireSpan, WireData);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum WireData {
    S(String),
    I(i64),
    F(f64),
    B(bool),
    D(String),
    A(Vec<WireValue>),
    T(Vec<(String, WireSpan, WireValue)>),
}

/// A table with its places, as another process can read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WireTable {
    sources: Sources,
    table: WireValue,
}

impl WireTable {
    /// Packs `table`.
    #[must_use]
    pub fn pack(table: &Table) -> Self {
        let mut sources = Sources::default();
        let span = sources.pack(&table.span);
        let data = pack_table(table, &mut sources);
        Self {
            sources,
            table: WireValue(span, data),
        }
    }

    /// Unpacks the table; none if it is malformed.
    #[must_use]
    pub fn unpack(self) -> Option<Table> {
        let sources: Vec<Arc<Source>> = self.sources.unpack();
        match unpack(self.table, &sources)? {
            Value {
                data: Data::Table(table),
                ..
            } => Some(table),
            _ => None,
        }
    }
}

impl Sources {
    fn pack(&mut self, span: &Span) -> WireSpan {
        let same = |known: &WireSource| {
            known
                .shared
                .as_ref()
                .is_some_and(|shared| Arc::ptr_eq(shared, &span.source))
        };
        let number = self.0.iter().position(same).unwrap_or_else(|| {
            self.0.push(WireSource {
                name: span.source.name.clone(),
                text: span.source.text.clone(),
                folder: span.source.folder.clone(),
                shared: Some(Arc::clone(&span.source)),
            });
            self.0.len() - 1
        });
        (number, span.range.start, span.range.end)
    }

    fn unpack(self) -> Vec<Arc<Source>> {
        let source = |wire: WireSource| {
            Arc::new(Source {
                name: wire.name,
                text: wire.text,
                folder: wire.folder,
            })
        };
        self.0.into_iter().map(source).collect()
    }
}

fn pack_table(table: &Table, sources: &mut Sources) -> WireData {
    let entry = |(key, (span, value)): (&String, &(Span, Value))| {
        (key.clone(), sources.pack(span), pack_value(value, sources))
    };
    WireData::T(table.entries.iter().map(entry).collect())
}

fn pack_value(value: &Value, sources: &mut Sources) -> WireValue {
    let span = sources.pack(&value.span);
    let data = match &value.data {
        Data::String(text) => WireData::S(text.clone()),
        Data::Integer(number) => WireData::I(*number),
        Data::Float(number) => WireData::F(*number),
        Data::Boolean(flag) => WireData::B(*flag),
        Data::Datetime(text) => WireData::D(text.clone()),
        Data::Array(items) => {
            WireData::A(items.iter().map(|item| pack_value(item, sources)).collect())
        }
        Data::Table(table) => pack_table(table, sources),
    };
    WireValue(span, data)
}

fn place((number, start, end): WireSpan, sources: &[Arc<Source>]) -> Option<Span> {
    sources
        .get(number)
        .map(|source| Span::new(source, start..end))
}

fn unpack(WireValue(span, data): WireValue, sources: &[Arc<Source>]) -> Option<Value> {
    let span = place(span, sources)?;
    let data = match data {
        WireData::S(text) => Data::String(text),
        WireData::I(number) => Data::Integer(number),
        WireData::F(number) => Data::Float(number),
        WireData::B(flag) => Data::Boolean(flag),
        WireData::D(text) => Data::Datetime(text),
        WireData::A(items) => Data::Array(
            items
                .into_iter()
                .map(|item| unpack(item, sources))
                .collect::<Option<_>>()?,
        ),
        WireData::T(entries) => {
            let mut table = Table::empty(span.clone());
            for (key, key_span, value) in entries {
                table
                    .entries
                    .insert(key, (place(key_span, sources)?, unpack(value, sources)?));
            }
            Data::Table(table)
        }
    };
    Some(Value { data, span })
}

/// An error with its places, as another process can read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WireError {
    sources: Sources,
    kind: u8,
    message: String,
    labels: Vec<(WireSpan, String)>,
    causes: Vec<String>,
    notes: Vec<String>,
    help: Option<String>,
}

impl WireError {
    /// Packs `error`.
    #[must_use]
    pub fn pack(error: &Error) -> Self {
        let mut sources = Sources::default();
        Self {
            kind: error.kind().exit_code(),
            message: error.message().into(),
            labels: error
                .labels()
                .iter()
                .map(|label| (sources.pack(&label.span), label.text.clone()))
                .collect(),
            causes: error.causes().to_vec(),
            notes: error.notes().to_vec(),
            help: error.help_text().map(Into::into),
            sources,
        }
    }

    /// Unpacks the error.
    #[must_use]
    pub fn unpack(self) -> Error {
        let kinds = [Kind::Usage, Kind::Gate, Kind::Locked, Kind::Interrupted];
        let kind = kinds
            .into_iter()
            .find(|kind| kind.exit_code() == self.kind)
            .unwrap_or(Kind::Stage);
        let sources = self.sources.unpack();
        let mut error = Error::new(kind, self.message);
        for (span, text) in self.labels {
            if let Some(span) = place(span, &sources) {
                error = error.at(&span, text);
            }
        }
        error = self.causes.into_iter().fold(error, Error::cause);
        error = self.notes.into_iter().fold(error, Error::note);
        match self.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_errors_survive_the_journey() {
        let text = "a = 1\nb = [1.5, true, \"x\"]\nc = { d = 2024-01-01 }\n";
        let source = Arc::new(Source::new("dir/p.toml", text));
        let table = Table::parse(&source).expect("valid");
        let json = serde_json::to_string(&WireTable::pack(&table)).expect("JSON");
        let back: WireTable = serde_json::from_str(&json).expect("JSON");
        assert_eq!(back.unpack(), Some(table));

        let error = Error::new(Kind::Gate, "m")
            .at(&Span::new(&source, 0..1), "here")
            .cause("c")
            .note("n")
            .help("h");
        let json = serde_json::to_string(&WireError::pack(&error)).expect("JSON");
        let back = serde_json::from_str::<WireError>(&json)
            .expect("JSON")
            .unpack();
        assert_eq!(format!("{back:?}"), format!("{error:?}"));
    }
}
