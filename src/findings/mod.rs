//! What is known of a pipeline's results, for a page to show: the state of its stages as `status` and `metrics` know it, its runs from
//! their journals, and what lies in the artifacts. Reads, and runs nothing.
//!
//! What a file in the cache says is read tolerantly: a part that is missing or strange is left out, and the page says so where it would
//! be looked for.

mod artifacts;
mod curves;
mod evaluation;
mod file;
mod matrices;
mod mistakes;
mod model;
mod overlay;
mod runs;
mod served;
mod stages;
mod tables;

use std::collections::BTreeSet;
use std::path::Path;

use self::artifacts::Artifacts;
pub use self::file::{check, default_path, save};
use self::runs::Told;
pub use self::served::Served;
use crate::config::{Named, Overrides};
use crate::error::Result;
use crate::event::now;
use crate::exec::{Forecast, Preview};
use crate::page::{Matrix, Page, Revision, Standing};
use crate::plan::{Goal, Node};
use crate::run::{self, Figures, Project, Version};
use crate::store::{Digest, Record};

/// All that is known of a stage, before it is looked into what it made.
struct Known<'p> {
    node: &'p Node,
    preview: Option<&'p Preview>,
    /// The record of its result, if that is in the cache and of what the files say now.
    record: Option<&'p Record>,
    /// Its figures in the lock that was committed.
    committed: Option<&'p Named<f64>>,
}

/// Everything that a page of `project` shows.
///
/// # Errors
/// A cache or a file that cannot be read.
pub fn gather(project: &Project, overrides: &Overrides) -> Result<Page> {
    let mut missing = Vec::new();
    let previews = match project.preview(&Goal::default(), false) {
        Ok(previews) => previews,
        Err(error) => {
            missing.push(format!("How the stages stand cannot be told: {error}."));
            Vec::new()
        }
    };
    let figures = project.figures();
    let committed = run::metrics(&project.path, overrides, "HEAD");
    if let Err(error) = &committed {
        missing.push(format!(
            "Nothing is compared with a committed lock: {error}."
        ));
    }
    let committed = committed.unwrap_or_default();
    let told = Told::read(project);
    let known: Vec<Known<'_>> = project
        .plan
        .nodes
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let preview = previews.iter().find(|preview| preview.index == index);
            let record = preview.and_then(|preview| match &preview.forecast {
                Forecast::Cached(record) | Forecast::Fails(record, _) => Some(&**record),
                _ => None,
            });
            Known {
                node,
                preview,
                record,
                committed: committed.get(&node.name),
            }
        })
        .collect();
    let mut page = Page {
        name: project.pipeline.name.clone(),
        file: project.configuration.file.clone(),
        flags: project.configuration.flags(),
        seed: project.pipeline.seed,
        device: project.pipeline.device.0.clone(),
        params: stages::params(project),
        made: runs::written(now()),
        run: told.latest(project, &mut missing),
        stages: known
            .iter()
            .map(|known| stages::stage(project, known, &told, &figures))
            .collect(),
        runs: told.earlier(),
        ..Page::default()
    };
    hand_down_what_is_missing(&known, &mut page);
    say_what_is_missing(&page, &figures, &mut missing);
    add_unrecorded_figures(project, &known, &mut page);
    page.matrices = matrices::matrices(&page);
    look_into(project, &known, &mut page, &mut missing);
    page.missing = missing;
    Ok(page)
}

/// What the pipeline at `path` had committed at each of these revisions.
///
/// # Errors
/// A revision that git does not know, one without the pipeline or its lock.
pub fn revisions(path: &Path, overrides: &Overrides, names: &[String]) -> Result<Vec<Revision>> {
    let revision = |name: &String| {
        let figures = run::metrics(path, overrides, name)?;
        let figures = figures.into_iter().map(|(stage, figures)| {
            let figures = figures.iter().cloned().collect();
            (stage, figures)
        });
        Ok(Revision {
            name: name.clone(),
            figures: figures.collect(),
            params: run::params(path, overrides, &Version::At(name.clone()))?,
        })
    };
    names.iter().map(revision).collect()
}

/// What only waits for results that are missing, as after the cache has gone, is missing too: nothing has changed.
fn hand_down_what_is_missing(known: &[Known<'_>], page: &mut Page) {
    for (place, known) in known.iter().enumerate() {
        let waits = known
            .preview
            .is_some_and(|preview| matches!(preview.forecast, Forecast::Depends(_)));
        let is_missing = |need: &usize| {
            matches!(
                page.stages[*need].standing,
                Standing::Fresh | Standing::Missing
            )
        };
        if waits && page.stages[place].needs.iter().all(is_missing) {
            page.stages[place].standing = Standing::Missing;
        }
    }
}

/// Adds the figures of stages that make `metrics` and record none, such as commands.
fn add_unrecorded_figures(project: &Project, known: &[Known<'_>], page: &mut Page) {
    let artifacts = Artifacts::new(&project.store);
    for (known, stage) in known.iter().zip(&mut page.stages) {
        let Some(record) = known.record.filter(|_| stage.figures.is_empty()) else {
            continue;
        };
        if let Some(report) = evaluation::report(&artifacts, known.node, record) {
            stage.figures = evaluation::figures(&report);
        }
    }
}

/// Adds what lies in artifacts: of each stage on its own, and of the best instance of each matrix.
fn look_into(project: &Project, known: &[Known<'_>], page: &mut Page, missing: &mut Vec<String>) {
    let artifacts = Artifacts::new(&project.store);
    let looked_at = shown(page);
    for place in 0..page.stages.len() {
        let Some(record) = known[place].record.filter(|_| looked_at.contains(&place)) else {
            continue;
        };
        let node = known[place].node;
        let stage = &mut page.stages[place];
        stage.curves = curves::curves(&artifacts, node, record);
        stage.model = model::model(&artifacts, node, record);
        if let Some(report) = evaluation::report(&artifacts, node, record) {
            evaluation::add_intervals(&report, &mut stage.figures);
            stage.evaluation = evaluation::evaluation(&report);
        }
        let found = mistakes::mistakes(&artifacts, known, place);
        stage.mistakes = say(found, &stage.name, missing);
        let found = tables::tables(&artifacts, node, record);
        stage.tables = say(found, &stage.name, missing).unwrap_or_default();
        let found = tables::images(&artifacts, node, record);
        stage.images = say(found, &stage.name, missing).unwrap_or_default();
        let found = tables::comparison(project, &artifacts, known, place);
        stage.comparison = say(found, &stage.name, missing);
    }
    overlay::overlay(&artifacts, known, page);
}

/// What was found; else nothing, and the error as a sentence of what is missing.
fn say<T>(found: Result<Option<T>>, stage: &str, missing: &mut Vec<String>) -> Option<T> {
    found.unwrap_or_else(|error| {
        missing.push(format!(
            "Of what `{stage}` made, a part cannot be shown: {error}."
        ));
        None
    })
}

/// The places of the stages that are looked into.
fn shown(page: &Page) -> BTreeSet<usize> {
    let alone = page
        .stages
        .iter()
        .enumerate()
        .filter(|(_, stage)| !stage.name.contains('@'));
    let best = |matrix: &Matrix| {
        let best = matrix.ranked().first().copied()?;
        Some(matrix.instances[best].place)
    };
    // Of a matrix without figures, such as one of splits, the first.
    let mut bases: BTreeSet<&str> = page
        .matrices
        .iter()
        .map(|matrix| matrix.stage.as_str())
        .collect();
    let mut first = Vec::new();
    for (place, stage) in page.stages.iter().enumerate() {
        if let Some((base, _)) = stage.name.split_once('@')
            && bases.insert(base)
        {
            first.push(place);
        }
    }
    alone
        .map(|(place, _)| place)
        .chain(page.matrices.iter().filter_map(best))
        .chain(first)
        .collect()
}

/// Says of which stages no result is there, since their curves, tables and mistakes are looked for in vain.
fn say_what_is_missing(page: &Page, figures: &Figures, missing: &mut Vec<String>) {
    let of = |standing: Standing| {
        let stages = page
            .stages
            .iter()
            .filter(|stage| stage.standing == standing);
        stages.map(|stage| stage.name.as_str()).collect::<Vec<_>>()
    };
    let (gone, stale) = (of(Standing::Missing), of(Standing::Stale));
    if !gone.is_empty() {
        let from_lock = page
            .stages
            .iter()
            .any(|stage| stage.standing == Standing::Missing && !stage.figures.is_empty());
        let figures = if from_lock {
            ", and its figures are those of the lock"
        } else {
            ""
        };
        missing.push(format!(
            "The cache has no result of {}: what would be drawn of it is not here{figures}. `refire run` makes it.",
            names(&gone)
        ));
    }
    if !stale.is_empty() {
        missing.push(format!(
            "Of {} only results of other settings or inputs are known, which are not drawn. `refire run` brings them up to date.",
            names(&stale)
        ));
    }
    if !figures.missing.is_empty() {
        let stages: Vec<&str> = figures.missing.iter().map(String::as_str).collect();
        missing.push(format!(
            "With these settings no figures are known of {}.",
            names(&stages)
        ));
    }
    if let Some(error) = &figures.doubt {
        missing.push(format!(
            "Whether the figures are of the files as they are cannot be told: {error}."
        ));
    }
}

/// Names of stages in a sentence.
fn names(stages: &[&str]) -> String {
    const MOST: usize = 6;
    let shown: Vec<String> = stages
        .iter()
        .take(MOST)
        .map(|name| format!("`{name}`"))
        .collect();
    match stages.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The artifact that a stage gives at the port that a reference of another's edge names.
fn upstream<'k>(
    known: &'k [Known<'_>],
    place: usize,
    port: &str,
) -> Option<(&'k Known<'k>, Digest)> {
    let edge = known[place]
        .node
        .inputs
        .iter()
        .find(|edge| edge.port == port)?;
    let from = &known[edge.from];
    Some((from, *from.record?.outputs.get(&edge.output)?))
}
