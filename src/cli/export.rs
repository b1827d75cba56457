//! `refire export`.

use std::path::Path;

use super::Outcome;
use super::flags::Changes;
use super::place::Places;
use crate::error::Error;
use crate::report;
use crate::run::export;
use crate::stages::ArtifactType;

/// Write a tuned model as Python's libraries load it.
///
/// MODEL is the stage that tuned it, or a folder as `refire get` makes one; DEST is the folder to make. transformers loads a text
/// model and a Vision Transformer from it, torchvision and timm take the weights of the other networks. What does it is printed, and
/// written to its README.md. A pipeline file may stand before MODEL.
#[derive(Debug, clap::Args)]
#[command(override_usage = "refire export [OPTIONS] [PIPELINE] MODEL DEST")]
pub(super) struct Args {
    #[arg(hide = true, value_name = "MODEL DEST", required = true, num_args = 2..=3)]
    what: Vec<String>,

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        let mut places = Places::new(&mut self.what, self.changes.overrides())?;
        let [name, destination] = self.what.as_slice() else {
            return Err(
                Error::usage("`refire export` takes a model and a folder to make")
                    .help("as in: refire export tune my-model")
                    .into(),
            );
        };
        let model = places.find(name, &[ArtifactType::Model])?;
        let how = export(model.path(), Path::new(destination))
            .map_err(|error| model.blame(name, error))?;
        report::print_status(&format!("exported `{name}` to `{destination}`\n"));
        report::print(&how)?;
        Ok(())
    }
}
