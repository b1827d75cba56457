//! `refire params`.

use std::collections::BTreeMap;

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::config::{self, Data, Table};
use crate::report;

/// Show the params that the stages see, with the profile and the settings of the command line applied.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pipeline file
    pipeline: Option<String>,

    #[command(flatten)]
    changes: Changes,

    /// As JSON: name → value as TOML
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let path = pipeline::only(self.pipeline)?;
        let pipeline = config::load(&path, &self.changes.overrides())?;
        let mut params = BTreeMap::new();
        flatten("", &pipeline.params, &mut params);
        if self.json {
            report::print_json(&params);
        } else if params.is_empty() {
            report::print_status("the pipeline has no params\n");
        } else {
            report::print(&report::params(&params));
        }
        Ok(())
    }
}

/// Tables inside tables as dotted names.
fn flatten(prefix: &str, table: &Table, into: &mut BTreeMap<String, String>) {
    for (name, (_, value)) in &table.entries {
        let name = format!("{prefix}{name}");
        match &value.data {
            Data::Table(inner) => flatten(&format!("{name}."), inner, into),
            _ => {
                into.insert(name, value.to_toml());
            }
        }
    }
}
