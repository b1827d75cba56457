//! `refire gc`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Outcome;
use crate::config;
use crate::report;
use crate::run::{Dropped, Wanted, Workspace, collect};

/// Drop what no lock and no recent run needs: results, interrupted downloads and trainings, logs of old runs.
///
/// What the locks of this project name stays, whatever its age. If several projects share a cache (`REFIRE_CACHE_DIR`),
/// so does what the locks of the others name: those on this machine as long as they are there, those on other machines
/// if they ran in the last `--keep-days`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A folder of the project, or a file in it
    #[arg(default_value = ".")]
    project: PathBuf,

    /// Keep what was made or used in the last so many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    keep_days: u16,

    /// Of what no lock needs, keep only the youngest results that fit, with what a lock needs, into so much: `20GB`
    #[arg(long, value_name = "SIZE")]
    max_size: Option<String>,

    /// Only say what would be dropped
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let anywhere: &Path = if self.project.is_dir() {
            &self.project.join("refire.toml")
        } else {
            &self.project
        };
        let wanted = Wanted {
            recent: Duration::from_hours(24 * u64::from(self.keep_days)),
            max_bytes: self
                .max_size
                .map(|size| config::bytes(&size.into()))
                .transpose()?,
            dry_run: self.dry_run,
        };
        let dropped = collect(&Workspace::find(anywhere)?, wanted)?;
        report::print(&said(&dropped, self.dry_run));
        Ok(())
    }
}

fn said(dropped: &Dropped, dry_run: bool) -> String {
    let Dropped {
        cache,
        interrupted,
        runs,
    } = dropped;
    let verb = if dry_run { "would drop" } else { "dropped" };
    let counted = |count: usize, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {what}{plural}")
    };
    let bytes = |count: u64| report::figures::amount(count, "bytes");
    format!(
        "{verb} {} with {}: {}\n{verb} {} of interrupted downloads and trainings and the logs of {}\n{} remain in the cache\n",
        counted(cache.records, "result"),
        counted(cache.objects, "file"),
        bytes(cache.bytes),
        bytes(*interrupted),
        counted(*runs, "run"),
        bytes(cache.kept_bytes),
    )
}
