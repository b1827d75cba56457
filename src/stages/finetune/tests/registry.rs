//! Every architecture of the registry at every depth: what is remembered of the frozen layers changes the time that a training takes
//! and nothing else, `evaluate` measures what `predict` says, and a training that is interrupted ends as one that is left alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::interruption::all_of;
use super::*;
use crate::data::Table;
use crate::data::images::Writer;
use crate::models::small::{SmallModel, side, small_models};
use crate::models::{Anatomy, Card, Modality, Network};
use crate::stages::finetune::settings::Optim;
use crate::tasks;
use crate::train::Targets;

/// Samples to train on, to choose the best epoch by, and to measure on.
const PARTS: [(&str, usize); 3] = [("train", 8), (VALIDATION, 1), ("test", 5)];

const VALIDATION: &str = "validation";

/// What is not kept.
const NOTHING_KEPT: &str = "feature_cache_max = \"0B\"\n";

/// A small model with samples for it.
pub(super) struct Subject {
    pub(super) bench: Bench,
    pub(super) name: String,
    modality: Modality,
    /// Height and width of its images.
    side: usize,
    pub(super) anatomy: Anatomy,
}

impl Subject {
    pub(super) fn new(model: &SmallModel) -> Self {
        let network = Network::outline(model.path()).expect("an outline").network;
        let subject = Self {
            bench: Bench::of(model.path()),
            name: model.name.clone(),
            modality: model.modality,
            side: side(&network),
            anatomy: network.anatomy(),
        };
        for (part, samples) in PARTS {
            subject.write(part, samples, 0);
        }
        subject
    }

    /// Writes samples with labels that begin with one or the other.
    fn write(&self, part: &str, samples: usize, first: usize) {
        let labels = (0..samples).map(|sample| ["good", "bad"][(sample + first) % 2]);
        let labels: Vec<&str> = labels.collect();
        match self.modality {
            Modality::Texts => self.texts(part, &labels),
            Modality::Images => self.images(part, &labels),
        }
    }

    /// Texts of many lengths.
    fn texts(&self, part: &str, labels: &[&str]) {
        let text = |sample: usize| {
            let words = if sample.is_multiple_of(2) { GOOD } else { BAD };
            let very = "very ".repeat((sample * 5 + part.len()) % 7);
            format!("{very}{} {}", words[sample % 6], THINGS[sample % 5])
        };
        let texts: Vec<String> = (0..labels.len()).map(text).collect();
        std::fs::create_dir_all(self.bench.path(part)).expect("a folder");
        let frame = df!("text" => texts, "label" => labels);
        write(frame.expect("a frame"), &self.bench.path(part));
    }

    /// Images of noise, every other one with more red.
    fn images(&self, part: &str, labels: &[&str]) {
        let (side, samples) = (self.side, labels.len());
        let folder = self.bench.path(part);
        std::fs::create_dir_all(&folder).expect("a folder");
        let byte = |sample: usize, place: usize| {
            let noise = blake3::hash(format!("{part} {sample} {place}").as_bytes()).as_bytes()[0];
            let is_red = place.is_multiple_of(3) && sample.is_multiple_of(2);
            noise / 4 * 3 + if is_red { 60 } else { 0 }
        };
        let pixels = (0..samples)
            .flat_map(|sample| (0..3 * side * side).map(move |place| byte(sample, place)));
        let paths: Vec<String> = (0..samples).map(|sample| format!("{sample}.png")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let mut writer = Writer::create(&folder, side, side, None).expect("created");
        writer
            .write(pixels.collect(), labels, &paths)
            .expect("written");
        writer.finish().expect("finished");
    }

    /// Freezes the first blocks.
    pub(super) fn freeze(&self, blocks: usize) {
        let below = self.anatomy.parameters.iter();
        let below = below.filter(|parameter| parameter.block < blocks);
        let names: Vec<&str> = below.map(|parameter| parameter.name.as_str()).collect();
        let card = serde_json::json!({ "freeze": { "frozen": names } });
        self.bench.freeze(&card.to_string());
    }

    /// Tunes the model, and gives its folder and how many samples went through the frozen layers to be remembered.
    pub(super) fn tune(&self, settings: &str, out: &str) -> (PathBuf, u64) {
        let tuned = self.bench.run(&*self.tuning(settings), out, &|| false);
        let (folder, _) = tuned.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        (folder, self.bench.features_computed())
    }

    pub(super) fn tuning(&self, settings: &str) -> Box<dyn Stage> {
        let task = match self.modality {
            Modality::Texts => "text-classification",
            Modality::Images => "image-classification",
        };
        let text = format!(
            "model = \"encoder\"\ntrain = \"train\"\nvalidation = \"validation\"\ntask = \"{task}\"\n\
             labels = [\"bad\", \"good\"]\nbatch_size = 4\nclassifier_dropout = 0.0\n{settings}"
        );
        parse("finetune", &text).expect("it parses")
    }

    /// The figures of the model in `tuned` on the test samples.
    pub(super) fn evaluate(&self, tuned: &str, settings: &str) -> BTreeMap<String, f64> {
        let port = self.port();
        let text = format!("model = \"{tuned}\"\n{port} = \"test\"\n{settings}");
        let stage = parse("evaluate", &text).expect("it parses");
        let measured = self.bench.run(&*stage, "measured", &|| false);
        measured.expect("it is measured").1
    }

    /// The same figures, of what `predict` says.
    pub(super) fn predict(&self, tuned: &str) -> BTreeMap<String, f64> {
        let port = self.port();
        let text =
            format!("model = \"{tuned}\"\n{port} = \"test\"\nlogits = true\nprefix = \"said_\"");
        let stage = parse("predict", &text).expect("it parses");
        let said = self.bench.run(&*stage, "said", &|| false);
        let table = Table::read(&said.expect("it predicts").0).expect("a table");
        let column = |label: &str| -> Vec<f32> {
            let texts = table.values(&format!("said_logit_{label}")).expect("there");
            texts
                .iter()
                .map(|text| text.parse().expect("a number"))
                .collect()
        };
        let rows = column("bad").into_iter().zip(column("good"));
        let logits: Vec<f32> = rows.flat_map(|(bad, good)| [bad, good]).collect();
        let truth: Vec<u32> = (0..table.rows())
            .map(|row| u32::from(row % 2 == 0))
            .collect();
        let card = Card {
            labels: vec!["bad".into(), "good".into()],
            ..Card::default()
        };
        let task = tasks::of(&card, self.modality).expect("a task");
        let outputs = task
            .targets
            .open(&card, self.modality, None)
            .expect("a card");
        let report = outputs.score(&logits, &Targets::Classes(truth));
        report.expect("finite").figures
    }

    fn port(&self) -> &'static str {
        match self.modality {
            Modality::Texts => "table",
            Modality::Images => "images",
        }
    }

    /// Whether what its blocks make of a sample depends on no other sample of the batch, not even in the last bit: so it is with
    /// convolutions, while products of matrices are shared out by their sizes.
    fn keeps_bits(&self) -> bool {
        !self.anatomy.batch_norms.is_empty()
    }
}

/// The figures of every epoch.
fn history(tuned: &Path) -> Vec<BTreeMap<String, f64>> {
    let card = std::fs::read(tuned.join("refire.json")).expect("a card");
    let card: Value = serde_json::from_slice(&card).expect("JSON");
    let epochs = card["training"]["history"].as_array().expect("a history");
    let figures = epochs.iter().map(|epoch| {
        let validation = epoch["validation"].as_object().expect("figures");
        let validation = validation
            .iter()
            .map(|(name, figure)| (name.clone(), figure));
        let all = validation.chain([("train_loss".to_string(), &epoch["train_loss"])]);
        all.map(|(name, figure)| (name, figure.as_f64().expect("a number")))
            .collect()
    });
    figures.collect()
}

/// Fails unless figures of the same names differ by no more than rounding does.
pub(super) fn agree(one: &BTreeMap<String, f64>, other: &BTreeMap<String, f64>, what: &str) {
    assert_eq!(one.len(), other.len(), "{what}: {one:?}, {other:?}");
    for (name, figure) in one {
        let apart = (figure - other[name]).abs();
        assert!(
            apart <= 1e-6 * figure.abs().max(1.0),
            "{what}: {name} is {figure} and {}, {apart:e} apart",
            other[name]
        );
    }
}

/// Tunes with and without what the frozen layers gave in memory: the same figures in each epoch, and the same bits where a sample
/// keeps them in any batch. How many samples were remembered that had not been before.
pub(super) fn tunes_alike(subject: &Subject, settings: &str, what: &str) -> u64 {
    let (kept, new) = subject.tune(settings, "kept");
    let (fresh, remembered) = subject.tune(&format!("{settings}{NOTHING_KEPT}"), "fresh");
    assert_eq!(remembered, 0, "{what}: nothing was to be kept");
    let pairs = history(&kept).into_iter().zip(history(&fresh));
    for (epoch, (kept, fresh)) in pairs.enumerate() {
        agree(&kept, &fresh, &format!("{what}, epoch {}", epoch + 1));
    }
    if subject.keeps_bits() {
        assert!(weights(&kept) == weights(&fresh), "{what}: other bits");
    }
    new
}

#[test]
fn what_is_remembered_of_frozen_layers_changes_nothing() {
    for model in small_models() {
        let subject = Subject::new(&model);
        let blocks = subject.anatomy.blocks.len();
        for depth in 1..blocks {
            subject.freeze(depth);
            let what = format!("{}, {depth} of {blocks} blocks frozen", subject.name);
            let settings = "learning_rate = 0.001\nload_best_model_at_end = false\n";
            let remembered = tunes_alike(&subject, &format!("{settings}epochs = 1\n"), &what);
            // A block without weights that are used, such as one that only pools, is always frozen with the blocks before it.
            let mut own = subject.anatomy.parameters.iter();
            let is_deeper = own.any(|known| known.block + 1 == depth && known.used);
            assert!(
                remembered > 0 || !is_deeper,
                "{what}: nothing was remembered"
            );
            let kept = subject.evaluate("kept", "");
            agree(&kept, &subject.evaluate("kept", NOTHING_KEPT), &what);
            agree(
                &kept,
                &subject.predict("kept"),
                &format!("{what}, `predict`"),
            );
            if subject.modality == Modality::Images {
                let views = format!(
                    "{settings}epochs = 2\nhflip = 0.5\ncolor_jitter = 0.3\ncached_views = 2\n"
                );
                tunes_alike(&subject, &views, &format!("{what}, cached views"));
            }
        }
        subject.freeze(0);
        let unfreezing = "epochs = 3\nlearning_rate = 0.001\ngradual_unfreezing = { 1 = 0, 2 = 1, 3 = \"all\" }\n";
        let what = format!("{}, unfreezing", subject.name);
        tunes_alike(&subject, unfreezing, &what);
        agree(
            &subject.evaluate("kept", ""),
            &subject.predict("kept"),
            &what,
        );
    }
}

/// How a training ends before its time.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Ctrl-C or SIGTERM: it is asked to stop, and keeps where it is.
    Asked,
    /// `kill -9`: nothing of it runs any more.
    Killed,
}

/// When: at so many questions whether to stop in an epoch, of which each step ends with one.
pub(super) type Stop = (End, usize, usize);

/// Everything that a checkpoint has to hold.
const EVERYTHING_TRAINS: &str = "learning_rate = 0.003\nlr_scheduler_type = \"constant\"\n";

impl Subject {
    /// Trains until `stop`; the tuned model's card and weights, if it comes to its end.
    pub(super) fn train(&self, settings: &str, stop: Option<Stop>) -> Option<Vec<u8>> {
        self.bench.events();
        let asked = AtomicUsize::new(0);
        let cancelled = || {
            let Some((end, epoch, questions)) = stop else {
                return false;
            };
            if self.epoch() != epoch || asked.fetch_add(1, Ordering::Relaxed) + 1 < questions {
                return false;
            }
            assert!(matches!(end, End::Asked), "it is killed here");
            true
        };
        let stage = self.tuning(settings);
        let run = || self.bench.run(&*stage, "tuned", &cancelled);
        match (catch_unwind(AssertUnwindSafe(run)), stop) {
            (Ok(Ok((folder, _))), None) => Some(all_of(&folder)),
            (Ok(Err(error)), Some((End::Asked, ..))) => {
                assert_eq!(error.kind(), Kind::Interrupted, "{}: {error}", self.name);
                None
            }
            (Err(_), Some((End::Killed, ..))) => None,
            (end, _) => panic!("{}: {stop:?} ended in {end:?}", self.name),
        }
    }

    /// The epoch that the training is in, since the last look at the events.
    fn epoch(&self) -> usize {
        let events = self.bench.events.lock();
        let events = events.expect("no test panics while it holds it");
        let last = events.iter().rev().find_map(|event| match event {
            Event::Progress { activity, .. } => activity.strip_prefix("epoch ")?.split('/').next(),
            _ => None,
        });
        last.map_or(0, |epoch| epoch.parse().expect("a number"))
    }

    /// Lets the next training begin anew.
    pub(super) fn forget(&self) {
        std::fs::remove_file(self.bench.path("checkpoint")).ok();
    }

    /// Trains with all these interruptions, and once more to the end.
    pub(super) fn train_in_pieces(&self, settings: &str, stops: &[Stop]) -> Vec<u8> {
        self.forget();
        for (index, stop) in stops.iter().enumerate() {
            self.train(settings, Some(*stop));
            let goes_on = self
                .bench
                .notices()
                .contains("goes on where it was interrupted");
            assert_eq!(goes_on, index > 0, "{}: {stop:?} of {stops:?}", self.name);
        }
        let bits = self.train(settings, None);
        assert!(
            self.bench
                .notices()
                .contains("goes on where it was interrupted")
        );
        bits.expect("it ends")
    }
}

#[test]
fn an_interrupted_training_of_any_architecture_ends_in_the_same_bits() {
    use End::{Asked, Killed};
    for model in small_models() {
        let subject = Subject::new(&model);
        subject.make_an_early_epoch_the_best();
        // After the first step, before any epoch is the best; and after the best.
        let (early, late) = ((Asked, 1, 1), (Asked, 3, 1));
        let again_and_again = [early, (Killed, 2, 1), (Asked, 2, 3), (Killed, 3, 1)];
        interrupt(&subject, true, &[&[early], &[early, late]]);
        interrupt(&subject, false, &[&[late], &again_and_again]);
    }
}

#[test]
fn an_interrupted_training_by_any_optimizer_ends_in_the_same_bits() {
    use End::{Asked, Killed};
    let models = small_models();
    let subject = Subject::new(models.first().expect("there are networks"));
    let mut all = Vec::new();
    for optim in Optim::ALL {
        let name = serde_json::to_string(&optim).expect("a word");
        let args = match optim {
            Optim::Sgd => "optim_args = { momentum = 0.9, nesterov = true }\n",
            _ => "",
        };
        let settings = format!("{EVERYTHING_TRAINS}epochs = 3\noptim = {name}\n{args}");
        let ways: [&[Stop]; 2] = [&[(Asked, 1, 1), (Killed, 3, 1)], &[(Asked, 2, 3)]];
        all.push(interrupted(&subject, &settings, &ways));
    }
    let differ = |(at, bits): (usize, _)| all[..at].iter().all(|other| other != bits);
    assert!(
        all.iter().enumerate().all(differ),
        "they move weights otherwise"
    );
}

/// Interrupts a training in these ways.
pub(super) fn interrupt(subject: &Subject, load_best: bool, ways: &[&[Stop]]) {
    let settings = format!("{EVERYTHING_TRAINS}epochs = 3\nload_best_model_at_end = {load_best}\n");
    interrupted(subject, &settings, ways);
}

/// What a training comes to, however it is interrupted.
pub(super) fn interrupted(subject: &Subject, settings: &str, ways: &[&[Stop]]) -> Vec<u8> {
    subject.forget();
    let undisturbed = subject.train(settings, None).expect("it ends");
    for stops in ways {
        let again = subject.train_in_pieces(settings, stops);
        let name = &subject.name;
        assert!(again == undisturbed, "{name}: other bits after {stops:?}");
    }
    undisturbed
}

#[test]
fn the_best_epoch_is_left_as_it_was() {
    for model in small_models() {
        let subject = Subject::new(&model);
        let best = subject.make_an_early_epoch_the_best();
        let weights = |settings: &str| {
            let (tuned, _) = subject.tune(&format!("{EVERYTHING_TRAINS}{settings}"), "tuned");
            super::weights(&tuned)
        };
        let alone = weights(&format!(
            "epochs = {best}\nload_best_model_at_end = false\n"
        ));
        assert!(
            weights("epochs = 3\n") == alone,
            "{}: other bits",
            subject.name
        );
    }
}

impl Subject {
    /// Gives the only validation sample the label with which the last of three epochs is not the best, and says which is: with the other
    /// label, what was the better epoch is the worse one.
    pub(super) fn make_an_early_epoch_the_best(&self) -> u64 {
        let best = |first| {
            self.write(VALIDATION, 1, first);
            self.forget();
            let (tuned, _) = self.tune(&format!("{EVERYTHING_TRAINS}epochs = 3\n"), "tuned");
            let card = std::fs::read(tuned.join("refire.json")).expect("a card");
            let card: Value = serde_json::from_slice(&card).expect("JSON");
            card["training"]["best_epoch"].as_u64().expect("a number")
        };
        let early = [0, 1].into_iter().map(best).find(|best| *best < 3);
        early.unwrap_or_else(|| panic!("{}: the last epoch is the best", self.name))
    }
}
