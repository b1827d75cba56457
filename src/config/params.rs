//! `${params.NAME}` and `-S key=value`.

use std::sync::Arc;

use super::matrix::Instance;
use super::value::{Data, Table, Value};
use crate::error::{Error, Result, Source, Span};

/// How many tables deep a key of `-S` may be, as deep as the TOML parser goes.
const DEEPEST: usize = 80;

/// What references can refer to.
pub(super) struct Scope<'s> {
    /// `[params]`.
    pub(super) params: &'s Table,
    /// The instance of the stage's matrix; none outside a stage.
    pub(super) matrix: Option<&'s Instance>,
}

/// Replaces every `${params.NAME}` in the value of a stage's `matrix`.
///
/// Unlike in [`resolve`], what a reference stands for keeps its own place, because the way it is written becomes a part of
/// names.
///
/// # Errors
/// As [`resolve`].
pub(super) fn resolve_matrix(mut value: Value, params: &Table) -> Result<Value> {
    let scope = Scope {
        params,
        matrix: None,
    };
    resolve_value(&mut value, &scope, &|found, _| found.clone())?;
    Ok(value)
}

/// Replaces every `${params.NAME}` and `${matrix.NAME}` in the values of `table`.
///
/// A string that is one reference takes the param's value with its type; elsewhere the param's text is put in.
/// `$${` stands for `${`. Values keep their own place, so that errors show the reference.
///
/// # Errors
/// Unknown params, references to something else, unclosed references.
pub(super) fn resolve(mut table: Table, scope: &Scope<'_>) -> Result<Table> {
    resolve_table(&mut table, scope, &|found, span| Value {
        data: moved_to(found.data.clone(), span),
        span: span.clone(),
    })?;
    Ok(table)
}

/// What the value that is found becomes at the place of its reference.
type Taken<'t> = &'t dyn Fn(&Value, &Span) -> Value;

fn resolve_table(table: &mut Table, scope: &Scope<'_>, taken: Taken<'_>) -> Result<()> {
    let mut values = table.entries.values_mut();
    values.try_for_each(|(_, value)| resolve_value(value, scope, taken))
}

fn resolve_value(value: &mut Value, scope: &Scope<'_>, taken: Taken<'_>) -> Result<()> {
    match &mut value.data {
        Data::String(text) if text.contains("${") => match whole_reference(text) {
            Some(reference) => {
                let found = scope.look_up(reference, &value.span)?.0;
                *value = taken(found, &value.span);
            }
            None => value.data = replace(text, &value.span, scope)?,
        },
        Data::Array(items) => {
            for item in items {
                resolve_value(item, scope, taken)?;
            }
        }
        Data::Table(inner) => resolve_table(inner, scope, taken)?,
        _ => {}
    }
    Ok(())
}

fn replace(text: &str, span: &Span, scope: &Scope<'_>) -> Result<Data> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            out.push_str(&rest[..start - 1]);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let after = &rest[start + 2..];
        let Some(end) = after.find('}') else {
            return Err(Error::usage("`${` without its `}`")
                .at(&narrow(span, "${"), "")
                .help("write `$${` for the two characters themselves"));
        };
        let reference = &after[..end];
        let (value, written) = scope.look_up(reference, span)?;
        match (&value.data, written) {
            (Data::String(text) | Data::Datetime(text), _) => out.push_str(text),
            (Data::Integer(_) | Data::Float(_) | Data::Boolean(_), Some(text)) => {
                out.push_str(text);
            }
            (Data::Integer(_) | Data::Float(_) | Data::Boolean(_), None) => {
                out.push_str(&value.to_toml());
            }
            (Data::Array(_) | Data::Table(_), _) => {
                return Err(Error::usage(format!(
                    "`{reference}` is {}, which cannot stand inside a string",
                    value.type_name()
                ))
                .at(&narrow(span, reference), "")
                .at(&value.span, "its value"));
            }
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(Data::String(out))
}

/// `params.NAME` if `text` is `${params.NAME}` and nothing else.
fn whole_reference(text: &str) -> Option<&str> {
    text.strip_prefix("${")?
        .strip_suffix('}')
        .filter(|inner| !inner.contains(['$', '{', '}']))
}

impl<'s> Scope<'s> {
    /// The value that `reference`, written at `span`, means; for a number of a matrix also the way it is written.
    fn look_up(&self, reference: &str, span: &Span) -> Result<(&'s Value, Option<&'s str>)> {
        let place = narrow(span, reference);
        if let Some(path) = reference.trim().strip_prefix("params.") {
            return look_up(path, &place, self.params).map(|value| (value, None));
        }
        let Some(key) = reference.trim().strip_prefix("matrix.") else {
            return Err(Error::usage(format!("cannot refer to `{reference}`"))
                .at(&place, "")
                .help("`${params.NAME}` refers to a key of `[params]`, `${matrix.NAME}` to one of the stage's `matrix`"));
        };
        let Some(instance) = self.matrix else {
            return Err(Error::usage(format!("`{reference}` has no value here"))
                .at(&place, "")
                .help("`${matrix.NAME}` is for the settings of a stage that has a `matrix`"));
        };
        instance
            .get(key)
            .map(|(value, text)| (value, Some(text)))
            .ok_or_else(|| {
                let known: Vec<&str> = instance.keys().collect();
                Error::usage(format!("the stage's matrix has no `{key}`"))
                    .at(&place, "")
                    .did_you_mean(key, known.iter().copied())
                    .or_help(format!("add it: matrix = {{ {key} = [...] }}"))
            })
    }
}

fn look_up<'p>(path: &str, place: &Span, params: &'p Table) -> Result<&'p Value> {
    let mut table = params;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let Some(value) = table.get(part) else {
            let known = table.entries.keys().map(String::as_str);
            return Err(Error::usage(format!("unknown param `{path}`"))
                .at(place, "")
                .did_you_mean(part, known)
                .or_help("add it to `[params]`"));
        };
        match (&value.data, parts.peek()) {
            (_, None) if holds_reference(value) => {
                return Err(
                    Error::usage(format!("param `{path}` refers to another param"))
                        .at(&value.span, "")
                        .help("params are plain values; put the reference where the param is used"),
                );
            }
            (_, None) => return Ok(value),
            (Data::Table(inner), Some(_)) => table = inner,
            (_, Some(_)) => {
                return Err(Error::usage(format!(
                    "param `{part}` is {}, not a table",
                    value.type_name()
                ))
                .at(place, "")
                .at(&value.span, "its value"));
            }
        }
    }
    Err(Error::usage("a reference needs a name").at(place, ""))
}

fn holds_reference(value: &Value) -> bool {
    match &value.data {
        Data::String(text) => text.contains("${"),
        Data::Array(items) => items.iter().any(holds_reference),
        Data::Table(table) => table
            .entries
            .values()
            .any(|(_, value)| holds_reference(value)),
        _ => false,
    }
}

/// The part of `span` that holds `needle`, if it can be found there.
fn narrow(span: &Span, needle: &str) -> Span {
    let found = span
        .source
        .text
        .get(span.range.clone())
        .and_then(|text| text.find(needle));
    match found {
        Some(offset) => {
            let start = span.range.start + offset;
            Span {
                source: Arc::clone(&span.source),
                range: start..start + needle.len(),
            }
        }
        None => span.clone(),
    }
}

/// `data` with every place inside it moved to `span`.
fn moved_to(data: Data, span: &Span) -> Data {
    let value = |value: Value| Value {
        data: moved_to(value.data, span),
        span: span.clone(),
    };
    match data {
        Data::Array(items) => Data::Array(items.into_iter().map(value).collect()),
        Data::Table(table) => Data::Table(Table {
            entries: table
                .entries
                .into_iter()
                .map(|(key, (_, inner))| (key, (span.clone(), value(inner))))
                .collect(),
            span: span.clone(),
        }),
        other => other,
    }
}

/// Applies one `-S key=value`: `epochs=3` sets the param, `stage.tune.epochs=3` any key. The value is TOML; what is not
/// TOML is a string.
///
/// # Errors
/// An argument without `=`, an unknown param, a path that leads through something that is not a table.
pub(super) fn set(root: &mut Table, argument: &str, file: &Source) -> Result<()> {
    let Some((path, text)) = argument.split_once('=') else {
        return Err(Error::usage(format!("`-S {argument}` has no `=`"))
            .help("write -S NAME=VALUE, such as -S epochs=3"));
    };
    let path = path.trim();
    let absolute = ["params.", "stage.", "pipeline."]
        .iter()
        .any(|section| path.starts_with(section));
    let full = if absolute {
        path.to_string()
    } else {
        format!("params.{path}")
    };
    if let Some(name) = full.strip_prefix("params.") {
        known_param(root, name, argument)?;
    }
    let mut source = Source::new(format!("-S {argument}"), format!("value = {text}"));
    source.folder.clone_from(&file.folder);
    let value = match Table::parse(&Arc::new(source)) {
        Ok(mut table) if table.entries.len() == 1 => table.remove("value"),
        _ => None,
    };
    let value = value.unwrap_or_else(|| {
        let mut source = Source::new(format!("-S {argument}"), text);
        source.folder.clone_from(&file.folder);
        let span = Span::new(&Arc::new(source), 0..text.len());
        Value {
            data: Data::String(text.into()),
            span,
        }
    });
    let path: Vec<&str> = full.split('.').collect();
    if path.len() > DEEPEST {
        return Err(Error::usage(format!(
            "`-S` names a key {} tables deep, and at most {DEEPEST} are taken",
            path.len()
        )));
    }
    insert(root, &path, value, argument)
}

fn known_param(root: &Table, name: &str, argument: &str) -> Result<()> {
    let first = name.split('.').next().unwrap_or(name);
    let params = root.get("params").and_then(Value::as_table);
    if params.is_some_and(|params| params.entries.contains_key(first)) {
        return Ok(());
    }
    let known: Vec<&str> = params
        .into_iter()
        .flat_map(|params| params.entries.keys().map(String::as_str))
        .collect();
    let error = Error::usage(format!(
        "`-S {argument}`: the pipeline has no param `{first}`"
    ));
    Err(error
        .did_you_mean(first, known.iter().copied())
        .or_help("name a key of `[params]`, or a setting in full: -S stage.NAME.KEY=VALUE"))
}

fn insert(table: &mut Table, path: &[&str], value: Value, argument: &str) -> Result<()> {
    let span = value.span.clone();
    let [key, rest @ ..] = path else {
        return Ok(());
    };
    if rest.is_empty() {
        match table.entries.get_mut(key) {
            // As when a profile is laid over a file, the key stays where it is.
            Some((_, old)) => *old = value,
            None => {
                table.entries.insert((*key).to_string(), (span, value));
            }
        }
        return Ok(());
    }
    let (_, inner) = table.entries.get_or_insert_with(key, || {
        (
            span.clone(),
            Value {
                data: Data::Table(Table::empty(span.clone())),
                span: span.clone(),
            },
        )
    });
    match &mut inner.data {
        Data::Table(inner) => insert(inner, rest, value, argument),
        _ => Err(Error::usage(format!(
            "`-S {argument}`: `{key}` is {}, not a table",
            inner.type_name()
        ))
        .at(&inner.span, "")),
    }
}
