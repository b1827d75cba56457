//! A model of which no files are named: those that its repository has and that make a model, its config first.

use std::collections::BTreeSet;

use super::fetch::Fetch;
use super::{CONFIG, MODEL};
use crate::error::{Error, Result};
use crate::models;
use crate::stages::StageContext;
use crate::stages::mirrors::Mirrors;

/// Fetches the model of the first of `mirrors` that can say which files it has, all of one commit.
///
/// # Errors
/// A repository without a config, with one of a network that refire does not have, without weights or a tokenizer: all before anything
/// large is fetched.
pub(super) fn fetch(mirrors: &Mirrors, cx: &StageContext<'_>) -> Result<()> {
    let transfer = cx.transfer();
    let written = mirrors.listed().unwrap_or_default();
    let (names, mirrors) = mirrors.list(&transfer)?;
    let of_repository = |error: Error| error.note(format!("the repository is `{written}`"));
    if !names.contains(CONFIG) {
        return Err(without_config(&written, &names));
    }
    let mut fetch = Fetch::new(&mirrors, &transfer, cx);
    for name in models::DESCRIPTIONS {
        if names.contains(name) {
            fetch.file(name, None)?;
        }
    }
    let wanted = models::wanted(cx.output(MODEL), &names).map_err(of_repository)?;
    let mut weights = BTreeSet::from([wanted.weights.clone()]);
    if models::is_index(wanted.weights.as_ref()) {
        let index = fetch.file(&wanted.weights, None)?;
        weights.extend(models::shards(&index)?);
        if let Some(missing) = weights.iter().find(|name| !names.contains(*name)) {
            return Err(of_repository(Error::stage(format!(
                "`{}` names the file `{missing}`, which the repository does not have",
                wanted.weights
            ))));
        }
    }
    for name in wanted.companions.iter().chain(&weights) {
        fetch.file(name, None)?;
    }
    let now = mirrors.listed().unwrap_or_default();
    if now != written {
        cx.notice(format!(
            "`{written}` is `{now}` now; its {} files are fetched: {}",
            fetch.names().count(),
            fetch.names().collect::<Vec<_>>().join(", ")
        ));
    }
    fetch.paste("below the stage's other settings");
    Ok(())
}

fn without_config(written: &str, names: &BTreeSet<String>) -> Error {
    let weights = names
        .iter()
        .filter(|name| models::is_weights(name.as_ref()));
    let weights: Vec<&str> = weights.take(8).map(String::as_str).collect();
    let error = Error::stage(format!(
        "`{written}` has no `{CONFIG}`, so refire cannot tell what its files are"
    ));
    if weights.is_empty() {
        return error.help("name a repository of a model");
    }
    error
        .note(format!("it has weights: {}", weights.join(", ")))
        .help("name them in `files`, and say what they are by `architecture`")
}
