//! What is known of a stage.

use super::{Chart, Evaluation, ImagesProfile, Mistakes, Model, TableProfile};

/// How the result of a stage stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Its result is in the cache.
    Fresh,
    /// It would run, because something changed.
    Stale,
    /// No result of it is in the cache.
    #[default]
    Missing,
    /// It failed, or its figures do not pass a gate.
    Failed,
}

impl Standing {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }

    /// A sign for it, so that it is told by more than a colour.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Fresh => "✓",
            Self::Stale => "↻",
            Self::Missing => "○",
            Self::Failed => "✕",
        }
    }
}

/// A figure of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// What it comes to.
    pub value: f64,
    /// Where it lies with a probability of 95 %, if that was measured.
    pub interval: Option<(f64, f64)>,
    /// What it was in the lock that was committed last, if that says so.
    pub committed: Option<f64>,
    /// Whether higher is better, if that is known.
    pub higher_is_better: Option<bool>,
    /// The condition on it, if there is one.
    pub gate: Option<GateFact>,
}

/// A condition on a figure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateFact {
    /// The condition, such as `>= 0.75`.
    pub condition: String,
    /// Whether it holds.
    pub passes: bool,
}

/// An input of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The port.
    pub port: String,
    /// The stage that it comes from, and its port.
    pub from: String,
    /// The artifact; empty if it is not known.
    pub digest: String,
}

/// An output of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The port.
    pub port: String,
    /// What it is, such as `a table`.
    pub what: &'static str,
    /// The artifact; empty if it is not known.
    pub digest: String,
    /// Its files and their size in bytes, if it is in the cache.
    pub size: Option<(usize, u64)>,
}

/// A table of words and numbers that a stage made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    /// The heads of the columns, and whether they hold numbers.
    pub columns: Vec<(String, bool)>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// How many rows there are besides.
    pub left_out: usize,
}

/// A stage.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// What its kind does, in a line.
    pub about: &'static str,
    /// The places of the stages that it needs.
    pub needs: Vec<usize>,
    /// How its result stands.
    pub standing: Standing,
    /// Why its result is not fresh; empty if it is.
    pub reason: String,
    /// What became of it in the last run: `ran`, `cached`; empty if it was not part of that.
    pub outcome: String,
    /// Why it ran when its result was made; empty if that is not known.
    pub ran_because: String,
    /// How long making the result took.
    pub seconds: Option<f64>,
    /// The processor's time of that.
    pub cpu_seconds: Option<f64>,
    /// The most memory that it took, in bytes.
    pub memory: Option<u64>,
    /// When the result was made.
    pub finished: String,
    /// Settings with their defaults filled in, as JSON; else as they are written.
    pub settings: Vec<(String, String)>,
    /// Local files that it reads, and their digests.
    pub files: Vec<(String, String)>,
    /// The seed, if it draws numbers.
    pub seed: String,
    /// The class of the device, if it computes floats.
    pub device: String,
    /// What comes in.
    pub inputs: Vec<Input>,
    /// What comes out.
    pub outputs: Vec<Output>,
    /// The key; empty if it is not known.
    pub key: String,
    /// The recipe by the lock; empty if that does not hold the stage.
    pub recipe: String,
    /// What it measured.
    pub figures: Vec<Figure>,
    /// Where the figures are from, if not from the cache.
    pub figures_note: String,
    /// What it told in the run that made its result.
    pub notices: Vec<String>,
    /// Curves of a training.
    pub curves: Vec<Chart>,
    /// What a test came to.
    pub evaluation: Option<Evaluation>,
    /// Where a test was most confidently wrong.
    pub mistakes: Option<Mistakes>,
    /// What was frozen, and how it was trained.
    pub model: Option<Model>,
    /// Tables that it made, by port.
    pub tables: Vec<(String, TableProfile)>,
    /// Images that it made, by port.
    pub images: Vec<(String, ImagesProfile)>,
    /// A comparison.
    pub comparison: Option<Grid>,
}

impl Stage {
    /// Whether it is one of several instances of a stage with a matrix.
    pub(super) fn is_instance(&self) -> bool {
        self.name.contains('@')
    }

    /// Its name without what tells instances apart.
    pub(super) fn base(&self) -> &str {
        base(&self.name)
    }
}

/// The name of a stage without what tells the instances of its matrix apart.
pub(super) fn base(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}
