//! `finetune` and `evaluate` on a tiny BERT and texts whose words give their label away.

mod adapter_folders;
mod adapters;
mod again;
mod compared;
mod interruption;
mod labels;
mod learning;
mod lengths;
mod masked;
mod overflow;
mod refused;
mod registry;
mod spans;
mod tasks;
mod unfreezing;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use polars::prelude::{DataFrame, ParquetWriter, df};
use serde_json::Value;

use crate::config;
use crate::error::{Error, Kind, Result, Source};
use crate::event::Event;
use crate::stages::{Job, Stage, StageContext, find};
use crate::store::Store;

const GOOD: [&str; 6] = ["good", "lovely", "superb", "delicious", "warm", "excellent"];
const BAD: [&str; 6] = ["bad", "awful", "bland", "cold", "boring", "dirty"];
const THINGS: [&str; 5] = ["food", "film", "service", "plot", "place"];

/// The settings of most tests: the head of a frozen encoder, without dropout, whose generator other tests in this process share.
const FROZEN: &str = "epochs = 8\nbatch_size = 8\nlearning_rate = 0.05\nclassifier_dropout = 0.0\n";

/// A pipeline of two stages in a folder that goes away with it.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    events: Mutex<Vec<Event>>,
    /// What its checkpoint is called, if not `checkpoint`.
    checkpoint: OnceLock<&'static str>,
}

impl Bench {
    fn new(freeze: &str) -> Self {
        let bench = Self::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert"));
        bench.freeze(freeze);
        bench.table("train", 80, 0);
        bench.table("validation", 20, 1);
        bench.table("test", 20, 2);
        bench
    }

    /// With a copy of a model, and nothing to tune it on.
    fn of(model: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy(model, &folder.path().join("encoder"));
        let store = Store::open(&folder.path().join("store")).expect("a store");
        Self {
            folder,
            store,
            events: Mutex::default(),
            checkpoint: OnceLock::new(),
        }
    }

    /// Writes the model's card.
    fn freeze(&self, card: &str) {
        let path = self.path("encoder/refire.json");
        crate::store::write_atomic(&path, card.as_bytes()).expect("written");
    }

    fn frozen() -> Self {
        Self::new(r#"{"freeze": {"trainable_layers": 0}}"#)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A table of texts such as `the food was lovely`, as many of one label as of the other.
    fn table(&self, name: &str, rows: usize, salt: usize) {
        let text = |row: usize| {
            let words = if row.is_multiple_of(2) { GOOD } else { BAD };
            let extra = "and very ".repeat((row / 2 + salt) % 4);
            let (word, thing) = (words[(row / 2 + salt) % 6], THINGS[(row / 12 + salt) % 5]);
            format!("{extra}{word} {thing} in {}", row % 10)
        };
        let texts = (0..rows).map(text).collect::<Vec<_>>();
        let labels = (0..rows)
            .map(|row| if row.is_multiple_of(2) { "good" } else { "bad" })
            .collect::<Vec<_>>();
        let frame = df!("text" => texts, "label" => labels).expect("a frame");
        std::fs::create_dir_all(self.path(name)).expect("a folder");
        write(frame, &self.path(name));
    }

    /// Runs a stage with inputs from the folders of the same name, and returns its output folder and figures. Further outputs are in
    /// folders beside it: `OUT-PORT`.
    fn run(
        &self,
        stage: &dyn Stage,
        out: &str,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<(PathBuf, BTreeMap<String, f64>)> {
        let ports = stage.outputs().into_iter();
        let outputs = ports.map(|output| {
            let folder = if output.beside {
                self.path(&format!("{out}-{}", output.port))
            } else {
                self.path(out)
            };
            (output.port, folder)
        });
        let outputs: BTreeMap<String, PathBuf> = outputs.collect();
        for folder in outputs.values().chain([&self.path("scratch")]) {
            std::fs::remove_dir_all(folder).ok();
            std::fs::create_dir_all(folder).expect("a folder");
        }
        let inputs = stage.inputs().into_iter();
        let job = Job {
            stage: "tune".into(),
            inputs: inputs
                .map(|input| (input.port, self.path(&input.from.0.value)))
                .collect(),
            outputs,
            scratch: self.path("scratch"),
            seed: 7,
            device: "cpu".into(),
            gpus: Vec::new(),
            downloads: PathBuf::new(),
            checkpoint: Some(self.path(self.checkpoint.get().unwrap_or(&"checkpoint"))),
            offline: true,
            ..Job::default()
        };
        let sink = |event: &Event| {
            self.events
                .lock()
                .expect("no test panics while it holds it")
                .push(event.clone());
        };
        let mut cx = StageContext::new(&job, &self.store, &sink, cancelled);
        stage.run(&mut cx)?;
        Ok((self.path(out), cx.take_metrics()))
    }

    fn tune(&self, settings: &str) -> Result<(PathBuf, BTreeMap<String, f64>)> {
        self.run(&*tuning(settings)?, "tuned", &|| false)
    }

    /// What was said since the last call.
    fn events(&self) -> Vec<Event> {
        std::mem::take(
            &mut self
                .events
                .lock()
                .expect("no test panics while it holds it"),
        )
    }

    fn notices(&self) -> String {
        let texts = self.events().into_iter().filter_map(|event| match event {
            Event::Notice { text, .. } | Event::Log { text, .. } => Some(text),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// How many samples went through the frozen layers since the last call.
    fn features_computed(&self) -> u64 {
        let counts = self.events().into_iter().filter_map(|event| match event {
            Event::Progress { activity, done, .. } if activity == "features" => Some(done),
            _ => None,
        });
        counts.max().unwrap_or(0)
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

/// Writes a table artifact.
fn write(mut frame: DataFrame, folder: &Path) {
    let file = std::fs::File::create(folder.join("table.parquet")).expect("a file");
    ParquetWriter::new(file)
        .finish(&mut frame)
        .expect("written");
}

fn parse(kind: &str, text: &str) -> Result<Box<dyn Stage>> {
    let source = Source {
        name: "pipeline.toml".into(),
        text: text.into(),
        folder: PathBuf::new(),
    };
    find(kind)
        .expect("the kind exists")
        .parse(&config::Table::parse(&Arc::new(source))?)
}

fn tuning(settings: &str) -> Result<Box<dyn Stage>> {
    let ports = "model = \"encoder\"\ntrain = \"train\"\nvalidation = \"validation\"\n";
    parse(
        "finetune",
        &format!("{ports}task = \"text-classification\"\nlabels = [\"bad\", \"good\"]\n{settings}"),
    )
}

fn refusal(result: Result<Box<dyn Stage>>) -> Error {
    result.err().expect("it is refused")
}

fn failure<T>(result: Result<T>) -> Error {
    result.err().expect("it fails")
}

/// All tensors of the checkpoint in `folder`, in all its files, as one file.
fn weights(folder: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_file = |path: &PathBuf| path.extension().is_some_and(|e| e == "safetensors");
    let files: Vec<Vec<u8>> = paths
        .filter(is_file)
        .map(|path| std::fs::read(path).expect("readable"))
        .collect();
    let files = files
        .iter()
        .map(|bytes| safetensors::SafeTensors::deserialize(bytes).expect("safetensors"));
    let files: Vec<_> = files.collect();
    let tensors = files.iter().flat_map(safetensors::SafeTensors::iter);
    safetensors::serialize(tensors, None).expect("well-formed")
}

#[test]
fn a_head_on_a_frozen_encoder_learns_and_is_measured() {
    let bench = Bench::frozen();
    let (tuned, figures) = bench.tune(FROZEN).expect("it trains");
    assert!(figures["validation_accuracy"] >= 0.9, "{figures:?}");

    let card: Value =
        serde_json::from_slice(&std::fs::read(tuned.join("refire.json")).expect("a card"))
            .expect("JSON");
    assert_eq!(card["labels"], serde_json::json!(["bad", "good"]));
    assert_eq!(
        card["training"]["history"].as_array().map(Vec::len),
        Some(8)
    );
    assert_eq!(card["training"]["settings"]["learning_rate"], 0.05);
    assert!(tuned.join("tokenizer.json").exists());

    let evaluate = parse(
        "evaluate",
        "model = \"tuned\"\ntable = \"test\"\nmetrics = [\"accuracy\", \"f1\"]",
    )
    .expect("it parses");
    let (folder, figures) = bench
        .run(&*evaluate, "measured", &|| false)
        .expect("it is measured");
    assert!(
        figures["accuracy"] >= 0.9 && figures.len() == 2,
        "{figures:?}"
    );
    let report: Value =
        serde_json::from_slice(&std::fs::read(folder.join("metrics.json")).expect("metrics"))
            .expect("JSON");
    assert_eq!(report["samples"], 20);
    assert_eq!(report["classes"][1]["label"], "good");
    assert!(bench.notices().contains("label  precision"));
}

#[test]
fn frozen_weights_keep_their_bits() {
    let bench = Bench::new(r#"{"freeze": {"frozen": ["*LayerNorm*", "embeddings.*"]}}"#);
    let (tuned, _) = bench
        .tune("epochs = 1\nlearning_rate = 0.01")
        .expect("it trains");
    let (before, after) = (weights(&bench.path("encoder")), weights(&tuned));
    let before = safetensors::SafeTensors::deserialize(&before).expect("safetensors");
    let after = safetensors::SafeTensors::deserialize(&after).expect("safetensors");
    let (mut kept, mut changed) = (0, 0);
    for (name, tensor) in before.iter().filter(|(name, _)| !name.contains("pooler")) {
        let now = after.tensor(&format!("bert.{name}"));
        let now = now
            .or_else(|_| after.tensor(name))
            .expect("the same tensors");
        let frozen = name.contains("LayerNorm") || name.contains("embeddings.");
        assert_eq!(tensor.data() == now.data(), frozen, "{name}");
        *(if frozen { &mut kept } else { &mut changed }) += 1;
    }
    assert!(kept > 5 && changed > 5);
}

#[test]
fn features_are_computed_once_for_all_experiments_on_the_same_encoder() {
    let bench = Bench::frozen();
    bench.tune(FROZEN).expect("it trains");
    assert!(bench.features_computed() > 0);
    bench
        .tune(&FROZEN.replace("0.05", "0.01"))
        .expect("it trains");
    assert_eq!(bench.features_computed(), 0);
    let evaluate =
        parse("evaluate", "model = \"tuned\"\ntable = \"validation\"").expect("it parses");
    bench
        .run(&*evaluate, "measured", &|| false)
        .expect("it is measured");
    assert_eq!(
        bench.features_computed(),
        0,
        "a tuned head leaves the features of the encoder as they are"
    );
}

#[test]
fn features_do_not_depend_on_what_was_remembered_before() {
    // Enough texts for several buckets, so that one text more leaves most of them as they were.
    let settings = FROZEN.replace("epochs = 8", "epochs = 1");
    let many = |bench: &Bench, rows: usize| {
        let texts =
            (0..rows).map(|row| format!("{} {row}", if row % 2 == 0 { "good" } else { "bad" }));
        let labels = (0..rows).map(|row| if row % 2 == 0 { "good" } else { "bad" });
        let frame = df!("text" => texts.collect::<Vec<_>>(), "label" => labels.collect::<Vec<_>>());
        write(frame.expect("a frame"), &bench.path("train"));
        weights(&bench.tune(&settings).expect("it trains").0)
    };
    let bench = Bench::frozen();
    many(&bench, 2400);
    let grown = many(&bench, 2401);
    assert!(
        grown == many(&Bench::frozen(), 2401),
        "the weights depend on what was remembered"
    );
}

#[test]
fn the_same_settings_give_the_same_bits_on_any_number_of_threads() {
    let bits = |threads, freeze| {
        let bench = Bench::new(freeze);
        // Full tuning without dropout, whose generator other tests in this process share.
        let config = bench.path("encoder/config.json");
        let text = std::fs::read_to_string(&config)
            .expect("a config")
            .replace("0.1", "0.0");
        crate::store::write_atomic(&config, text.as_bytes()).expect("written");
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        let (tuned, _) = pool
            .install(|| bench.tune("epochs = 2\nbatch_size = 8\nlearning_rate = 0.001"))
            .expect("it trains");
        blake3::hash(&weights(&tuned))
    };
    for freeze in [
        "{}",
        r#"{"freeze": {"trainable_layers": 1}}"#,
        r#"{"freeze": {"trainable_layers": 0}}"#,
    ] {
        let one = bits(1, freeze);
        assert_eq!(one, bits(2, freeze), "{freeze}");
        assert_eq!(one, bits(4, freeze), "{freeze}");
    }
}

#[test]
fn training_stops_when_it_gets_no_better() {
    let bench = Bench::frozen();
    let settings = FROZEN.replace(
        "epochs = 8",
        "epochs = 40\nearly_stopping_patience = 3\nmetric_for_best_model = \"accuracy\"",
    );
    let (tuned, figures) = bench
        .tune(&settings.replace("0.05", "0.3"))
        .expect("it trains");
    let card: Value =
        serde_json::from_slice(&std::fs::read(tuned.join("refire.json")).expect("a card"))
            .expect("JSON");
    let epochs = card["training"]["history"]
        .as_array()
        .map(Vec::len)
        .expect("a history");
    assert!(epochs < 40, "it ran all epochs");
    assert!(bench.notices().contains("stopped after epoch"));
    assert_eq!(
        card["training"]["best_epoch"].as_f64(),
        Some(figures["best_epoch"])
    );
}

#[test]
fn what_would_go_wrong_later_is_refused_before_training() {
    let bench = Bench::frozen();
    let error = failure(bench.tune(&FROZEN.replace("0.05", "1e38")));
    assert!(error.message().contains("not a number"), "{error}");

    bench.table("validation", 20, 0);
    bench
        .tune(&format!("max_length = 4\n{FROZEN}"))
        .expect("it trains");
    let notices = bench.notices();
    assert!(
        notices.contains("20 of 20 validation texts are also in the training table"),
        "{notices}"
    );
    assert!(
        notices.contains("train texts (100 %) are longer than 4 tokens"),
        "{notices}"
    );

    let error = failure(bench.tune("max_length = 500"));
    assert!(
        error
            .help_text()
            .is_some_and(|help| help.contains("max_length = 48")),
        "{error}"
    );

    let only_good = df!("text" => ["good", "warm"], "label" => ["good", "good"]).expect("a frame");
    write(only_good.clone(), &bench.path("validation"));
    let error = failure(bench.tune("metric_for_best_model = \"auroc\""));
    assert!(
        error.message().contains("`auroc` cannot be measured"),
        "{error}"
    );
    write(only_good, &bench.path("train"));
    let error = failure(bench.tune(""));
    assert!(
        error
            .message()
            .contains("all rows of `train` have the label `good`"),
        "{error}"
    );
}

#[test]
fn a_tuned_model_can_be_tuned_again_but_not_with_its_labels_reordered() {
    let bench = Bench::frozen();
    let (tuned, _) = bench.tune(FROZEN).expect("it trains");
    std::fs::remove_dir_all(bench.path("encoder")).expect("it goes");
    copy(&tuned, &bench.path("encoder"));
    bench.tune(FROZEN).expect("it trains on");
    let reordered = "model = \"encoder\"\ntrain = \"train\"\ntask = \"text-classification\"\nlabels = [\"good\", \"bad\"]";
    let error = failure(bench.run(
        &*parse("finetune", reordered).expect("it parses"),
        "tuned",
        &|| false,
    ));
    assert!(error.message().contains("in another order"), "{error}");
}

#[test]
fn it_stops_when_asked_to() {
    let bench = Bench::frozen();
    let error = failure(bench.run(&*tuning(FROZEN).expect("it parses"), "tuned", &|| true));
    assert_eq!(error.kind(), Kind::Interrupted);
}
