//! The command line: clap's types, one file a verb. What a verb does is a call into `run`; how it looks is `report`'s.

mod check;
mod completions;
mod devices;
mod diff;
mod evaluate;
mod export;
mod flags;
mod gc;
mod get;
mod graph;
mod init;
mod interrupt;
mod log;
mod logs;
mod lr_find;
mod man;
mod metrics;
mod models;
mod params;
mod pipeline;
mod place;
mod plan;
mod predict;
mod reading;
mod report;
mod run;
mod schema;
mod show;
mod status;
mod watch;
mod why;
mod worker;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::Error;
use crate::stages::{self, StageKind};
use crate::threads;

/// What a verb comes to.
type Outcome = Result<(), Failure>;

/// What went wrong: the errors to show, and the exit code.
struct Failure {
    errors: Vec<Error>,
    exit_code: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            exit_code: error.kind().exit_code(),
            errors: vec![error],
        }
    }
}

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "refire",
    version,
    about = "Fine-tune pretrained models from a TOML file, running only what changed",
    after_help = EXIT_CODES,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    global: flags::Global,
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "\
A pipeline file can be named first wherever PIPELINE is shown; its name ends in .toml. Without one, refire \
takes refire.toml, else the only file in pipelines/.

Exit codes: 0 done, 1 a stage failed, 2 the command line or a file is wrong, 3 a gate failed, \
4 --locked and the lock is out of date, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Args),
    Run(run::Args),
    Watch(watch::Args),
    Plan(plan::Args),
    Why(why::Args),
    Status(status::Args),
    Check(check::Args),
    Graph(graph::Args),
    Log(log::Args),
    Logs(logs::Args),
    Metrics(metrics::Args),
    Params(params::Args),
    Show(show::Args),
    Report(report::Args),
    Get(get::Args),
    Predict(predict::Args),
    Evaluate(evaluate::Args),
    LrFind(lr_find::Args),
    Export(export::Args),
    Gc(gc::Args),
    Schema(schema::Args),
    Models(models::Args),
    Devices(devices::Args),
    Completions(completions::Args),
    Man(man::Args),
    Worker(worker::Args),
}

impl Verb {
    /// Does what it says, on threads that are there from the start. A worker starts them if it needs them.
    fn start(self) -> Outcome {
        if !matches!(self, Self::Worker(_)) {
            threads::start_all()?;
        }
        self.run()
    }

    fn run(self) -> Outcome {
        match self {
            Self::Init(args) => args.run(),
            Self::Run(args) => args.run(),
            Self::Watch(args) => args.run(),
            Self::Plan(args) => args.run(),
            Self::Why(args) => args.run(),
            Self::Status(args) => args.run(),
            Self::Check(args) => args.run(),
            Self::Graph(args) => args.run(),
            Self::Log(args) => args.run(),
            Self::Logs(args) => args.run(),
            Self::Metrics(args) => args.run(),
            Self::Params(args) => args.run(),
            Self::Show(args) => args.run(),
            Self::Report(args) => args.run(),
            Self::Get(args) => args.run(),
            Self::Predict(args) => args.run(),
            Self::Evaluate(args) => args.run(),
            Self::LrFind(args) => args.run(),
            Self::Export(args) => args.run(),
            Self::Gc(args) => args.run(),
            Self::Schema(args) => args.run(),
            Self::Models(args) => args.run(),
            Self::Devices(args) => args.run(),
            Self::Completions(args) => args.run(),
            Self::Man(args) => args.run(),
            Self::Worker(_) => worker::Args::run(),
        }
    }
}

/// Refire with stage kinds of one's own besides its own: a program's whole `main`. Its workers are started from the
/// same program, so they know the kinds too.
#[must_use]
pub fn main_with(kinds: &'static [&'static dyn StageKind]) -> ExitCode {
    stages::add(kinds);
    main()
}

/// Reads the command line, does what it says, and shows what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => {
            crate::report::set_colour(cli.global.colour());
            cli.verb.start()
        }
        // Help and the version are results as any other.
        Err(said)
            if matches!(
                said.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            crate::report::print_styled(&said.render().ansi().to_string()).map_err(Failure::from)
        }
        Err(wrong) => return refused(wrong),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for error in &failure.errors {
                crate::report::print_error(error);
            }
            ExitCode::from(failure.exit_code)
        }
    }
}

/// Shows what clap says to the command line: help, or what is wrong with it. It quotes arguments, which a shell may have made of
/// names of files.
fn refused(error: clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    let shown = std::env::args_os().map(|argument| {
        let argument = argument.to_string_lossy().into_owned();
        crate::report::visible(&argument).into_owned()
    });
    let said = Cli::try_parse_from(shown).err().unwrap_or(error);
    crate::report::print_styled_status(&said.render().ansi().to_string());
    ExitCode::from(code)
}

/// The command line as clap describes it, for completions and man pages.
fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod papers;

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_verb_explains_itself() {
        let mut command = command().term_width(100);
        let mut text = command.render_long_help().to_string();
        command.build();
        for verb in command.get_subcommands_mut() {
            if verb.is_hide_set() {
                continue;
            }
            let name = verb.get_name().to_string();
            let help = verb.render_long_help();
            let _ = write!(text, "\n──── refire {name} ────\n{help}");
        }
        insta::assert_snapshot!(text);
    }
}
