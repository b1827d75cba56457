//! `refire lr-find`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::flags::{Changes, Shown};
use super::run::verdict;
use super::{Outcome, interrupt, pipeline};
use crate::error::{Context as _, Error};
use crate::exec::Workers;
use crate::plan::Goal;
use crate::report;
use crate::run::{Project, Request, run};
use crate::show::{look, picture};

/// Find a learning rate for a `finetune` stage: train a copy for some steps at rates from low to high.
///
/// What the stage needs is brought up to date first. Shown is the loss over the rates, and the rate at which it falls fastest (a suggestion: the
/// highest rate that still trains well is near it). The pipeline and its lock stay as they are.
#[derive(Debug, clap::Args)]
#[command(override_usage = "refire lr-find [OPTIONS] [PIPELINE] STAGE")]
pub(super) struct Args {
    #[arg(hide = true, value_name = "STAGE", required = true, num_args = 1..=2)]
    what: Vec<String>,

    /// The first learning rate
    #[arg(long, value_name = "RATE", default_value_t = 1e-7, allow_negative_numbers = true, value_parser = rate)]
    min_lr: f64,

    /// The learning rate at which it ends, if the loss has not grown to four times its least before
    #[arg(long, value_name = "RATE", default_value_t = 10.0, allow_negative_numbers = true, value_parser = rate)]
    max_lr: f64,

    /// How many rates are tried, each for a step
    #[arg(long, value_name = "STEPS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    num_training: u32,

    /// An SVG file to write the picture to; one that is there is replaced
    #[arg(short, long, value_name = "FILE.SVG")]
    output: Option<PathBuf>,

    /// Never touch the network
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    changes: Changes,
}

/// A learning rate.
fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "it is no number".to_string())?;
    if rate.is_finite() && rate > 0.0 {
        Ok(rate)
    } else {
        Err("it must be above 0".into())
    }
}

impl Args {
    pub(super) fn run(mut self) -> Outcome {
        interrupt::outlive_terminal();
        let path = pipeline::take(&mut self.what)?;
        let stage = pipeline::only_stage(&self.what)?.to_owned();
        let mut overrides = std::mem::take(&mut self.changes).overrides();
        let goal = Goal {
            stages: vec![stage.clone()],
            ..Goal::default()
        };
        let needed = {
            let project = Project::open(&path, &overrides)?;
            let of_name = |name: &str| name == stage || name.starts_with(&format!("{stage}@"));
            let node = project.plan.nodes.iter().find(|node| of_name(&node.name));
            if let Some(node) = node
                && node.kind.name() != "finetune"
            {
                let kind = node.kind.name();
                let error = Error::usage(format!(
                    "`{stage}` is of kind `{kind}`: it has no learning rate"
                ))
                .help("name a stage of kind `finetune`");
                return Err(error.into());
            }
            let selection = project.plan.select(&goal)?;
            let nodes = project.plan.nodes.iter().zip(&selection.included);
            let needed = nodes.filter(|(_, included)| **included);
            needed
                .map(|(node, _)| node.name.clone())
                .collect::<BTreeSet<_>>()
        };
        let base = stage.split('@').next().unwrap_or(&stage);
        for (key, value) in [
            ("kind", "\"lr-find\"".to_string()),
            ("min_lr", format!("{:e}", self.min_lr)),
            ("max_lr", format!("{:e}", self.max_lr)),
            ("num_training", self.num_training.to_string()),
        ] {
            overrides.set.push(format!("stage.{base}.{key}={value}"));
        }
        let mut project = Project::open_part(&path, &overrides, &needed)?;
        interrupt::listen()?;
        let program = std::env::current_exe().or_stage(|| "cannot tell where refire is")?;
        let workers = Workers::new(program);
        let reporter = report::reporter(Shown::default().into());
        let request = Request {
            goal,
            offline: self.offline,
            jobs: 1,
            ..Request::default()
        };
        let summary = run(
            &mut project,
            &request,
            &workers,
            &*reporter,
            &interrupt::asked,
        )?;
        drop(reporter);
        verdict(&project, &summary)?;
        let named: Vec<String> = needed
            .into_iter()
            .filter(|name| *name == stage || name.starts_with(&format!("{stage}@")))
            .collect();
        if let (Some(_), [_, _, ..]) = (&self.output, &named[..]) {
            return Err(Error::usage(format!(
                "`{stage}` has several instances, and `--output` is one file"
            ))
            .help(format!("name one of them: {}", named.join(", ")))
            .into());
        }
        named.iter().try_for_each(|name| self.show(&project, name))
    }

    /// Shows what was found for an instance.
    fn show(&self, project: &Project, stage: &str) -> Outcome {
        let (lent, _) = project.look_at(stage)?;
        let content = look(lent.path(), 0)?;
        report::print_styled(&format!(
            "{}\n{}",
            report::line(stage),
            report::artifact(&content, report::width_of_output())
        ))?;
        if let Some(output) = &self.output {
            picture(lent.path(), output)?;
            report::print_status(&format!("wrote `{}`\n", output.display()));
        }
        Ok(())
    }
}
