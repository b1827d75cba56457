//! What is checked and reported before anything is trained. That a step changes what it should is checked by
//! [`check_step`](crate::train::check_step); that patterns match and something trains, by the freeze plan.

use crate::data::text::{Examples, shared};
use crate::error::{Error, Result};
use crate::models::{Encoded, Loaded};
use crate::stages::StageContext;
use crate::train::metrics::{Metric, Predictions, Report};
use crate::train::{Inputs, Samples};

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

/// Tells which labels none of the samples at `port` has.
///
/// # Errors
/// If all samples to train on have the same label: nothing can be learnt from them.
pub(in crate::stages) fn report_missing_labels(
    port: &str,
    labels: &[String],
    samples: &Samples,
    cx: &StageContext<'_>,
) -> Result<()> {
    let counts = samples.class_counts(labels.len());
    let counts = || labels.iter().zip(&counts);
    let missing: Vec<_> = counts()
        .filter(|(_, count)| **count == 0)
        .map(|(label, _)| format!("`{label}`"))
        .collect();
    if missing.is_empty() || samples.is_empty() {
        return Ok(());
    }
    let sample = match samples.inputs {
        Inputs::Texts(_) => "row",
        Inputs::Images(_) => "image",
    };
    if port == "train" && missing.len() + 1 == labels.len() {
        let only = counts().find(|(_, count)| **count > 0);
        let only = only.map_or("", |(label, _)| label);
        return Err(Error::stage(format!(
            "all {sample}s of `train` have the label `{only}`: a classifier needs two"
        ))
        .help("look at how the samples were made"));
    }
    let so = match port {
        "train" => "the model cannot learn it",
        _ => "it cannot be measured",
    };
    cx.notice(format!(
        "no {sample} of `{port}` has the label {}: {so}",
        missing.join(", ")
    ));
    Ok(())
}

/// Refuses a metric for the best model that the validation samples leave undefined.
pub(super) fn metric_is_defined(
    metric: &Metric,
    labels: &[String],
    validation: &Samples,
) -> Result<()> {
    let (sample, place) = match validation.inputs {
        Inputs::Texts(_) => ("row", "the validation table"),
        Inputs::Images(_) => ("image", "`validation`"),
    };
    if validation.is_empty() {
        return Err(Error::stage(format!("{place} has no {sample}")));
    }
    let any = vec![0.0; validation.len() * labels.len()];
    let any = Predictions::from_logits(&any, &validation.labels, labels.len())?;
    let name = metric.name;
    if !Report::new(&any, labels)
        .undefined
        .iter()
        .any(|undefined| undefined == name)
    {
        return Ok(());
    }
    Err(Error::stage(format!(
        "`{name}` cannot be measured: a label has no {sample} in {place}"
    ))
    .note(format!(
        "labels in {place}: {}",
        counted(labels, validation)
    ))
    .help("choose another `metric_for_best_model`, or stratify the split"))
}

/// Reports how many validation texts the model trains on.
pub(super) fn report_shared_texts(train: &Examples, validation: &Examples, cx: &StageContext<'_>) {
    let rows = shared(&train.texts, &validation.texts).rows;
    if rows > 0 {
        let all = validation.texts.len();
        cx.notice(format!(
            "{rows} of {all} validation texts are also in the training table"
        ));
    }
}

/// Reports how many validation images the model trains on.
pub(super) fn report_shared_images(train: &Samples, validation: &Samples, cx: &StageContext<'_>) {
    let shared = validation.also_in(train);
    if shared > 0 {
        let all = validation.len();
        cx.notice(format!(
            "{shared} of {all} validation images are also among those to train on"
        ));
    }
}

/// Reports how many texts are longer than `max_length`.
pub(super) fn report_cut(
    name: &str,
    encoded: &[Encoded],
    max_length: usize,
    cx: &StageContext<'_>,
) {
    let cut = encoded.iter().filter(|text| text.truncated).count();
    if cut > 0 {
        let all = encoded.len();
        let percent = 100 * cut / all;
        cx.notice(format!("{cut} of {all} {name} texts ({percent} %) are longer than {max_length} tokens and are cut"));
    }
}

/// Reports how many texts have no token.
pub(super) fn report_empty(name: &str, encoded: &[Encoded], cx: &StageContext<'_>) {
    let empty = encoded.iter().filter(|text| text.is_empty).count();
    if empty > 0 {
        let all = encoded.len();
        cx.notice(format!(
            "{empty} of {all} {name} texts have no token: each counts as one padding token"
        ));
    }
}

/// How often each label comes: `negative 400, positive 400`.
pub(super) fn counted(labels: &[String], samples: &Samples) -> String {
    let counts = samples.class_counts(labels.len());
    let pairs = labels
        .iter()
        .zip(counts)
        .map(|(label, count)| format!("{label} {count}"));
    pairs.collect::<Vec<_>>().join(", ")
}
