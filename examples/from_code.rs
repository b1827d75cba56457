//! Running a pipeline from code: reads it, runs it in this process, and prints the metrics of each stage.
//!
//! ```console
//! $ cargo run --release --example from_code -- pipelines/sentiment.toml
//! ```
#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::path::PathBuf;

use refire::config::Overrides;
use refire::error::{Error, Result};
use refire::event::{Event, Outcome};
use refire::exec::InProcess;
use refire::run::{Project, Request, run};

/// As in refire's own binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let path = path.ok_or_else(|| Error::usage("name a pipeline file"))?;
    let mut project = Project::open(&path, &Overrides::default())?;

    // Everything that happens is an event; this program shows the ends of stages.
    let show = |event: &Event| {
        if let Event::StageFinished {
            stage,
            outcome,
            seconds,
            ..
        } = event
        {
            println!("{stage}: {outcome:?} in {seconds:.2} s");
        }
    };
    // `InProcess` runs stages here; `exec::Workers` starts a process for each, as the command line does.
    let summary = run(
        &mut project,
        &Request::default(),
        &InProcess,
        &show,
        &|| false,
    )?;

    for (node, result) in project.plan.nodes.iter().zip(&summary.results) {
        for (metric, value) in result.iter().flat_map(|record| &record.metrics) {
            println!("{}.{metric} = {value:.4}", node.name);
        }
    }
    println!(
        "{} of {} stages ran",
        summary.count(&[Outcome::Ran]),
        project.plan.nodes.len()
    );
    match summary.verdict() {
        Some(error) => Err(error.clone()),
        None => Ok(()),
    }
}
