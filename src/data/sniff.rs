//! A data file of which nobody said how it is written: its format by its name, what stands between fields by what makes a table.

use std::collections::BTreeMap;
use std::path::Path;

use super::csv::{self, Dialect, Loaded, Names};
use super::table::Table;
use super::{Format, conll, ndjson};
use crate::error::{Context as _, Error, Result};

/// What may stand between two fields, the likeliest first.
const SEPARATORS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// A first row with a name longer than this holds no names.
const LONGEST_NAME: usize = 100;

/// A table, and how its file is written.
#[derive(Debug)]
pub struct Sniffed {
    /// The rows.
    pub table: Table,
    /// The settings of a `dataset` stage that read it so, where they are not its defaults: names, and values as TOML.
    pub settings: Vec<(&'static str, String)>,
    /// What was decided, in sentences.
    pub told: Vec<String>,
}

/// Whether a file of this name is taken for a table.
#[must_use]
pub fn is_table(name: &str) -> bool {
    Format::of(name).is_some() || is_conll(name)
}

/// Whether it is called as files with a word a line are: `names.conll`, which a `dataset` stage takes for one, or `names.conll.txt`.
fn is_conll(name: &str) -> bool {
    let mut parts = name.split('.').skip(1);
    parts.any(|part| part.eq_ignore_ascii_case("conll"))
}

/// Reads the file at `path` as its name and its content say. A file whose name says nothing is taken for a delimited one.
///
/// # Errors
/// A file that cannot be read, or not as a table.
pub fn open(path: &Path) -> Result<Sniffed> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let cannot = || format!("cannot read `{}`", path.display());
    let usual = |loaded: Loaded| Sniffed {
        table: loaded.table,
        settings: Vec::new(),
        told: loaded.notices,
    };
    let format = Format::of(&name);
    if format == Some(Format::Parquet) {
        let table = Table::read_parquet(path)?;
        if table.rows() == 0 {
            return Err(Error::stage(format!("`{name}` has no rows")));
        }
        return Ok(Sniffed {
            table,
            settings: Vec::new(),
            told: Vec::new(),
        });
    }
    let bytes = std::fs::read(path).or_stage(cannot)?;
    let may_have_words = matches!(format, None | Some(Format::Tsv));
    let is_called_so = format.is_none() && is_conll(&name);
    if is_called_so || may_have_words && conll::looks_like(&bytes) {
        let mut sniffed = conll::read(&name, &bytes, &conll::Dialect::default()).map(usual)?;
        let ending = path.extension().unwrap_or_default();
        if !ending.eq_ignore_ascii_case("conll") {
            let what = "it has a word a line with its tag";
            sniffed.say("format", "\"conll\"".into(), &name, what);
        }
        return Ok(sniffed);
    }
    match format {
        Some(Format::Ndjson) => ndjson::read(&name, &bytes, &BTreeMap::new()).map(usual),
        format => delimited(&name, &bytes, format),
    }
}

/// Reads a delimited file as its format mostly is, or else with what makes several columns of it.
fn delimited(name: &str, bytes: &[u8], format: Option<Format>) -> Result<Sniffed> {
    let usual = Dialect::of(format.unwrap_or(Format::Csv));
    let usual = usual.ok_or_else(|| Error::stage(format!("`{name}` is no delimited file")))?;
    let read = |dialect: &Dialect| csv::read(name, bytes, dialect, &BTreeMap::new());
    let first = read(&usual);
    let columns = |loaded: &Loaded| loaded.table.columns().len();
    let (loaded, dialect) = match first {
        Ok(loaded) if columns(&loaded) > 1 => (loaded, usual.clone()),
        first => {
            let others = [Some(b'"'), None].into_iter().flat_map(|quote| {
                SEPARATORS.map(|separator| Dialect {
                    separator,
                    quote,
                    ..usual.clone()
                })
            });
            let read = |dialect: Dialect| Some((read(&dialect).ok()?, dialect));
            let mut others = others.filter_map(read);
            match others.find(|(loaded, _)| columns(loaded) > 1) {
                Some(found) => found,
                None => (first?, usual.clone()),
            }
        }
    };
    let headless = headless(&loaded.table, &dialect, |dialect| read(dialect));
    let (loaded, dialect, names) = match headless {
        Some((loaded, dialect, names)) => (loaded, dialect, Some(names)),
        None => (loaded, dialect, None),
    };
    let mut sniffed = Sniffed {
        table: loaded.table,
        settings: Vec::new(),
        told: loaded.notices,
    };
    if format.is_none() {
        let format = if dialect.separator == b'\t' {
            "tsv"
        } else {
            "csv"
        };
        let what = "its name does not tell the format, which its rows do";
        sniffed.say("format", format!("\"{format}\""), name, what);
    }
    let default = match format {
        None if dialect.separator == b'\t' => b'\t',
        _ => usual.separator,
    };
    if dialect.separator != default {
        let separator = char::from(dialect.separator).escape_default();
        sniffed.say(
            "separator",
            format!("\"{separator}\""),
            name,
            &format!("`{separator}` stands between the fields"),
        );
    }
    if dialect.quote != usual.quote {
        sniffed.say(
            "quote",
            "\"\"".into(),
            name,
            "its quotes are characters like any other",
        );
    }
    if let Some(names) = names {
        let list: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let list = format!("[{}]", list.join(", "));
        let what = format!(
            "its first row holds no names, so its columns are called {}",
            names.join(", ")
        );
        sniffed.say("columns", list, name, &what);
    }
    Ok(sniffed)
}

impl Sniffed {
    fn say(&mut self, setting: &'static str, value: String, name: &str, what: &str) {
        self.told
            .push(format!("`{name}`: {what} ({setting} = {value})"));
        self.settings.push((setting, value));
    }
}

/// The table of a file whose first row is a row like any other, with names for its columns: if one of its names is a number, or longer
/// than names are.
fn headless(
    table: &Table,
    dialect: &Dialect,
    read: impl Fn(&Dialect) -> Result<Loaded>,
) -> Option<(Loaded, Dialect, Vec<String>)> {
    let no_name = |name: &&str| name.parse::<f64>().is_ok() || name.chars().count() > LONGEST_NAME;
    table.columns().iter().find(|name| no_name(name))?;
    let names: Vec<String> = (1..=table.columns().len())
        .map(|place| format!("column_{place}"))
        .collect();
    let dialect = Dialect {
        names: Names::Given(names.clone()),
        ..dialect.clone()
    };
    Some((read(&dialect).ok()?, dialect, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniffed(name: &str, text: &str) -> Result<Sniffed> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(name);
        crate::data::sniff::tests::write(&path, text);
        open(&path)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).expect("written");
    }

    fn settings(name: &str, text: &str) -> Vec<(&'static str, String)> {
        sniffed(name, text).expect(name).settings
    }

    #[test]
    fn what_makes_a_table_is_found() {
        assert!(settings("a.csv", "text,label\na,b\n").is_empty());
        assert_eq!(
            settings("a.csv", "text;label\na;b\n"),
            [("separator", "\";\"".into())]
        );
        assert_eq!(
            settings("a.tsv", "text\tlabel\n\"a\" b\tc\nsay \"d\tc\n"),
            [("quote", "\"\"".into())]
        );
        assert_eq!(
            settings("a.txt", "text\tlabel\na\tb\n"),
            [("format", "\"tsv\"".into())]
        );
        assert_eq!(
            settings("a.tsv", "good food\t1\nbad food\t0\n"),
            [("columns", "[\"column_1\", \"column_2\"]".into())]
        );
    }

    #[test]
    fn words_and_tags_are_found_whatever_the_file_is_called() {
        let text = "Ada B-PER\nwrote O\n\nIt O\n";
        for name in ["a.txt", "a.tsv", "a.conll.txt", "a"] {
            let sniffed = sniffed(name, text).expect(name);
            assert_eq!(sniffed.settings, [("format", "\"conll\"".into())], "{name}");
            assert_eq!(sniffed.table.columns(), ["words", "tags"]);
        }
        assert!(settings("a.conll", text).is_empty());
        assert!(is_table("a.conll.txt") && !is_table("conll"));
    }

    #[test]
    fn what_is_no_table_is_refused_as_its_format_is() {
        for text in ["", "text,label\n", "a,b\n1\n"] {
            assert!(sniffed("a.csv", text).is_err(), "{text}");
        }
        let one = sniffed("a.csv", "text\na\n").expect("a column is a table");
        assert_eq!(one.table.columns(), ["text"]);
    }
}
