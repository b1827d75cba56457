//! New projects: looks at the data that is there, and writes a pipeline for it. Knows no stage and no cache: what it makes is files.

mod command;
mod files;
mod images;
mod text;

use std::path::{Component, Path, PathBuf};

pub use command::{CommandOptions, command};
pub use files::Draft;
pub use images::{ImageOptions, images};
pub use text::{TextOptions, text};

use crate::data::facts::Facts;
use crate::data::{schema, sniff};
use crate::error::{Context as _, Error, Kind, Result};
use crate::names::quoted;

/// Whoever decides where the data leaves a choice.
pub trait Ask {
    /// Which of `options` it is to be. `guess` is the likeliest; `flag` says it on the command line.
    ///
    /// # Errors
    /// That nobody can be asked and nothing can be guessed, with the flag; that the user does not answer.
    fn choose(
        &mut self,
        question: &str,
        options: &[String],
        guess: Option<usize>,
        flag: &str,
    ) -> Result<usize>;
}

/// A data schema guessed from the file at `path`, and what was decided about how the file is read.
///
/// # Errors
/// A file that cannot be read as a table.
pub fn guess_schema(path: &Path) -> Result<(String, Vec<String>)> {
    let sniffed = open(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let facts = Facts::of(&sniffed.table)?;
    Ok((schema::guess(&facts, &title(&name, &facts)), sniffed.told))
}

/// What a data schema says of itself.
fn title(name: &str, facts: &Facts) -> String {
    format!(
        "What must hold for {}, guessed from its {} rows. Change what is too narrow, or too wide.",
        quoted(name),
        facts.rows
    )
}

/// Reads the file at `path`; what is wrong with it is wrong with what the user has given.
fn open(path: &Path) -> Result<sniff::Sniffed> {
    if !path.exists() {
        let text = format!("there is no file `{}`", path.display());
        return Err(Error::usage(text));
    }
    if path.is_dir() {
        let text = format!("`{}` is a folder, not a table", path.display());
        return Err(Error::usage(text));
    }
    sniff::open(path).map_err(|error| error.of_kind(Kind::Usage))
}

/// `text` as a string of a pipeline, in which `${` begins no reference.
fn value(text: &str) -> String {
    quoted(&text.replace("${", "$${"))
}

/// `texts` as an array of a pipeline; lines of it are not longer than most.
fn list(texts: &[String]) -> String {
    let values: Vec<String> = texts.iter().map(|text| value(text)).collect();
    let line = values.join(", ");
    if line.chars().count() <= 100 {
        return format!("[{line}]");
    }
    let mut text = String::from("[\n");
    for value in values {
        text.push_str("  ");
        text.push_str(&value);
        text.push_str(",\n");
    }
    text.push(']');
    text
}

/// The name of a project in `folder`, for what is made of `data`.
fn name(data: &Path) -> String {
    let stem = data.file_stem().unwrap_or_default().to_string_lossy();
    let mut name: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    name.truncate(60);
    let name = name.trim_matches('-');
    if name.is_empty() { "new" } else { name }.to_owned()
}

/// A path as it is told: without the folder that we are in.
fn shown(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path);
    let text = path.display().to_string();
    if text.is_empty() { ".".into() } else { text }
}

/// How a pipeline in `folder` names the file or folder `path`.
fn source(folder: &Path, path: &Path) -> Result<String> {
    let cannot = |path: &Path| format!("cannot find `{}`", path.display());
    let base = canonical(folder).or_stage(|| cannot(folder))?;
    let path = path.canonicalize().or_stage(|| cannot(path))?;
    let shared = base
        .components()
        .zip(path.components())
        .take_while(|(one, other)| one == other)
        .count();
    let up = base.components().skip(shared).map(|_| Component::ParentDir);
    let down = path.components().skip(shared);
    let relative: PathBuf = up.chain(down).collect();
    let text = relative
        .to_str()
        .ok_or_else(|| Error::usage(format!("the name of `{}` is not UTF-8", path.display())))?;
    if text.contains(['#', '\\']) || text.contains("://") {
        return Err(Error::usage(format!(
            "the name `{text}` holds what has a meaning in a source"
        ))
        .help("rename it: without `#`, `\\` and `://`"));
    }
    let text = text.replace(std::path::MAIN_SEPARATOR, "/");
    // `hf:x` and the like would be read as another scheme.
    Ok(if text.contains(':') {
        format!("./{text}")
    } else {
        text
    })
}

/// The place of a folder that need not be there yet.
fn canonical(folder: &Path) -> std::io::Result<PathBuf> {
    let mut rest = Vec::new();
    let whole = std::path::absolute(folder)?;
    let mut there = whole.as_path();
    while let (Some(parent), Some(name)) = (there.parent(), there.file_name()) {
        if there.exists() {
            break;
        }
        rest.push(name);
        there = parent;
    }
    let there = there.canonicalize()?;
    Ok(rest.iter().rev().fold(there, |path, name| path.join(name)))
}

/// The shares of the parts, so that a first run is quick: none of more than `most` samples.
struct Parts {
    shares: Vec<(&'static str, f64)>,
    told: Option<String>,
}

/// How `samples` samples are dealt out. Beyond `most`, the rest is left for later.
#[expect(clippy::cast_precision_loss, reason = "shares are rounded anyway")]
fn parts(samples: usize, most: usize, what: &str) -> Parts {
    if samples < 200 {
        return Parts {
            shares: vec![("train", 0.75), ("test", 0.25)],
            told: None,
        };
    }
    if samples <= most + most / 2 {
        return Parts {
            shares: vec![("train", 0.7), ("validation", 0.1), ("test", 0.2)],
            told: None,
        };
    }
    let share = |part: f64| (part * most as f64 / samples as f64 * 1e4).round().max(1.0) / 1e4;
    let (train, validation, test) = (share(0.7), share(0.1), share(0.2));
    let rest = ((1.0 - train - validation - test) * 1e4).round() / 1e4;
    Parts {
        shares: vec![
            ("train", train),
            ("validation", validation),
            ("test", test),
            ("rest", rest),
        ],
        told: Some(format!(
            "so that a first run is quick, the parts have about {most} of {samples} {what}; the others are in the part `rest`, which \
             nothing uses yet (`parts` of the stage `split`)"
        )),
    }
}

impl Parts {
    fn has_validation(&self) -> bool {
        self.shares.iter().any(|(name, _)| *name == "validation")
    }

    fn written(&self) -> String {
        let shares = self.shares.iter();
        let shares: Vec<String> = shares
            .map(|(name, share)| format!("{name} = {share}"))
            .collect();
        format!("{{ {} }}", shares.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_the_pipelines_here() {
        let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        for (block, file) in [
            (text::ENCODER, "sentiment.toml"),
            (images::NETWORK, "cats-vs-dogs.toml"),
        ] {
            let pipeline = std::fs::read_to_string(pipelines.join(file)).expect(file);
            let pins = block
                .lines()
                .filter(|line| line.contains("sha256:") || line.contains("pip:"));
            assert!(pins.clone().count() >= 2, "{block}");
            for line in pins {
                assert!(
                    pipeline.contains(line),
                    "{file} has another line than {line}"
                );
            }
        }
    }

    #[test]
    fn shares_sum_to_one() {
        for samples in [1, 199, 200, 5000, 5001, 123_457, 10_000_000] {
            let parts = parts(samples, 5000, "rows");
            let sum: f64 = parts.shares.iter().map(|(_, share)| share).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{samples}: {}", parts.written());
        }
    }

    #[test]
    fn names_are_names() {
        for (data, expected) in [
            ("Restaurant Reviews.csv", "restaurant-reviews"),
            ("ä/ö.csv", "new"),
            ("..", "new"),
        ] {
            assert_eq!(name(Path::new(data)), expected);
        }
    }
}
