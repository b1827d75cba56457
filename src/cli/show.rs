//! `refire show`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::flags::Changes;
use super::{Outcome, pipeline};
use crate::report;
use crate::run::Project;
use crate::show::{look, sheet};

/// Show what a stage made: rows of a table, images by label, the card of a model, figures, files.
///
/// STAGE is the stage, with the port if it has several outputs, or a folder that `refire get` made. Of a training's history the curves are
/// shown. A pipeline file may stand before it.
#[derive(Debug, clap::Args)]
#[command(override_usage = "refire show [OPTIONS] [PIPELINE] STAGE[.PORT]")]
pub(super) struct Args {
    #[arg(hide = true, value_name = "STAGE", required = true, num_args = 1..=2)]
    what: Vec<String>,

    /// Of a table: how many rows
    #[arg(short = 'n', long, value_name = "N", default_value = "10")]
    rows: NonZeroUsize,

    /// Of images: a PNG file to write with ten of each label, a row a label; one that is there is replaced
    #[arg(short, long, value_name = "SHEET.PNG")]
    output: Option<PathBuf>,

    #[command(flatten)]
    changes: Changes,
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        if let [folder] = self.what.as_slice()
            && folder.contains(['/', '\\'])
            && Path::new(folder).is_dir()
        {
            return self.show(Path::new(folder));
        }
        let path = pipeline::take(&mut self.what)?;
        let stage = pipeline::only_stage(&self.what)?.to_owned();
        let project = Project::open(&path, &std::mem::take(&mut self.changes).overrides())?;
        let (lent, broken) = project.look_at(&stage)?;
        if let Some(broken) = broken {
            report::print_status(&format!("note: the stage failed: {}\n", broken.message()));
        }
        self.show(lent.path())
    }

    fn show(&self, folder: &Path) -> Outcome {
        let content = look(folder, self.rows.get())?;
        report::print_styled(&report::artifact(&content, report::width_of_output()))?;
        if let Some(output) = &self.output {
            let (labels, more) = sheet(folder, output)?;
            let more = match more {
                0 => String::new(),
                more => format!("; {more} more labels are left out"),
            };
            report::print_status(&format!(
                "wrote `{}`: a row a label, from the top {}{more}\n",
                output.display(),
                labels.join(", ")
            ));
        }
        Ok(())
    }
}
