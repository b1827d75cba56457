//! Settings and errors on their way to another process and back, without losing their places.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::value::{Data, Table, Value};
use crate::error::{Error, Kind, Source, Span};

/// The files that places point into. Both ends keep those that were sent, so that each travels once.
pub type Sources = Vec<Arc<Source>>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct WireSource {
    name: String,
    text: String,
    folder: PathBuf,
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
    /// The files that the other end does not know yet.
    sources: Vec<WireSource>,
    table: WireValue,
}

impl WireTable {
    /// Packs `table` for an end that knows the files in `sent`, to which it adds.
    #[must_use]
    pub fn pack(table: &Table, sent: &mut Sources) -> Self {
        let known = sent.len();
        let span = pack_span(&table.span, sent);
        let data = pack_table(table, sent);
        Self {
            sources: pack_sources(&sent[known..]),
            table: WireValue(span, data),
        }
    }

    /// Unpacks the table; none if it is malformed. `received` are the files that came earlier, to which it adds.
    #[must_use]
    pub fn unpack(self, received: &mut Sources) -> Option<Table> {
        received.extend(unpack_sources(self.sources));
        match unpack(self.table, received)? {
            Value {
                data: Data::Table(table),
                ..
            } => Some(table),
            _ => None,
        }
    }
}

fn pack_span(span: &Span, sent: &mut Sources) -> WireSpan {
    let same = |known: &Arc<Source>| Arc::ptr_eq(known, &span.source);
    let number = sent.iter().position(same).unwrap_or_else(|| {
        sent.push(Arc::clone(&span.source));
        sent.len() - 1
    });
    (number, span.range.start, span.range.end)
}

fn pack_sources(sources: &[Arc<Source>]) -> Vec<WireSource> {
    let pack = |source: &Arc<Source>| WireSource {
        name: source.name.clone(),
        text: source.text.clone(),
        folder: source.folder.clone(),
    };
    sources.iter().map(pack).collect()
}

fn unpack_sources(sources: Vec<WireSource>) -> impl Iterator<Item = Arc<Source>> {
    sources.into_iter().map(|wire| {
        Arc::new(Source {
            name: wire.name,
            text: wire.text,
            folder: wire.folder,
        })
    })
}

fn pack_table(table: &Table, sources: &mut Sources) -> WireData {
    let entry = |(key, (span, value)): &(String, (Span, Value))| {
        (
            key.clone(),
            pack_span(span, sources),
            pack_value(value, sources),
        )
    };
    WireData::T(table.entries.iter().map(entry).collect())
}

fn pack_value(value: &Value, sources: &mut Sources) -> WireValue {
    let span = pack_span(&value.span, sources);
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
    sources: Vec<WireSource>,
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
                .map(|label| (pack_span(&label.span, &mut sources), label.text.clone()))
                .collect(),
            causes: error.causes().to_vec(),
            notes: error.notes().to_vec(),
            help: error.help_text().map(Into::into),
            sources: pack_sources(&sources),
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
        let sources: Sources = unpack_sources(self.sources).collect();
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
        let (mut sent, mut received) = (Sources::new(), Sources::new());
        for _ in 0..2 {
            let json = serde_json::to_string(&WireTable::pack(&table, &mut sent)).expect("JSON");
            let back: WireTable = serde_json::from_str(&json).expect("JSON");
            assert_eq!(back.unpack(&mut received), Some(table.clone()));
        }
        assert_eq!(
            (sent.len(), received.len()),
            (1, 1),
            "the file travels once"
        );

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
