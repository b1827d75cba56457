//! `refire devices`.

use super::Outcome;
use crate::report::{self, DeviceRow};
use crate::run::DEVICES;

/// List the devices that a pipeline can name, and which of them this binary has.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(&self) -> Outcome {
        let rows: Vec<DeviceRow> = DEVICES
            .iter()
            .map(|kind| DeviceRow {
                device: format!("{}{}", kind.name, if kind.indexed { ":N" } else { "" }),
                about: kind.about.into(),
                built_in: kind.is_built_in(),
                feature: kind.feature.map(Into::into),
            })
            .collect();
        if self.json {
            Ok(report::print_json(&rows)?)
        } else {
            Ok(report::print_styled(&report::devices(&rows))?)
        }
    }
}
