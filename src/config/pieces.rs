//! A large file of many stages, read piece by piece, on all processors: a parser needs sixty times the memory of what it
//! reads at once.
//!
//! Cut is only before a line `[stage.NAME]`. Where that line was no header (in a text of several lines), where a stage is
//! defined in two pieces, or where a piece is wrong, the file is read as a whole, which decides what it means.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::named::Named;
use super::value::{Data, Table, Value};
use crate::error::{Source, Span};

/// Smaller files are read as a whole.
const LARGE: usize = 1 << 15;
/// A piece is at least so large.
const PIECE: usize = 1 << 11;

/// The file, if it is large and can be read in pieces.
pub(super) fn parse(source: &Arc<Source>) -> Option<Table> {
    if source.text.len() < LARGE {
        return None;
    }
    let tables = pieces(&source.text)
        .into_par_iter()
        .map(|piece| Table::parse_part(source, piece).ok());
    let mut tables = tables.collect::<Option<Vec<_>>>()?.into_iter();
    let mut whole = tables.next()?;
    let more = tables.map(stages).collect::<Option<Vec<_>>>()?;
    let (_, first) = whole.entries.get_mut("stage")?;
    let Data::Table(first) = &mut first.data else {
        return None;
    };
    first.entries.join(more.into_iter()).then_some(whole)
}

/// The stages of a piece; none if it holds anything else.
fn stages(piece: Table) -> Option<Named<(Span, Value)>> {
    let mut entries = piece.entries.into_iter();
    match (entries.next(), entries.next()) {
        (Some((key, (_, value))), None) if key == "stage" => match value.data {
            Data::Table(stages) => Some(stages.entries),
            _ => None,
        },
        _ => None,
    }
}

fn pieces(text: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    loop {
        let from = text.ceil_char_boundary((begin + PIECE).min(text.len()));
        let lines = text[from..].match_indices("\n[stage.");
        let mut starts = lines.map(|(offset, _)| from + offset + 1);
        let Some(next) = starts.find(|start| is_header(&text[*start..])) else {
            pieces.push(begin..text.len());
            return pieces;
        };
        pieces.push(begin..next);
        begin = next;
    }
}

/// Whether a line begins with `[stage.NAME]`, and not with a table within a stage.
fn is_header(line: &str) -> bool {
    let name = line.strip_prefix("[stage.").unwrap_or_default();
    name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
        .is_some_and(|end| end > 0 && name[end..].starts_with(']'))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn file(insert: &str) -> Arc<Source> {
        let mut text = String::from("[params]\n\"ä\" = \"ö\"\n");
        for stage in 0..3000 {
            let _ = write!(
                text,
                "\n[stage.s{stage}]\nkind = \"command\"\nargv = [\"echo\", \"{stage}\", \"a few words more ä\"]\n[stage.s{stage}.outputs]\nout = \"{stage}\"\n"
            );
            if stage == 2000 {
                text.push_str(insert);
            }
        }
        Arc::new(Source::new("p.toml", text))
    }

    fn whole(source: &Arc<Source>) -> Option<Table> {
        Table::parse_part(source, 0..source.text.len()).ok()
    }

    #[test]
    fn pieces_make_the_same_table_with_the_same_places() {
        let source = file("");
        assert!(pieces(&source.text).len() > 2);
        let read = parse(&source).expect("it can be read in pieces");
        let expected = whole(&source).expect("valid");
        assert_eq!(read.entries, expected.entries);
    }

    #[test]
    fn what_only_the_whole_file_tells_is_left_to_it() {
        let words = "x ".repeat(PIECE);
        for insert in [
            // A stage that is there already, a header within a text, what is no stage, what is wrong.
            "\n[stage.s7]\nkind = \"command\"\n".to_string(),
            format!("\n[stage.t]\nsql = \"\"\"\n{words}\n[stage.u]\n\"\"\"\n"),
            "\n[profile.smoke.params]\na = 1\n".to_string(),
            "\n[stage.t]\nkind = \n".to_string(),
        ] {
            let source = file(&insert);
            assert!(parse(&source).is_none(), "{}", &insert[..20]);
            let read = Table::parse(&source).ok();
            assert_eq!(read, whole(&source));
        }
    }

    #[test]
    fn small_files_are_read_as_a_whole() {
        assert!(parse(&Arc::new(Source::new("p.toml", "[stage.a]\n"))).is_none());
    }
}
