//! Fine-tuning and evaluation on a tiny BERT, from the file to the figures.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::Project;

/// A table, two parts of it, the tiny BERT, a tuned one and its figures.
const PIPELINE: &str = r#"
[pipeline]
seed = 7

[params]
learning_rate = 0.02
layers = 0

[stage.encoder]
kind = "pretrained"
source = "tiny-bert"
files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]

[stage.reviews]
kind = "dataset"
source = "reviews.csv"

[stage.split]
kind = "split"
table = "reviews"
stratify = "label"
parts = { train = 0.75, test = 0.25 }

[stage.frozen]
kind = "freeze"
model = "encoder"
trainable_layers = "${params.layers}"

[stage.tune]
kind = "finetune"
model = "frozen"
train = "split.train"
validation = "split.test"
task = "text-classification"
labels = ["bad", "good"]
pooling = "mean"
epochs = 6
batch_size = 8
learning_rate = "${params.learning_rate}"
resources = { cpus = 1 }

[stage.test]
kind = "evaluate"
model = "tune"
table = "split.test"
gate = { accuracy = ">= 0.8" }
"#;

fn project() -> Project {
    let project = Project::with(PIPELINE);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        let bytes = std::fs::read(model.join(name)).expect("a file of the tiny BERT");
        project.write(&format!("tiny-bert/{name}"), bytes);
    }
    let words = [
        ["good", "lovely", "superb", "warm", "excellent"],
        ["bad", "awful", "bland", "cold", "boring"],
    ];
    let mut table = String::from("text,label\n");
    for row in 0..120 {
        let thing = ["food", "film", "service", "plot"][row / 10 % 4];
        let (word, label) = (words[row % 2][row / 2 % 5], ["good", "bad"][row % 2]);
        writeln!(
            table,
            "the {thing} was {}{word},{label}",
            "very ".repeat(row / 40)
        )
        .expect("a string takes it");
    }
    project.write("reviews.csv", table);
    project
}

#[test]
fn a_changed_learning_rate_reruns_training_and_evaluation_only() {
    let project = project();
    let all = |outcome: &str| {
        ["encoder", "reviews", "split", "frozen", "tune", "test"]
            .map(|stage| format!("{stage} {outcome}"))
    };
    let sorted = |mut outcomes: Vec<String>| {
        outcomes.sort();
        outcomes
    };
    assert_eq!(sorted(project.outcomes(&[])), sorted(all("ran").to_vec()));
    assert_eq!(
        sorted(project.outcomes(&[])),
        sorted(all("cached").to_vec())
    );
    let outcomes = project.outcomes(&["-S", "learning_rate=0.03"]);
    let ran = outcomes
        .iter()
        .filter(|outcome| outcome.ends_with("ran"))
        .collect::<Vec<_>>();
    assert_eq!(ran, ["tune ran", "test ran"]);
}

#[test]
fn two_clean_caches_and_any_number_of_threads_give_the_same_bits() {
    for layers in ["layers = 0", "layers = 2"] {
        let locks = ["cpus = 1", "cpus = 2"].map(|cpus| {
            let project = project();
            project.edit("layers = 0", layers);
            project.edit("cpus = 1", cpus);
            project.edit(">= 0.8", ">= 0.0");
            project.refire(&["run"]).succeeds();
            project.read("refire.lock")
        });
        assert_eq!(locks[0], locks[1], "{layers}");
    }
}

#[test]
fn a_gate_that_fails_stops_with_its_figure() {
    let project = project();
    project.edit(">= 0.8", "> 1");
    project.refire(&["run"]).fails_with(3).shows("accuracy");
}

#[test]
fn a_gate_on_an_unknown_metric_is_refused_before_anything_runs() {
    let project = project();
    project.edit("gate = { accuracy", "gate = { acuracy");
    project
        .refire(&["run"])
        .fails_with(2)
        .shows("did you mean `accuracy`?");
}

#[test]
fn a_label_that_is_not_listed_is_named_with_its_row() {
    let project = project();
    project.edit(
        "labels = [\"bad\", \"good\"]",
        "labels = [\"bad\", \"great\"]",
    );
    project
        .refire(&["run"])
        .fails_with(1)
        .shows("has the label `good`");
}

#[test]
fn a_training_that_diverges_says_so() {
    let project = project();
    project
        .refire(&["run", "-S", "learning_rate=1e38"])
        .fails_with(1)
        .shows("not a number");
}

/// Devices beside the CPU that this build of the tests is for, and that have to be there.
#[cfg(any(feature = "libtorch", feature = "wgpu"))]
const OTHER_DEVICES: &[&str] = &[
    #[cfg(feature = "libtorch")]
    "libtorch",
    #[cfg(feature = "wgpu")]
    "wgpu",
];

/// Dropout and all: whatever computes, the same numbers are drawn.
#[cfg(any(feature = "libtorch", feature = "wgpu"))]
#[test]
fn other_devices_give_the_figures_of_the_cpu() {
    let cases = OTHER_DEVICES
        .iter()
        .flat_map(|device| [(device, "0"), (device, "1")]);
    for (device, layers) in cases {
        let project = project();
        let figures = |device: &str| -> serde_json::Value {
            let device = format!("pipeline.device={device}");
            let layers = format!("layers={layers}");
            // Of the larger rate of the file small differences would grow.
            let rate = "learning_rate=0.005";
            let run = [
                "run", "tune", "--format", "json", "-S", &device, "-S", &layers, "-S", rate,
            ];
            let events = project.refire(&run).succeeds().stdout();
            let tuned = events.lines().find(|line| {
                line.contains(r#""event":"stage_finished""#) && line.contains(r#""stage":"tune""#)
            });
            let event: serde_json::Value =
                serde_json::from_str(tuned.expect("it was tuned")).expect("JSON");
            event["metrics"].clone()
        };
        let (cpu, other) = (figures("cpu"), figures(device));
        for name in ["train_loss", "validation_log_loss"] {
            let figure = |metrics: &serde_json::Value| metrics[name].as_f64().expect("a figure");
            let (a, b) = (figure(&cpu), figure(&other));
            assert!(
                (a - b).abs() <= 1e-3,
                "{name} on {device} with {layers} layers: {a} and {b}"
            );
        }
    }
}

/// With dropout, whose random numbers are those of the step that they belong to.
#[cfg(target_os = "linux")]
#[test]
fn a_training_that_is_stopped_and_one_that_is_killed_end_in_the_same_bits() {
    stopped_again_and_again(|| {
        let project = project();
        project.edit("layers = 0", "layers = 2");
        project.edit("epochs = 6", "epochs = 300");
        project.edit(">= 0.8", ">= 0.0");
        project
    });
}

/// With batch normalisations, whose running statistics change outside of the optimizer.
#[cfg(target_os = "linux")]
#[test]
fn a_network_that_counts_on_its_statistics_is_stopped_and_killed_without_a_trace() {
    stopped_again_and_again(|| {
        let project = crate::photos::project();
        project.edit("trainable_layers = 0", "trainable_layers = 9");
        project.edit("epochs = 4", "epochs = 12");
        project.edit("learning_rate = 0.02", "learning_rate = 0.002");
        project.edit(">= 0.9", ">= 0.0");
        project
    });
}

/// Runs a project, and another one that is stopped in the second epoch, killed some epochs later and stopped once more: their locks
/// must be the same.
#[cfg(target_os = "linux")]
fn stopped_again_and_again(project: impl Fn() -> Project) {
    use crate::processes::{kill, processes, start};

    let undisturbed = project();
    undisturbed.refire(&["run"]).succeeds();
    let disturbed = project();
    let checkpoints = disturbed.path(".refire/cache/checkpoints");
    let kept = || std::fs::read_dir(&checkpoints).is_ok_and(|mut files| files.next().is_some());
    for round in 0..3 {
        let mut run = start(&disturbed, &["run"]);
        until_an_epoch_ends(&disturbed, round + 1);
        if round == 1 {
            for pid in processes(&disturbed) {
                kill(pid);
            }
        } else {
            let pid = run.id().to_string();
            let sent = std::process::Command::new("kill")
                .args(["-TERM", &pid])
                .status();
            assert!(sent.expect("kill is there").success());
        }
        let end = run.wait().expect("it is ours").code();
        assert_eq!(end, (round != 1).then_some(130));
        assert!(kept(), "nothing was kept");
        disturbed
            .refire(&["status", "tune"])
            .succeeds()
            .prints("no earlier result; goes on at epoch ");
    }
    disturbed
        .refire(&["plan"])
        .succeeds()
        .prints("tune: note: goes on at epoch ");
    disturbed
        .refire(&["run", "--format", "plain"])
        .succeeds()
        .shows("goes on where it was interrupted: after step");
    assert_eq!(
        disturbed.read("refire.lock"),
        undisturbed.read("refire.lock")
    );
    assert!(!kept(), "a checkpoint is left");
}

/// Waits until the run with this number, counted from 1, has measured an epoch.
#[cfg(target_os = "linux")]
fn until_an_epoch_ends(project: &Project, run: usize) {
    use std::time::{Duration, Instant};
    let begin = Instant::now();
    let measured = || {
        let runs = std::fs::read_dir(project.path(".refire/runs")).into_iter();
        let mut runs: Vec<_> = runs.flatten().flatten().map(|run| run.path()).collect();
        runs.sort();
        let events = runs.get(run - 1).map(|run| run.join("events.jsonl"));
        let events = events.and_then(|events| std::fs::read_to_string(events).ok());
        events.is_some_and(|events| events.contains("\"measured\""))
    };
    while !measured() {
        assert!(begin.elapsed() < Duration::from_mins(1), "no epoch ends");
        std::thread::sleep(Duration::from_millis(20));
    }
}
