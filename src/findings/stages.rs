//! Stages as they stand: their settings, ports, figures, and how they came to their results.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Known;
use super::runs::Told;
use crate::exec::{Forecast, Preview, in_words};
use crate::fingerprint::{Field, Fingerprint, Reason, Role};
use crate::journal;
use crate::page::{Figure, GateFact, Input, Output, Stage, Standing};
use crate::report::{MetricsRow, Standing as Of};
use crate::run::{Figures, Project};
use crate::stages::higher_is_better;

/// On a page of more stages, settings of instances are left out: the page would be too long to open.
const MOST_IN_FULL: usize = 450;

/// The params, as TOML.
pub(super) fn params(project: &Project) -> Vec<(String, String)> {
    let entries = project.pipeline.params.entries.iter();
    entries
        .map(|(name, (_, value))| (name.clone(), value.to_toml()))
        .collect()
}

/// What is known of a stage without looking into what it made.
pub(super) fn stage(project: &Project, known: &Known<'_>, told: &Told, figures: &Figures) -> Stage {
    let node = known.node;
    let entry = project.lock.stages.get(&node.name);
    let fingerprint = known
        .preview
        .and_then(|preview| preview.fingerprint.as_ref());
    let recorded = known
        .record
        .map(|record| Fingerprint::from_explanation(record.explanation.iter()));
    let fields = fingerprint
        .or(recorded.as_ref())
        .map_or(&[][..], Fingerprint::fields);
    let key = known.preview.and_then(Preview::key);
    let made = told.made(key.as_deref().unwrap_or_default());
    let (standing, reason) = standing(project, known, key.as_deref());
    let row = figures.rows.iter().find(|row| row.stage == node.name);
    let of = |role: Role| {
        fields
            .iter()
            .find(|field| field.role == role)
            .map(|field| field.value.clone())
    };
    Stage {
        name: node.name.clone(),
        kind: node.kind.name().into(),
        about: node.kind.about(),
        needs: needs(known),
        standing,
        reason,
        outcome: told.outcome(&node.name),
        ran_because: made.because,
        seconds: known.record.map(|record| record.seconds),
        cpu_seconds: made.cpu_seconds.filter(|_| known.record.is_some()),
        memory: made.memory.filter(|_| known.record.is_some()),
        finished: known.record.map_or(String::new(), |record| {
            record
                .finished_at
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string()
        }),
        settings: settings(project, known, fields),
        files: named(fields, Role::File),
        seed: of(Role::Seed).unwrap_or_default(),
        device: of(Role::Device).unwrap_or_default(),
        inputs: inputs(project, known),
        outputs: outputs(project, known),
        key: key
            .or_else(|| entry.map(|entry| entry.key.to_string()))
            .unwrap_or_default(),
        recipe: entry
            .map(|entry| entry.recipe.to_string())
            .unwrap_or_default(),
        figures: row.map(|row| measured(known, row)).unwrap_or_default(),
        figures_note: row.map(|row| note(known, row)).unwrap_or_default(),
        notices: made.notices,
        ..Stage::default()
    }
}

fn needs(known: &Known<'_>) -> Vec<usize> {
    let mut needs: Vec<usize> = known.node.inputs.iter().map(|edge| edge.from).collect();
    needs.sort_unstable();
    needs.dedup();
    needs
}

/// How the result stands, by the rules of `refire status`, and why.
fn standing(project: &Project, known: &Known<'_>, key: Option<&str>) -> (Standing, String) {
    let Some(preview) = known.preview else {
        return (Standing::Missing, "how it stands cannot be told".into());
    };
    let (standing, reason) = match &preview.forecast {
        Forecast::Cached(_) => (Standing::Fresh, String::new()),
        Forecast::Fails(_, error) => (Standing::Failed, error.message().into()),
        Forecast::Skipped { needs } => (Standing::Stale, format!("`{needs}` does not end well")),
        Forecast::Run(reasons) | Forecast::Depends(reasons) => {
            let (runs, file) = (project.workspace.runs(), &project.configuration.file);
            let name = known.node.name.as_str();
            let failed = key.and_then(|key| {
                journal::last_failures(runs, file, &[(name, key.into())]).remove(name)
            });
            let is_lost = |reason: &Reason| matches!(reason, Reason::New | Reason::Lost);
            match failed {
                Some(failure) => (Standing::Failed, failure),
                None if reasons.iter().any(is_lost) => (Standing::Missing, in_words(reasons)),
                None => (Standing::Stale, in_words(reasons)),
            }
        }
    };
    match &preview.resumes {
        Some(resumes) => (standing, format!("{reason}; {resumes}")),
        None => (standing, reason),
    }
}

/// Settings with their defaults where the key is known, else as they are written.
fn settings(project: &Project, known: &Known<'_>, fields: &[Field]) -> Vec<(String, String)> {
    if project.plan.nodes.len() > MOST_IN_FULL && known.node.name.contains('@') {
        return vec![(
            "settings".into(),
            "left out on a page of so many stages".into(),
        )];
    }
    if fields.is_empty() {
        let entries = known.node.settings.entries.iter();
        return entries
            .map(|(name, (_, value))| (name.clone(), value.to_toml()))
            .collect();
    }
    let settings = named(fields, Role::Setting).into_iter();
    settings
        .map(|(name, value)| (name, plain(&value)))
        .collect()
}

/// A value of JSON, without the quotes of a text.
pub(super) fn plain(json: &str) -> String {
    match serde_json::from_str(json) {
        Ok(Value::String(text)) => text,
        _ => json.into(),
    }
}

fn named(fields: &[Field], role: Role) -> Vec<(String, String)> {
    let fields = fields.iter().filter(|field| field.role == role);
    fields
        .map(|field| (field.name.clone(), field.value.clone()))
        .collect()
}

fn inputs(project: &Project, known: &Known<'_>) -> Vec<Input> {
    let nodes = &project.plan.nodes;
    let fingerprint = known
        .preview
        .and_then(|preview| preview.fingerprint.as_ref());
    let edges = known.node.inputs.iter();
    edges
        .map(|edge| {
            let from = &nodes[edge.from];
            let digest =
                fingerprint.and_then(|fingerprint| fingerprint.value(Role::Input, &edge.port));
            Input {
                port: edge.port.clone(),
                from: if from.outputs.len() > 1 {
                    format!("{}.{}", from.name, edge.output)
                } else {
                    from.name.clone()
                },
                digest: digest.unwrap_or_default().into(),
            }
        })
        .collect()
}

fn outputs(project: &Project, known: &Known<'_>) -> Vec<Output> {
    let entry = project.lock.stages.get(&known.node.name);
    let outputs = known.node.outputs.iter();
    outputs
        .map(|output| {
            let made = known
                .record
                .and_then(|record| record.outputs.get(&output.port));
            let size = made.and_then(|artifact| {
                let manifest = project.store.manifest(artifact).ok()?;
                Some((manifest.files().len(), manifest.bytes()))
            });
            let locked = || entry.and_then(|entry| entry.outputs.get(&output.port));
            Output {
                port: output.port.clone(),
                what: output.artifact.with_article(),
                digest: made
                    .or_else(locked)
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                size,
            }
        })
        .collect()
}

/// Whether the figure `name` is the better the higher it is; a training's are called after those of a test.
pub(super) fn direction(name: &str) -> Option<bool> {
    let of_test = name.strip_prefix("validation_").unwrap_or(name);
    higher_is_better(of_test).or_else(|| of_test.ends_with("loss").then_some(false))
}

/// Its figures, with gates, and with what the committed lock says.
fn measured(known: &Known<'_>, row: &MetricsRow) -> Vec<Figure> {
    let gates = known.node.stage.gates();
    // What is of other settings says nothing of what has changed.
    let compared = known.committed.filter(|_| row.state != Of::Stale);
    let passes = |name: &str| {
        let mut of = gates.iter().filter(|gate| gate.metric == name);
        of.all(|gate| gate.failure(&row.metrics, &known.node.baseline).is_none())
    };
    let gate = |name: &str| {
        let conditions: Vec<String> = gates
            .iter()
            .filter(|gate| gate.metric == name)
            .map(crate::stages::Gate::condition)
            .collect();
        (!conditions.is_empty()).then(|| GateFact {
            condition: conditions.join(", "),
            passes: passes(name),
        })
    };
    let figure = |(name, value): (&String, &f64)| Figure {
        name: name.clone(),
        value: *value,
        interval: None,
        committed: compared.and_then(|committed| committed.get(name)).copied(),
        higher_is_better: direction(name),
        gate: gate(name),
    };
    BTreeMap::iter(&row.metrics).map(figure).collect()
}

fn note(known: &Known<'_>, row: &MetricsRow) -> String {
    match row.state {
        Of::Stale => format!("These are of other settings or inputs: {}.", row.reason),
        Of::Unknown => "Whether these are of the files as they are cannot be told.".into(),
        Of::Fresh | Of::Failed if known.record.is_none() => {
            "From the lock; the result itself is not in the cache.".into()
        }
        Of::Fresh | Of::Failed => String::new(),
    }
}
