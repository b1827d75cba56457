//! `refire predict --text`: texts on the command line, as a file that is labelled like any other.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Context as _, Error, Result};
use crate::report;

/// The column of the texts.
pub(super) const TEXT: &str = "text";
/// The column of their second parts.
pub(super) const PAIR: &str = "text_pair";

/// The texts as a file of JSON lines in `folder`.
pub(super) fn file(folder: &Path, texts: &[String], pairs: &[String]) -> Result<PathBuf> {
    if !pairs.is_empty() && pairs.len() != texts.len() {
        return Err(Error::usage(format!(
            "there are {} texts and {} second parts of pairs",
            texts.len(),
            pairs.len()
        ))
        .help("give each --text its --text-pair"));
    }
    let path = folder.join("texts.jsonl");
    let cannot = || "cannot write the texts to a temporary folder";
    let mut file = std::fs::File::create(&path).or_stage(cannot)?;
    for (place, text) in texts.iter().enumerate() {
        let mut row = json!({ TEXT: text });
        if let Some(pair) = pairs.get(place) {
            row[PAIR] = pair.as_str().into();
        }
        writeln!(file, "{row}").or_stage(cannot)?;
    }
    file.flush().or_stage(cannot)?;
    Ok(path)
}

/// Prints what was made of the texts: the lines of the file at `path`, or for people.
pub(super) fn print(path: &Path, pairs: bool, json: bool) -> Result<()> {
    let cannot = || "cannot read what was made of the texts";
    let text = std::fs::read_to_string(path).or_stage(cannot)?;
    if json {
        return report::print(&text);
    }
    let rows = text.lines().map(serde_json::from_str::<Map<String, Value>>);
    let rows: Vec<_> = rows.collect::<Result<_, _>>().or_stage(cannot)?;
    report::print_styled(&report::answers(&rows, if pairs { 2 } else { 1 }))
}
