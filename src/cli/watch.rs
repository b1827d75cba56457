//! `refire watch`.

use std::time::Duration;

use clap::ValueEnum;

use super::flags::{Changes, Shown, Stages};
use super::{Failure, Outcome, interrupt};
use crate::error::{Context as _, Error, Kind};
use crate::event::{Event, Sink};
use crate::exec::{Summary, Workers};
use crate::findings::Served;
use crate::report;
use crate::run::{self, Audience, OnBusy, Project, Request, Watch};

/// Run, and run again on every change of the pipeline or of something that it reads, until Ctrl-C.
///
/// A save that changes no content runs nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    stages: Stages,

    /// How many stages may run at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,

    /// After a failure, go on with what does not depend on it
    #[arg(short, long)]
    keep_going: bool,

    /// What to do about a change while a run goes on
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    on_busy: Busy,

    /// Look for changes every so many seconds instead of being told by the system, as on network disks
    #[arg(long, value_name = "SECONDS")]
    poll: Option<f64>,

    /// Never touch the network
    #[arg(long)]
    offline: bool,

    /// Serve the page of `refire report` to a browser on this machine, on PORT or any that is free; it follows the runs
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    report: Option<u16>,

    #[command(flatten)]
    changes: Changes,

    /// How to show the runs
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Shown,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Busy {
    /// Run again when the run has ended
    #[default]
    Queue,
    /// Stop the stages that the change makes stale, let the others end, and run again
    Restart,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let (path, goal) = self.stages.resolve()?;
        let seconds = |seconds: f64| {
            let poll = Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|poll| !poll.is_zero());
            poll.ok_or_else(|| Error::usage(format!("cannot look every {seconds} seconds")))
        };
        let request = Request {
            goal,
            keep_going: self.keep_going,
            offline: self.offline,
            jobs: self.jobs.into(),
            ..Request::default()
        };
        let overrides = self.changes.overrides();
        let serve = |port| Served::start(path.clone(), overrides.clone(), port);
        let served = self.report.map(serve).transpose()?;
        if let Some(served) = &served {
            report::print_status(&format!("the report is at {}\n", served.address()));
        }
        let watch = Watch {
            path: &path,
            overrides: &overrides,
            request: &request,
            on_busy: match self.on_busy {
                Busy::Queue => OnBusy::Queue,
                Busy::Restart => OnBusy::Restart,
            },
            poll: self.poll.map(seconds).transpose()?,
        };
        interrupt::listen()?;
        let program = std::env::current_exe().or_stage(|| "cannot tell where refire is")?;
        let terminal = Terminal {
            format: self.format,
            served,
        };
        let workers = Workers::new(program);
        let Err(error) = run::watch(&watch, &workers, &terminal, &interrupt::asked);
        // That Ctrl-C ended it is no news.
        let is_news = error.kind() != Kind::Interrupted;
        Err(Failure {
            exit_code: error.kind().exit_code(),
            errors: is_news.then_some(error).into_iter().collect(),
        })
    }
}

struct Terminal {
    format: Shown,
    /// The page that follows the runs.
    served: Option<Served>,
}

/// Passes events on, and tells the page of those that it shows.
struct Followed {
    next: Box<dyn Sink>,
    served: Served,
}

impl Sink for Followed {
    fn send(&self, event: &Event) {
        self.next.send(event);
        let is_shown = matches!(
            event,
            Event::RunStarted { .. }
                | Event::StageStarted { .. }
                | Event::StageFinished { .. }
                | Event::RunFinished { .. }
        );
        if is_shown && !event.is_cached() {
            self.served.changed();
        }
    }

    fn spawned(&self, group: u32) {
        self.next.spawned(group);
    }
}

impl Audience for Terminal {
    fn reporter(&self) -> Box<dyn Sink> {
        let next = report::reporter(self.format.into());
        match self.served.clone() {
            Some(served) => Box::new(Followed { next, served }),
            None => next,
        }
    }

    fn ended(&self, project: &Project, summary: &Summary) {
        // What a run leaves is written by now: the lock, and the end of its journal.
        if let Some(served) = &self.served {
            served.changed();
        }
        // What was stopped because of a change runs again, and whoever pressed Ctrl-C knows.
        let errors = summary.errors.iter();
        let failures = Summary {
            errors: errors
                .filter(|(_, error)| error.kind() != Kind::Interrupted)
                .cloned()
                .collect(),
            ..Summary::default()
        };
        if let Err(Failure { errors, .. }) = super::run::verdict(project, &failures) {
            errors.iter().for_each(report::print_error);
        }
    }

    fn refused(&self, error: &Error) {
        if let Some(served) = &self.served {
            served.changed();
        }
        report::print_error(error);
    }

    fn waiting(&self, paths: usize, told: bool) {
        let plural = if paths == 1 { "" } else { "s" };
        let how = if told {
            ""
        } else {
            ", looking from time to time"
        };
        report::print_status(&format!(
            "watching {paths} path{plural}{how}; Ctrl-C ends it\n"
        ));
    }
}
