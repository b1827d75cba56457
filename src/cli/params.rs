//! `refire params`.

use std::collections::BTreeSet;

use super::flags::Changes;
use super::{Outcome, diff, pipeline};
use crate::report::{self, ParamChange};
use crate::run::{self, Version};

/// Show the params that the stages see, with the profile and the settings of the command line applied.
#[derive(Debug, clap::Args)]
#[command(disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// The pipeline file
    pipeline: Option<String>,

    #[command(flatten)]
    changes: Changes,

    /// As JSON: name → value as TOML
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Compare the params of two revisions of the pipeline file
    Diff(diff::Args),
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        if let Some(Verb::Diff(diff)) = self.verb {
            let diff = diff.after(self.pipeline, self.changes, self.json)?;
            return show_changes(diff);
        }
        let path = pipeline::only(self.pipeline)?;
        let params = run::params(&path, &self.changes.overrides(), &Version::Now)?;
        if self.json {
            report::print_json(&params)?;
        } else if params.is_empty() {
            report::print_status("the pipeline has no params\n");
        } else {
            report::print_styled(&report::params(&params))?;
        }
        Ok(())
    }
}

fn show_changes(diff: diff::Args) -> Outcome {
    let (path, old, new) = diff.resolve()?;
    let overrides = diff.changes.overrides();
    let old = run::params(&path, &overrides, &old)?;
    let new = run::params(&path, &overrides, &new)?;
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| ParamChange {
        param: name.clone(),
        old: old.get(name).cloned(),
        new: new.get(name).cloned(),
    };
    let changes = names.into_iter().map(change);
    let rows: Vec<ParamChange> = changes.filter(|row| row.old != row.new).collect();
    if diff.json {
        report::print_json(&rows)?;
    } else if rows.is_empty() {
        report::print_status("no param differs\n");
    } else {
        report::print_styled(&report::param_changes(&rows))?;
    }
    Ok(())
}
