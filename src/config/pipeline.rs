//! A pipeline file as it is meant: the profile laid over it, the command line's settings over that, references replaced.
//!
//! Nothing after this module sees a `${…}`. It knows neither stage kinds nor the graph.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::de::{Spanned, from_table};
use super::limits::Limits;
use super::matrix;
use super::params::{self, Scope};
use super::value::{Data, Table, Value};
use crate::error::{Context, Error, Result, Source, Span};
use crate::names;

/// The keys that a pipeline file may have at its top.
const SECTIONS: [&str; 5] = ["params", "pipeline", "profile", "stage", "tracking"];

/// The longest name of a stage in bytes: files and folders are called after it, with something behind it.
const LONGEST_NAME: usize = 200;

/// What the command line changes in a file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Each `--profile`, in order.
    pub profiles: Vec<String>,
    /// `-S key=value`, in order.
    pub set: Vec<String>,
}

impl Overrides {
    /// Whether the pipeline is run as the file says, so that its lock may be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty() && self.set.is_empty()
    }
}

/// A pipeline with every reference resolved.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The file.
    pub source: Arc<Source>,
    /// Its name: `pipeline.name`, else the file's.
    pub name: String,
    /// What the stages' seeds are derived from.
    pub seed: u64,
    /// Where tensors live, with its place if the file says it.
    pub device: (String, Option<Span>),
    /// Where runs are tracked; it changes no result.
    pub tracking: Tracking,
    /// The params that the stages saw.
    pub params: Table,
    /// The stages, in the order of the file.
    pub stages: Vec<StageTable>,
}

/// The table `[tracking]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// The folder for TensorBoard's files, relative to the pipeline file.
    pub tensorboard: Option<Spanned<String>>,
    /// The address of an MLflow server.
    pub mlflow: Option<Spanned<String>>,
    /// What runs are gathered under there; by default the name of the pipeline.
    pub experiment: Option<String>,
    /// Whether models are handed over, too.
    #[serde(default = "yes")]
    pub models: bool,
}

fn yes() -> bool {
    true
}

/// One `[stage.NAME]` table.
#[derive(Clone, Debug)]
pub struct StageTable {
    /// The stage's name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// The word after `kind =`.
    pub kind: (String, Span),
    /// `seed =`, if it sets one.
    pub seed: Option<u64>,
    /// What it may use and how long it may take.
    pub limits: Limits,
    /// Everything else: the kind's own settings.
    pub settings: Arc<Table>,
}

/// Reads the pipeline file at `path`.
///
/// # Errors
/// A file that cannot be read or is not UTF-8, broken TOML, unknown sections, profiles and params, values of the wrong
/// type; all of kind [`Usage`](crate::error::Kind::Usage), with their place.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Pipeline> {
    parse(&read(path)?, overrides)
}

/// Reads a text file that errors can point into, without a byte order mark.
///
/// # Errors
/// A file that cannot be read or is not UTF-8.
pub fn read(path: &Path) -> Result<Arc<Source>> {
    let bytes = std::fs::read(path).or_usage(|| format!("cannot read `{}`", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let refused = Error::usage(format!("`{}` is not UTF-8", path.display()));
        match error.as_bytes() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                refused.cause("it is UTF-16").help("save it as UTF-8")
            }
            _ => refused.cause(format!("the byte at offset {offset} is not")),
        }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(Arc::new(Source::new(path.display().to_string(), text)))
}

/// Reads a pipeline from the text of a file.
///
/// # Errors
/// As [`load`].
pub fn parse(source: &Arc<Source>, overrides: &Overrides) -> Result<Pipeline> {
    let mut root = Table::parse(source)?;
    check_keys(&root, &SECTIONS, "a pipeline file")?;
    let profiles = root.remove("profile");
    for (place, name) in overrides.profiles.iter().enumerate() {
        if overrides.profiles[..place].contains(name) {
            return Err(Error::usage(format!("profile `{name}` is named twice"))
                .help("profiles are laid over the file in order; name each once"));
        }
        root.merge(profile(profiles.as_ref(), name, source)?);
    }
    for argument in &overrides.set {
        params::set(&mut root, argument, source)?;
    }
    let params = section(&mut root, "params")?;
    let scope = Scope {
        params: &params,
        matrix: None,
    };
    let header = params::resolve(section(&mut root, "pipeline")?, &scope)?;
    let tracking = tracking(&params::resolve(section(&mut root, "tracking")?, &scope)?)?;
    let stages = section(&mut root, "stage")?;
    if stages.entries.is_empty() {
        return Err(Error::usage(format!("`{}` has no stage", source.name))
            .help("add a table such as `[stage.data]` with a `kind`"));
    }
    let mut named: Vec<(String, (Span, Value))> = stages.entries.into_iter().collect();
    named.sort_by_key(|(_, (span, _))| span.range.start);
    let mut stages = Vec::with_capacity(named.len());
    for (name, (span, value)) in named {
        stages.extend(instances(&name, &span, value, &params)?);
    }
    check_keys(&header, &["device", "name", "seed"], "`[pipeline]`")?;
    Ok(Pipeline {
        name: text(&header, "name")?.map_or_else(|| stem(&source.name), |(name, _)| name),
        seed: seed(&header)?.unwrap_or(0),
        device: text(&header, "device")?
            .map_or_else(|| ("cpu".into(), None), |(name, span)| (name, Some(span))),
        source: Arc::clone(source),
        tracking,
        params,
        stages,
    })
}

fn tracking(table: &Table) -> Result<Tracking> {
    let tracking: Tracking = from_table(table)?;
    if let Some(address) = &tracking.mlflow {
        check_server(&address.value).map_err(|error| address.blame(error, ""))?;
    }
    Ok(tracking)
}

/// Refuses what is no address of a server, or holds a login, which would be in git.
fn check_server(address: &str) -> Result<()> {
    let schemes = ["http://", "https://"];
    let rest = schemes
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme));
    match rest.and_then(|rest| rest.split('/').next()) {
        None | Some("") => Err(
            Error::usage(format!("`{address}` is no address of a server"))
                .help("write one such as \"http://127.0.0.1:5000\""),
        ),
        Some(host) if host.contains('@') => Err(Error::usage("the address holds a login")
            .help("leave it out, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")),
        Some(_) => Ok(()),
    }
}

/// The stages that one `[stage.NAME]` makes: one, or as many as its matrix has instances.
fn instances(name: &str, span: &Span, value: Value, params: &Table) -> Result<Vec<StageTable>> {
    names::check(name, "a stage").map_err(|error| error.at(span, ""))?;
    let Data::Table(mut table) = value.data else {
        let message = format!("stage `{name}` must be a table, not {}", value.type_name());
        return Err(Error::usage(message).at(&value.span, ""));
    };
    let instances = matrix::take(&mut table, params)?;
    let (mut table, mut left) = (Some(table), instances.len());
    let stage = |instance: &matrix::Instance| {
        left -= 1;
        let own = if left == 0 {
            table.take()
        } else {
            table.clone()
        };
        let settings = params::resolve(
            own.unwrap_or_else(|| Table::empty(span.clone())),
            &Scope {
                params,
                matrix: Some(instance),
            },
        )?;
        stage(
            format!("{name}{}", instance.suffix()),
            span.clone(),
            settings,
        )
    };
    instances.iter().map(stage).collect()
}

fn stage(name: String, span: Span, mut settings: Table) -> Result<StageTable> {
    if name.len() > LONGEST_NAME {
        return Err(Error::usage(format!(
            "a stage would be called by a name of {} bytes; {LONGEST_NAME} are the most",
            name.len()
        ))
        .at(&span, "")
        .note(format!("the name: {name}"))
        .help("files are called after stages; give the stage, or the keys of its matrix, shorter names"));
    }
    let Some(kind) = text(&settings, "kind")? else {
        return Err(Error::usage(format!("stage `{name}` has no `kind`")).at(&span, ""));
    };
    let seed = seed(&settings)?;
    settings.remove("kind");
    settings.remove("seed");
    let limits = Limits::take(&mut settings)?;
    Ok(StageTable {
        name,
        span,
        kind,
        seed,
        limits,
        settings: Arc::new(settings),
    })
}

/// The profile called `name`. Locks are called after profiles, with a `+` between several.
fn profile(profiles: Option<&Value>, name: &str, source: &Source) -> Result<Table> {
    let mut known = Vec::new();
    if let Some(Value {
        data: Data::Table(table),
        ..
    }) = profiles
    {
        if let Some(value) = table.get(name) {
            let span = &value.span;
            names::check(name, "a profile").map_err(|error| error.at(span, ""))?;
            let Data::Table(profile) = &value.data else {
                return Err(Error::usage(format!("profile `{name}` must be a table")).at(span, ""));
            };
            check_keys(
                profile,
                &["params", "pipeline", "stage", "tracking"],
                "a profile",
            )?;
            return Ok(profile.clone());
        }
        known = table.entries.keys().cloned().collect();
    }
    let error = Error::usage(format!("`{}` has no profile `{name}`", source.name));
    let error = error.did_you_mean(name, known.iter().map(String::as_str));
    Err(if known.is_empty() {
        error.help(format!("add `[profile.{name}.params]`"))
    } else {
        error.note(format!("its profiles: {}", known.join(", ")))
    })
}

fn section(root: &mut Table, key: &str) -> Result<Table> {
    match root.remove(key) {
        None => Ok(Table::empty(root.span.clone())),
        Some(Value {
            data: Data::Table(table),
            ..
        }) => Ok(table),
        Some(other) => Err(Error::usage(format!(
            "`{key}` must be a table, not {}",
            other.type_name()
        ))
        .at(&other.span, "")),
    }
}

fn check_keys(table: &Table, known: &[&str], what: &str) -> Result<()> {
    match table
        .entries
        .iter()
        .find(|(key, _)| !known.contains(&key.as_str()))
    {
        None => Ok(()),
        Some((key, (span, _))) => Err(Error::usage(format!("unknown key `{key}` in {what}"))
            .at(span, "")
            .did_you_mean(key, known.iter().copied())
            .note(format!("known keys: {}", known.join(", ")))),
    }
}

fn text(table: &Table, key: &str) -> Result<Option<(String, Span)>> {
    match table.get(key) {
        None => Ok(None),
        Some(Value {
            data: Data::String(text),
            span,
        }) => Ok(Some((text.clone(), span.clone()))),
        Some(other) => Err(Error::usage(format!(
            "`{key}` must be a string, not {}",
            other.type_name()
        ))
        .at(&other.span, "")),
    }
}

fn seed(table: &Table) -> Result<Option<u64>> {
    match table.get("seed") {
        None => Ok(None),
        Some(Value {
            data: Data::Integer(number),
            span,
        }) => u64::try_from(*number)
            .map(Some)
            .map_err(|_| Error::usage("`seed` must not be negative").at(span, "")),
        Some(other) => Err(Error::usage(format!(
            "`seed` must be an integer, not {}",
            other.type_name()
        ))
        .at(&other.span, "")),
    }
}

fn stem(name: &str) -> String {
    Path::new(name).file_stem().map_or_else(
        || name.to_string(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}
