//! What is checked and reported before anything is trained. That a step changes what it should is checked by
//! [`check_step`](crate::train::check_step); that patterns match and something trains, by the freeze plan.

use crate::error::{Error, Result};
use crate::models::Loaded;
use crate::stages::StageContext;
use crate::stages::samples::AtPort;
use crate::tasks::Outputs;
use crate::train::{Metric, Targets};

/// Reports what loading decided, which tensors are new and which of the checkpoint's are left out; that all others fit, loading
/// has checked.
pub(super) fn report_loaded(loaded: &Loaded, cx: &StageContext<'_>) {
    for choice in &loaded.choices {
        cx.notice(choice);
    }
    let lists = [
        ("new weights, drawn from the seed", &loaded.missing),
        (
            "weights of the checkpoint that this task leaves out",
            &loaded.unused,
        ),
    ];
    for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        cx.log(format!("{what}: {}", names.join(", ")));
    }
}

/// Refuses a metric for the best model that the validation samples leave undefined.
pub(super) fn metric_is_defined(
    metric: &Metric,
    outputs: &dyn Outputs,
    samples: &AtPort,
    targets: &Targets,
) -> Result<()> {
    let sample = samples.sample();
    let place = match sample {
        "row" => "the validation table",
        _ => "`validation`",
    };
    if targets.is_empty() {
        return Err(Error::stage(format!("{place} has no {sample}")));
    }
    let rows: usize = targets.rows_of_outputs().iter().sum();
    let any = vec![0.0; rows * outputs.names().len()];
    let name = metric.name;
    let report = outputs.score(&any, targets)?;
    if let Some(why) = report.elsewhere.get(name) {
        return Err(Error::stage(format!("`{name}` cannot be measured: {why}"))
            .help("choose another `metric_for_best_model`"));
    }
    let undefined = report.undefined;
    if !undefined.iter().any(|undefined| undefined == name) {
        return Ok(());
    }
    let look = outputs.look(samples.port, sample, targets)?;
    Err(Error::stage(format!(
        "`{name}` cannot be measured: a label has no {sample} in {place}"
    ))
    .note(format!("labels in {place}: {}", look.counted))
    .help("choose another `metric_for_best_model`, or stratify the split"))
}
