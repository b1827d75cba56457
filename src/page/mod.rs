//! One HTML page of what is known of a pipeline, in one file that needs no network. Draws what it is given; knows neither stages
//! nor the cache.
//!
//! All text goes through `maud`, which escapes whatever is not marked as HTML: names of stages and columns, paths and rows of tables are
//! somebody else's. Charts are drawn here and not by a library of plots, because their colours have to follow the page's, which are
//! others on dark screens and on paper; that leaves axes, lines and dots, which are the files `chart.rs`, `axis.rs` and `scatter.rs`.

mod axis;
mod chart;
mod data;
mod document;
mod evaluation;
mod facts;
mod graph;
mod layers;
mod matrix;
mod mistakes;
mod model;
mod revisions;
mod runs;
mod scatter;
mod stages;
mod summary;
#[cfg(test)]
mod tests;
mod written;

pub use chart::{Chart, Line};
pub use data::{Column, ImagesProfile, Share, TableProfile, Texts};
pub use document::{Keeping, is_page, render, render_error};
pub use evaluation::{Bin, Class, Evaluation, Slice};
pub use facts::{Figure, GateFact, Grid, Input, Output, Stage, Standing};
pub use matrix::{Instance, Matrix};
pub use mistakes::{Mistake, Mistakes};
pub use model::Model;
pub use revisions::Revision;
pub use runs::{Earlier, Run};

/// All that a page shows.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Name of the pipeline.
    pub name: String,
    /// Its file, as runs call it.
    pub file: String,
    /// What is laid over the file, as the command line writes it; empty if nothing is.
    pub flags: String,
    /// The seed of the pipeline.
    pub seed: u64,
    /// The device of the pipeline.
    pub device: String,
    /// Name → value of each param, as TOML.
    pub params: Vec<(String, String)>,
    /// When the page was made.
    pub made: String,
    /// The last run; none if no run is known.
    pub run: Option<Run>,
    /// The stages in order; every one comes after those that it needs.
    pub stages: Vec<Stage>,
    /// The stages with a matrix that have figures.
    pub matrices: Vec<Matrix>,
    /// What other revisions have committed, as they were asked for.
    pub revisions: Vec<Revision>,
    /// Earlier runs, the latest first.
    pub runs: Vec<Earlier>,
    /// What a reader might look for and will not find, each with the reason: one sentence each.
    pub missing: Vec<String>,
}

impl Page {
    /// The stage whose figures say how good the result is: the last that has gates and figures, else the last with figures of a test, else
    /// the last with figures.
    fn headline(&self) -> Option<&Stage> {
        let alone = || {
            self.stages
                .iter()
                .rev()
                .filter(|stage| !stage.is_instance())
        };
        let measured = |stage: &&Stage| !stage.figures.is_empty();
        let gated = |stage: &&Stage| stage.figures.iter().any(|figure| figure.gate.is_some());
        alone()
            .find(gated)
            .or_else(|| alone().find(|stage| stage.evaluation.is_some()))
            .or_else(|| alone().find(measured))
            .or_else(|| self.stages.iter().rev().find(measured))
    }
}
