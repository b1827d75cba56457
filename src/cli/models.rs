//! `refire models`.

use super::Outcome;
use crate::report::{self, ModelRow};
use crate::run::ARCHITECTURES;

/// List the networks that refire knows, and what says in a model's folder or in a pipeline that it is one of them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(&self) -> Outcome {
        let rows = ARCHITECTURES.iter().map(|known| ModelRow {
            network: known.name,
            takes: known.modality.name(),
            model_types: known.model_types.to_vec(),
            architectures: known.checkpoints().collect(),
        });
        let rows: Vec<ModelRow> = rows.collect();
        if self.json {
            Ok(report::print_json(&rows)?)
        } else {
            let text = report::models(&rows, report::width_of_output());
            Ok(report::print_styled(&text)?)
        }
    }
}
