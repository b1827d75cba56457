//! `refire gc`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Outcome;
use crate::config;
use crate::report;
use crate::run::{Dropped, GRACE, Wanted, Workspace, collect};

/// Drop what no lock and no recent run needs: results, interrupted downloads and trainings, logs of old runs.
///
/// What the locks of this project name stays, whatever its age and size. Results younger than an hour stay as well, because
/// they may belong to a run that is under way; it says so. If several projects share a cache (`REFIRE_CACHE_DIR`),
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

    /// Of what no lock needs, keep only the youngest results that fit, with what a lock needs, into so much: `20GB`. If more
    /// remains, it says why
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
        let max_bytes = self.max_size.map(|size| config::bytes(&size.into()));
        let wanted = Wanted {
            recent: Duration::from_hours(24 * u64::from(self.keep_days)),
            max_bytes: max_bytes.transpose()?,
            dry_run: self.dry_run,
        };
        let dropped = collect(&Workspace::find(anywhere)?, wanted)?;
        report::print(&said(&dropped, &wanted))?;
        Ok(())
    }
}

fn bytes(count: u64) -> String {
    report::figures::amount(count, "bytes")
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn said(dropped: &Dropped, wanted: &Wanted) -> String {
    let Dropped {
        cache,
        interrupted,
        runs,
    } = dropped;
    let verb = if wanted.dry_run {
        "would drop"
    } else {
        "dropped"
    };
    let mut text = format!(
        "{verb} {} with {}: {}\n{verb} {} of interrupted downloads and trainings and the logs of {}\n",
        counted(cache.records, "result"),
        counted(cache.objects, "file"),
        bytes(cache.bytes),
        bytes(interrupted.bytes),
        counted(*runs, "run"),
    );
    let young = cache.young_bytes + interrupted.young_bytes;
    if cache.young_records > 0 || young > 0 {
        let grace = report::figures::seconds(GRACE.as_secs_f64());
        let _ = writeln!(
            text,
            "spared {} and {} that are younger than {grace}: they may belong to a run that is under way",
            counted(cache.young_records, "result"),
            bytes(young),
        );
    }
    let remain = cache.kept_bytes + interrupted.kept_bytes;
    let _ = writeln!(text, "{} remain in the cache", bytes(remain));
    if let Some(max) = wanted.max_bytes.filter(|max| remain > *max) {
        let _ = writeln!(
            text,
            "that is more than --max-size {}: locks and runs under way need {}, and {} are too young to go",
            bytes(max),
            bytes(cache.needed_bytes),
            bytes(young),
        );
    }
    text
}
