//! Files with a word a line and its tags beside it, as the shared tasks of CoNLL have them (Tjong Kim Sang and De Meulder 2003,
//! "Introduction to the CoNLL-2003 Shared Task"): a blank line ends a sentence, and a sentence becomes a row with a list for each column.

use polars::prelude::{
    DataFrame, IntoColumn, ListBuilderTrait as _, ListStringChunkedBuilder, PlSmallStr,
};

use super::csv::{Loaded, decode};
use super::table::Table;
use crate::error::{Context, Error, Result};

/// What the columns are called where nobody names them: the first one and the last.
const USUAL: [&str; 2] = ["words", "tags"];

/// A column of this name is left out.
pub const LEFT_OUT: &str = "_";

/// The word of a line that begins a document and is in no sentence.
const DOCUMENT: &str = "-DOCSTART-";

/// How such a file is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Between two fields; none for a tab if the first word's line has one, else for any number of spaces.
    pub separator: Option<u8>,
    /// The names of all columns, in order, `_` for those to leave out; none if the first holds the words and the last the tags.
    pub columns: Option<Vec<String>>,
    /// What lines begin with that are no words.
    pub comment: Option<String>,
}

/// Reads the lines of `bytes`, which `name` stands for in messages: a row a sentence, a column of lists for each column.
///
/// # Errors
/// Bytes that are not UTF-8, a line with another number of fields than the first one or than there are names, an empty field, no
/// sentence.
pub fn read(name: &str, bytes: &[u8], dialect: &Dialect) -> Result<Loaded> {
    let text = decode(name, bytes)?;
    let mut sentences = Sentences::new(name, dialect);
    for (line, text) in (1..).zip(text.split('\n')) {
        sentences.add(line, text.strip_suffix('\r').unwrap_or(text))?;
    }
    sentences.finish()
}

/// Whether `bytes` look like such a file: words with a tag beside them that says where a name is, and empty lines between sentences.
#[must_use]
pub fn looks_like(bytes: &[u8]) -> bool {
    const LOOKED_AT: usize = 1 << 16;
    let beginning = &bytes[..bytes.len().min(LOOKED_AT)];
    let text = String::from_utf8_lossy(beginning);
    let text = text.trim_start_matches('\u{feff}');
    // The last line may be cut.
    let whole = match text.rsplit_once('\n') {
        Some((whole, _)) if bytes.len() > LOOKED_AT => whole,
        _ => text,
    };
    let (mut named, mut blank, mut words) = (false, false, 0);
    for line in whole.trim().lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [] => blank = true,
            [DOCUMENT, ..] => {}
            [_, .., tag] => {
                let is_name = tag.split_once('-').is_some_and(|(mark, kind)| {
                    "BIESLU".contains(mark) && mark.len() == 1 && !kind.is_empty()
                });
                if !is_name && *tag != "O" {
                    return false;
                }
                named |= is_name;
                words += 1;
            }
            [_] => return false,
        }
    }
    named && blank && words > 1
}

/// The sentences so far.
struct Sentences<'a> {
    name: &'a str,
    dialect: &'a Dialect,
    /// How fields are cut and which of them are taken, once a line has shown it.
    form: Option<Form>,
    columns: Vec<ListStringChunkedBuilder>,
    /// The fields of the sentence that has begun, column by column.
    open: Vec<Vec<&'a str>>,
    /// The line on which each sentence begins.
    lines: Vec<usize>,
    documents: usize,
    comments: usize,
}

/// What the first line with a word shows.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// The line.
    line: usize,
    separator: Option<u8>,
    fields: usize,
}

impl<'a> Sentences<'a> {
    fn new(name: &'a str, dialect: &'a Dialect) -> Self {
        let names: Vec<&str> = match &dialect.columns {
            Some(columns) => columns.iter().map(String::as_str).collect(),
            None => USUAL.to_vec(),
        };
        let taken = names.iter().filter(|name| **name != LEFT_OUT);
        let columns: Vec<_> = taken
            .map(|name| ListStringChunkedBuilder::new(PlSmallStr::from(*name), 0, 0))
            .collect();
        Self {
            name,
            dialect,
            form: None,
            open: vec![Vec::new(); columns.len()],
            columns,
            lines: Vec::new(),
            documents: 0,
            comments: 0,
        }
    }

    fn add(&mut self, line: usize, text: &'a str) -> Result<()> {
        let comment = self.dialect.comment.as_ref();
        if comment.is_some_and(|comment| text.starts_with(comment.as_str())) {
            self.comments += 1;
            return Ok(());
        }
        if text.trim().is_empty() {
            self.close();
            return Ok(());
        }
        let separator = match (self.form, self.dialect.separator) {
            (Some(form), _) => form.separator,
            (None, Some(separator)) => Some(separator),
            (None, None) => text.contains('\t').then_some(b'\t'),
        };
        let fields: Vec<&str> = match separator {
            Some(separator) => text.split(char::from(separator)).map(str::trim).collect(),
            None => text
                .split([' ', '\t'])
                .filter(|field| !field.is_empty())
                .collect(),
        };
        if fields.first() == Some(&DOCUMENT) {
            self.documents += 1;
            self.close();
            return Ok(());
        }
        self.check(line, separator, &fields)?;
        if self.open.first().is_none_or(Vec::is_empty) {
            self.lines.push(line);
        }
        let taken: Vec<&str> = match &self.dialect.columns {
            Some(names) => fields
                .iter()
                .zip(names)
                .filter_map(|(field, name)| (name != LEFT_OUT).then_some(*field))
                .collect(),
            None => vec![fields[0], fields[fields.len() - 1]],
        };
        for (column, field) in self.open.iter_mut().zip(taken) {
            column.push(field);
        }
        Ok(())
    }

    /// Refuses a line whose fields are not what the first one and the names promise.
    fn check(&mut self, line: usize, separator: Option<u8>, fields: &[&str]) -> Result<()> {
        let name = self.name;
        let count = |fields: usize| match fields {
            1 => "1 field".to_owned(),
            fields => format!("{fields} fields"),
        };
        let found = count(fields.len());
        let refused = |error: Error| {
            let between = match separator {
                Some(b'\t') => "a tab".to_owned(),
                Some(separator) => format!("`{}`", char::from(separator)),
                None => "spaces".to_owned(),
            };
            Err(error
                .note(format!("between two fields there is {between}"))
                .help("a CoNLL file has a word a line with its tags beside it, and an empty line behind each sentence; \
                       `separator`, `columns` and `comment` say how this one is written"))
        };
        if let Some(names) = &self.dialect.columns
            && names.len() != fields.len()
        {
            return refused(Error::stage(format!(
                "line {line} of `{name}` has {found}, and `columns` names {}",
                names.len()
            )));
        }
        match self.form {
            None if self.dialect.columns.is_none() && fields.len() < 2 => {
                return refused(Error::stage(format!(
                    "line {line} of `{name}` has {found}: there is no tag beside the word"
                )));
            }
            None => {
                self.form = Some(Form {
                    line,
                    separator,
                    fields: fields.len(),
                });
            }
            Some(form) if form.fields != fields.len() => {
                return refused(Error::stage(format!(
                    "line {line} of `{name}` has {found}, and line {} has {}",
                    form.line, form.fields
                )));
            }
            Some(_) => {}
        }
        match fields.iter().position(|field| field.is_empty()) {
            Some(field) => refused(Error::stage(format!(
                "field {} on line {line} of `{name}` is empty",
                field + 1
            ))),
            None => Ok(()),
        }
    }

    /// Ends the sentence that has begun, if any has.
    fn close(&mut self) {
        if self.open.first().is_none_or(Vec::is_empty) {
            return;
        }
        for (column, fields) in self.columns.iter_mut().zip(&mut self.open) {
            column.append_values_iter(fields.drain(..));
        }
    }

    fn finish(mut self) -> Result<Loaded> {
        self.close();
        let name = self.name;
        if self.lines.is_empty() {
            return Err(Error::stage(format!("`{name}` has no sentence")));
        }
        let columns = self.columns.iter_mut();
        let columns = columns
            .map(|column| column.finish().into_column())
            .collect();
        let frame = DataFrame::new(self.lines.len(), columns)
            .or_stage(|| format!("cannot read `{name}`"))?;
        let mut loaded = Loaded::new(name, Table::new(frame), self.lines)?;
        for (count, what) in [
            (self.documents, format!("begin with `{DOCUMENT}`")),
            (self.comments, "are comments".to_owned()),
        ] {
            if count > 0 {
                loaded.notices.push(format!(
                    "lines of `{name}` that {what} and are in no sentence: {count}"
                ));
            }
        }
        Ok(loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, dialect: &Dialect) -> Result<Loaded> {
        read("t.conll", text.as_bytes(), dialect)
    }

    fn lists(loaded: &Loaded, name: &str) -> Vec<Vec<String>> {
        let column = loaded.table.column(name).expect("a column");
        let lists = column.list().expect("lists");
        let words = |row| -> Vec<String> {
            let series = lists.get_as_series(row).expect("a list");
            let words = series.str().expect("text").iter().flatten();
            words.map(str::to_owned).collect()
        };
        (0..loaded.table.rows()).map(words).collect()
    }

    #[test]
    fn sentences_become_rows() {
        let text = "\u{feff}-DOCSTART- O\n\nAda I-PER\r\nwrote  O\n \u{a0}\n\n\nIt O\n";
        let loaded = load(text, &Dialect::default()).expect("read");
        assert_eq!(loaded.table.columns(), USUAL);
        assert_eq!(lists(&loaded, "words"), [vec!["Ada", "wrote"], vec!["It"]]);
        assert_eq!(lists(&loaded, "tags"), [vec!["I-PER", "O"], vec!["O"]]);
        assert_eq!(loaded.lines, [3, 8]);
        assert_eq!(
            loaded.notices,
            ["lines of `t.conll` that begin with `-DOCSTART-` and are in no sentence: 1"]
        );
    }

    #[test]
    fn tabs_leave_spaces_in_words() {
        let text = "New York\tNNP\tB-LOC\nis\tVBZ\tO\n-DOCSTART-\tX\tO\nbig\tJJ\tO";
        let loaded = load(text, &Dialect::default()).expect("read");
        assert_eq!(
            lists(&loaded, "words"),
            [vec!["New York", "is"], vec!["big"]]
        );
        assert_eq!(lists(&loaded, "tags"), [vec!["B-LOC", "O"], vec!["O"]]);
    }

    #[test]
    fn columns_may_be_named_and_left_out_and_lines_be_comments() {
        let columns = ["_", "form", "upos"].map(str::to_owned).to_vec();
        let dialect = Dialect {
            columns: Some(columns),
            comment: Some("# ".into()),
            ..Dialect::default()
        };
        let loaded = load("# text = #1\n1 # SYM\n2 1 NUM\n", &dialect).expect("read");
        assert_eq!(loaded.table.columns(), ["form", "upos"]);
        assert_eq!(lists(&loaded, "form"), [["#", "1"]]);
        assert_eq!(loaded.notices.len(), 1, "{:?}", loaded.notices);
    }

    #[test]
    fn a_file_of_tags_is_told_by_its_lines() {
        let looks = |text: &str| looks_like(text.as_bytes());
        assert!(looks(
            "\u{feff}-DOCSTART- O\n\nAda I-PER\r\nwrote O\n\nIt O\n"
        ));
        assert!(looks("Ada\tNNP\tB-PER\nwrote\tVBD\tO\n\nIt\tPRP\tO\n"));
        let long = "Ada B-PER\nwrote O\n\n".repeat(10_000);
        assert!(looks(&long));
        for text in [
            "",
            "word tag\nAda B-PER\n\nIt O\n",
            "Ada O\n\nIt O\n",
            "Ada B-PER\nIt O\n",
            "text label\na 1\n",
            "one\n\ntwo\n",
        ] {
            assert!(!looks(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_conll_is_refused_with_its_line() {
        let message = |text: &str, dialect: &Dialect| {
            let error = load(text, dialect).expect_err("refused");
            error.message().to_owned()
        };
        let usual = Dialect::default();
        assert_eq!(
            message("Ada O\n\nShe wrote it.\n", &usual),
            "line 3 of `t.conll` has 3 fields, and line 1 has 2"
        );
        assert_eq!(
            message("Once\n", &usual),
            "line 1 of `t.conll` has 1 field: there is no tag beside the word"
        );
        assert_eq!(
            message("Ada\tO\nShe O\n", &usual),
            "line 2 of `t.conll` has 1 field, and line 1 has 2"
        );
        assert_eq!(
            message("Ada\tO\n\tO\n", &usual),
            "field 1 on line 2 of `t.conll` is empty"
        );
        assert_eq!(message(" \n\n", &usual), "`t.conll` has no sentence");
        let three = Dialect {
            columns: Some(["a", "b", "c"].map(str::to_owned).to_vec()),
            ..Dialect::default()
        };
        assert_eq!(
            message("Ada O\n", &three),
            "line 1 of `t.conll` has 2 fields, and `columns` names 3"
        );
    }
}
