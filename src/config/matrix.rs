//! `matrix = { lr = [1e-4, 3e-4] }`: one stage table becomes several, `tune@lr=1e-4` and `tune@lr=3e-4`.

mod draws;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::params::resolve_matrix;
use super::value::{Data, Table, Value};
use crate::error::{Error, Result, Span};
use crate::names;

/// The longest text of a value in a name; of a longer one stands the beginning, and a digest for the rest.
const LONGEST: usize = 64;

/// The most instances of one matrix.
const MOST: usize = 10_000;

/// The values that one instance of a matrix stage was made with, in the order of the file: key, value, and the text that
/// stands in the instance's name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Instance(Vec<(String, Value, String)>);

impl Instance {
    /// The value of `key` and its text.
    pub(super) fn get(&self, key: &str) -> Option<(&Value, &str)> {
        let found = self.0.iter().find(|(name, _, _)| name == key);
        found.map(|(_, value, text)| (value, text.as_str()))
    }

    /// The keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _, _)| key.as_str())
    }

    /// What follows the stage's name: `@lr=1e-4,depth=2`; nothing for a stage without a matrix.
    pub(super) fn suffix(&self) -> String {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(key, _, text)| format!("{key}={text}"))
            .collect();
        if parts.is_empty() {
            String::new()
        } else {
            format!("@{}", parts.join(","))
        }
    }
}

/// Takes `matrix` out of a stage's table: the instances that it makes, one without values if there is none.
///
/// Every combination of the listed values is an instance, or with `sample` so many that are drawn, as are the tables in `include`; combinations that agree with a
/// table in `exclude` are left out. All of these may refer to `params`.
pub(super) fn take(settings: &mut Table, params: &Table) -> Result<Vec<Instance>> {
    let Some(value) = settings.remove("matrix") else {
        return Ok(vec![Instance::default()]);
    };
    let value = resolve_matrix(value, params)?;
    let span = value.span.clone();
    let Data::Table(mut matrix) = value.data else {
        return Err(Error::usage("`matrix` must be a table")
            .at(&span, "")
            .help("matrix = { lr = [1e-4, 3e-4] }"));
    };
    let include = tables(&mut matrix, "include")?;
    let exclude = tables(&mut matrix, "exclude")?;
    let (axes, mut instances) = if let Some((count, seed)) = draws::take(&mut matrix)? {
        let instances = draws::draw(matrix, count, seed, &span)?;
        (draws::axes(&instances, &span), instances)
    } else {
        let axes = axes(matrix)?;
        refuse_many(&axes, include.len(), &span)?;
        let instances = combinations(&axes)?;
        (axes, instances)
    };
    for table in &exclude {
        check_known(table, &axes)?;
        if !instances.iter().any(|instance| agrees(instance, table)) {
            return Err(Error::usage("this `exclude` matches no instance")
                .at(&table.span, "")
                .help(
                    "exclude combinations of the listed values, in the same type: 1 is not 1.0",
                ));
        }
    }
    instances.retain(|instance| !exclude.iter().any(|table| agrees(instance, table)));
    for table in include {
        instances.push(included(table, &axes)?);
    }
    if instances.is_empty() {
        return Err(Error::usage("this matrix makes no stage").at(&span, ""));
    }
    check_unique(&instances, &span)?;
    Ok(instances)
}

/// A key of the matrix, its place, and the values that it takes.
type Axis = (String, Span, Vec<Value>);

/// The keys in the order in which they are written.
fn axes(matrix: Table) -> Result<Vec<Axis>> {
    let mut axes = Vec::new();
    for (key, (key_span, value)) in matrix.entries {
        check_key(&key, &key_span)?;
        match value.data {
            Data::Array(values) if !values.is_empty() => axes.push((key, key_span, values)),
            _ => {
                return Err(Error::usage(format!(
                    "`matrix.{key}` must be an array with at least one value"
                ))
                .at(&value.span, ""));
            }
        }
    }
    axes.sort_by_key(|(_, span, _)| span.range.start);
    Ok(axes)
}

/// Refuses a matrix of more instances than can be meant, before any is made.
fn refuse_many(axes: &[Axis], included: usize, span: &Span) -> Result<()> {
    let mut lengths = axes.iter().map(|(_, _, values)| values.len());
    let combined = if axes.is_empty() {
        Some(0)
    } else {
        lengths.try_fold(1, usize::checked_mul)
    };
    let count = combined.and_then(|combined| combined.checked_add(included));
    if count.is_some_and(|count| count <= MOST) {
        return Ok(());
    }
    let many = count.map_or("more than 10^19".into(), |count| count.to_string());
    Err(Error::usage(format!(
        "this matrix makes {many} instances, and at most {MOST} are taken"
    ))
    .at(span, "")
    .help("list fewer values, or name the combinations in `include` alone"))
}

/// Every combination of the listed values.
fn combinations(axes: &[Axis]) -> Result<Vec<Instance>> {
    let mut instances = if axes.is_empty() {
        Vec::new()
    } else {
        vec![Instance::default()]
    };
    for (key, _, values) in axes {
        let mut longer = Vec::with_capacity(instances.len() * values.len());
        for instance in &instances {
            for value in values {
                let mut next = instance.clone();
                next.0.push((key.clone(), value.clone(), text(value)?));
                longer.push(next);
            }
        }
        instances = longer;
    }
    Ok(instances)
}

fn included(table: Table, axes: &[Axis]) -> Result<Instance> {
    if !axes.is_empty() {
        check_known(&table, axes)?;
        if let Some((missing, _, _)) = axes.iter().find(|(key, _, _)| table.get(key).is_none()) {
            return Err(
                Error::usage(format!("this combination has no `{missing}`")).at(&table.span, "")
            );
        }
    }
    let mut entries: Vec<(String, (Span, Value))> = table.entries.into_iter().collect();
    entries.sort_by_key(|(key, (span, _))| {
        let place = axes.iter().position(|(axis, _, _)| axis == key);
        place.unwrap_or(span.range.start)
    });
    let mut instance = Instance::default();
    for (key, (span, value)) in entries {
        check_key(&key, &span)?;
        let text = text(&value)?;
        instance.0.push((key, value, text));
    }
    Ok(instance)
}

fn agrees(instance: &Instance, table: &Table) -> bool {
    let same = |key: &str, wanted: &Value| {
        instance
            .get(key)
            .is_some_and(|(value, _)| value.to_toml() == wanted.to_toml())
    };
    table
        .entries
        .iter()
        .all(|(key, (_, wanted))| same(key, wanted))
}

fn check_known(table: &Table, axes: &[Axis]) -> Result<()> {
    let keys = || axes.iter().map(|(key, _, _)| key.as_str());
    match table
        .entries
        .iter()
        .find(|(key, _)| !keys().any(|known| known == key.as_str()))
    {
        None => Ok(()),
        Some((key, (span, _))) => Err(Error::usage(format!("the matrix has no `{key}`"))
            .at(span, "")
            .did_you_mean(key, keys())),
    }
}

fn check_key(key: &str, span: &Span) -> Result<()> {
    if names::is_name(key) {
        return Ok(());
    }
    Err(Error::usage(format!("`{key}` cannot be a key of a matrix"))
        .at(span, "")
        .help("use ASCII letters, digits, `_` and `-`"))
}

/// Logs and folders are called after instances, and some disks do not tell cases apart.
fn check_unique(instances: &[Instance], span: &Span) -> Result<()> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for name in instances.iter().map(Instance::suffix) {
        let Some(other) = names.insert(name.to_ascii_lowercase(), name.clone()) else {
            continue;
        };
        if other == name {
            return Err(Error::usage(format!("this matrix makes `{name}` twice")).at(span, ""));
        }
        return Err(Error::usage(format!(
            "this matrix makes `{other}` and `{name}`, which differ in nothing but their case"
        ))
        .at(span, "")
        .note("files are called after stages, and on some disks these would be one file")
        .help(
            "list the combinations in `include` alone, with a further key that tells them apart",
        ));
    }
    Ok(())
}

/// The tables of `include` or `exclude`.
fn tables(matrix: &mut Table, key: &str) -> Result<Vec<Table>> {
    let Some(value) = matrix.remove(key) else {
        return Ok(Vec::new());
    };
    let wrong = |span: &Span| {
        Error::usage(format!("`matrix.{key}` must be an array of tables")).at(span, "")
    };
    let Data::Array(items) = value.data else {
        return Err(wrong(&value.span));
    };
    let table = |item: Value| match item.data {
        Data::Table(table) if !table.entries.is_empty() => Ok(table),
        _ => Err(wrong(&item.span)),
    };
    items.into_iter().map(table).collect()
}

/// The text of a value in a name: a string's own, anything else as written. What could be mistaken for the name's own
/// punctuation is percent-encoded, so that different values never give the same name.
fn text(value: &Value) -> Result<String> {
    let written = value
        .span
        .source
        .text
        .get(value.span.range.clone())
        .unwrap_or_default();
    let text = match &value.data {
        Data::String(text) => text.clone(),
        Data::Integer(_) | Data::Float(_) | Data::Boolean(_) | Data::Datetime(_)
            if !written.is_empty() =>
        {
            written.into()
        }
        Data::Integer(_) | Data::Float(_) | Data::Boolean(_) | Data::Datetime(_) => value.to_toml(),
        Data::Array(_) | Data::Table(_) => {
            return Err(Error::usage(format!(
                "a matrix takes plain values, not {}",
                value.type_name()
            ))
            .at(&value.span, ""));
        }
    };
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._+-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    // What is no string has to stay as it is written: it can be put into strings.
    match value.data {
        Data::String(_) => Ok(shortened(encoded)),
        _ => Ok(encoded),
    }
}

/// A text that is too long for a name: its beginning, `~` and a digest of the whole.
fn shortened(encoded: String) -> String {
    const DIGITS: usize = 12;
    if encoded.len() <= LONGEST {
        return encoded;
    }
    let digest = blake3::hash(encoded.as_bytes()).to_hex();
    let end = LONGEST - DIGITS - 1;
    // Not in the middle of a `%2C`.
    let inside = encoded[end - 2..end].find('%');
    let end = inside.map_or(end, |offset| end - 2 + offset);
    format!("{}~{}", &encoded[..end], &digest[..DIGITS])
}
