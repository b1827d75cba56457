//! Flags that several verbs share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::pipeline;
use crate::config::Overrides;
use crate::error::Result;
use crate::plan::Goal;
use crate::report::{Colour, Format};

/// Flags that every verb takes.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// When to colour; `auto` means on terminals, unless `NO_COLOR` is set
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    color: When,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum When {
    #[default]
    Auto,
    Always,
    Never,
}

impl Global {
    pub(super) fn colour(&self) -> Colour {
        match self.color {
            When::Auto => Colour::Auto,
            When::Always => Colour::Always,
            When::Never => Colour::Never,
        }
    }
}

/// The pipeline and the stages that a command is about.
#[derive(Debug, Args)]
pub(super) struct Stages {
    /// The pipeline file, if the first one ends in .toml, then stages by name or glob, where a stage with a matrix means all its instances;
    /// all of them by default
    #[arg(value_name = "PIPELINE] [STAGE")]
    what: Vec<String>,

    /// Only the named stages; what they need must be in the cache
    #[arg(long)]
    single: bool,

    /// Also everything that needs the named stages
    #[arg(long)]
    downstream: bool,
}

impl Stages {
    /// The pipeline file and the stages of it.
    pub(super) fn resolve(mut self) -> Result<(PathBuf, Goal)> {
        let path = pipeline::take(&mut self.what)?;
        let goal = Goal {
            stages: self.what,
            single: self.single,
            downstream: self.downstream,
        };
        Ok((path, goal))
    }
}

/// What changes the pipeline file for one command.
#[derive(Debug, Default, Args)]
pub(super) struct Changes {
    /// Lay `[profile.NAME]` of the file over it. May be repeated: the later ones are laid over the earlier ones.
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,

    /// Set a param, or with a dotted path any key: `-S epochs=3`, `-S stage.tune.batch_size=16`. The value is TOML; what
    /// is not valid TOML is taken as a string. May be repeated.
    #[arg(short = 'S', long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Changes {
    /// These changes with `later` ones over them.
    pub(super) fn then(mut self, later: Self) -> Self {
        self.profiles.extend(later.profiles);
        self.set.extend(later.set);
        self
    }

    pub(super) fn overrides(self) -> Overrides {
        Overrides {
            profiles: self.profiles,
            set: self.set,
        }
    }
}

/// How a run is shown, as words on the command line.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Shown {
    /// For people: progress bars and colours; plain when stderr is no terminal
    #[default]
    Pretty,
    /// For logs: a line for each thing worth one
    Plain,
    /// For programs: one event a line on stdout
    Json,
}

impl From<Shown> for Format {
    fn from(shown: Shown) -> Self {
        match shown {
            Shown::Pretty => Self::Pretty,
            Shown::Plain => Self::Plain,
            Shown::Json => Self::Json,
        }
    }
}
