//! Every task of the registry, on one text a sample, on pairs, and on images: it learns, `evaluate` measures what `predict` says, and a
//! training that is interrupted ends as one that is left alone.

mod bits;
mod embeddings;
mod masks;
mod refusals;

use polars::prelude::{
    ChunkAgg, Column, DataFrame, ListBuilderTrait, ListStringChunkedBuilder, NamedFrom,
    ParquetReader, SerReader, Series,
};

use super::interruption::all_of;
use super::*;
use crate::data::Table;
use crate::data::images::{Images, Writer};
use crate::models::small::{SmallModel, side, small_models};
use crate::models::{Card, Modality, Network, Problem};
use crate::tasks::{self, Naming, TASKS, Task};

const PARTS: [(&str, usize); 3] = [("train", 24), ("validation", 8), ("test", 9)];

/// A task with samples for it.
struct Subject {
    task: &'static Task,
    pairs: bool,
    bench: Bench,
}

impl Subject {
    /// A task on texts, or on pairs of texts.
    fn of_texts(task: &'static Task, pairs: bool) -> Self {
        let bench = Bench::of(smallest(Modality::Texts).path());
        for (part, rows) in PARTS {
            let folder = bench.path(part);
            std::fs::create_dir_all(&folder).expect("a folder");
            write(texts(rows, part.len()), &folder);
        }
        Self { task, pairs, bench }
    }

    /// A task on images, with the smallest network.
    fn of_images(task: &'static Task) -> Self {
        let models = small_models();
        let model = models
            .iter()
            .find(|model| model.modality == Modality::Images);
        let model = model.expect("there are image networks");
        let network = Network::outline(model.path()).expect("an outline").network;
        let side = side(&network);
        let bench = Bench::of(model.path());
        for (part, images) in PARTS {
            let labels: Vec<String> = (0..images)
                .map(|image| match task.targets.problem() {
                    Problem::SingleLabelClassification => word(image).into(),
                    Problem::MultiLabelClassification => labels(image).join("|"),
                    Problem::Regression => format!("{:.1}", score(image)),
                    problem => panic!("{problem:?} is not of images"),
                })
                .collect();
            squares(&bench.path(part), side, &labels);
        }
        Self {
            task,
            pairs: false,
            bench,
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let of_task = |task: &&'static Task| match task.modality {
            Modality::Texts if task.targets.by_word() || task.targets.masks() => {
                vec![Self::of_texts(task, false)]
            }
            Modality::Texts if task.targets.problem() == Problem::Embedding => {
                vec![Self::of_texts(task, true)]
            }
            Modality::Texts => vec![Self::of_texts(task, false), Self::of_texts(task, true)],
            Modality::Images => vec![Self::of_images(task)],
        };
        TASKS.iter().flat_map(of_task)
    }

    fn name(&self) -> String {
        let pairs = if self.pairs { " of pairs" } else { "" };
        format!("{}{pairs}", self.task.name)
    }

    fn tune(&self, settings: &str, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<PathBuf> {
        let own = match (self.task.targets.problem(), self.task.modality) {
            (Problem::MultiLabelClassification, Modality::Images) => "label_separator = \"|\"\n",
            (Problem::Regression, Modality::Texts) => "target_column = \"score\"\n",
            (Problem::Embedding, _) => "embedding_size = 8\n",
            _ => "",
        };
        let dropout = match self.task.targets.problem() {
            Problem::Embedding | Problem::MaskedLanguage => "",
            _ => "classifier_dropout = 0.0\n",
        };
        let pairs = if self.pairs {
            "text_pair_column = \"second\"\n"
        } else {
            ""
        };
        let text = format!(
            "model = \"encoder\"\ntrain = \"train\"\nvalidation = \"validation\"\ntask = \"{}\"\nbatch_size = 4\n\
             {dropout}{own}{pairs}{settings}",
            self.task.name
        );
        let stage =
            parse("finetune", &text).unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        Ok(self.bench.run(&*stage, "tuned", cancelled)?.0)
    }

    fn port(&self) -> &'static str {
        match self.task.modality {
            Modality::Texts => "table",
            Modality::Images => "images",
        }
    }

    /// What `evaluate` has written of each sample.
    fn by_sample(&self) -> DataFrame {
        let file = self
            .bench
            .path("measured-predictions")
            .join(crate::data::table::FILE);
        let file = std::fs::File::open(file).expect("a table");
        ParquetReader::new(file).finish().expect("a frame")
    }

    /// The figures of the tuned model by `evaluate`, and of what `predict` says.
    fn measure(&self) -> [BTreeMap<String, f64>; 2] {
        let port = self.port();
        let run = |kind: &str, text: String, out: &str| {
            let stage = parse(kind, &text).expect("it parses");
            let made = self.bench.run(&*stage, out, &|| false);
            made.unwrap_or_else(|error| panic!("{}: {error}", self.name()))
        };
        let ports = format!("model = \"tuned\"\n{port} = \"test\"\n");
        let (_, measured) = run("evaluate", ports.clone(), "measured");
        if self.task.targets.problem() == Problem::Embedding {
            return [measured, self.measure_embeddings()];
        }
        let (said, _) = run(
            "predict",
            format!("{ports}logits = true\nprefix = \"said_\""),
            "said",
        );
        let card = Card::read(&self.bench.path("tuned")).expect("a card");
        let task = tasks::of(&card, self.task.modality).expect("a task");
        assert_eq!(task.name, self.task.name);
        let outputs = task
            .targets
            .open(&card, task.modality, None)
            .expect("a card");
        let columns = outputs.columns(&Naming {
            prefix: "said_",
            raw: true,
            of_texts: false,
        });
        if task.targets.masks() {
            // What `predict` fills are masks, of which these texts have none.
            return [measured, self.measure_masks(&*outputs)];
        }
        let numbers = &columns[columns.len() - outputs.names().len()..];
        let columns: Vec<Vec<f32>> = numbers
            .iter()
            .map(|column| numbers_of(&said, column))
            .collect();
        let rows = 0..columns[0].len();
        let found = rows.flat_map(|row| columns.iter().map(move |column| column[row]));
        let found: Vec<f32> = found.collect();
        let test = self.bench.path("test");
        let table = match self.task.modality {
            Modality::Texts => Table::read(&test),
            Modality::Images => Images::open(&test).and_then(|images| images.names()),
        };
        let truth = outputs.read(&table.expect("a table")).expect("targets");
        let report = outputs.score(&found, &truth.targets).expect("finite");
        [measured, report.figures]
    }
}

/// The numbers in a column of the table in `folder`, or in its lists, row by row.
fn numbers_of(folder: &Path, column: &str) -> Vec<f32> {
    let file = std::fs::File::open(folder.join(crate::data::table::FILE)).expect("a table");
    let frame = ParquetReader::new(file).finish().expect("a frame");
    let column = frame.column(column).expect("a column");
    let column = match column.list() {
        Ok(lists) => {
            let lists = (0..lists.len()).filter_map(|row| lists.get_as_series(row));
            let lists = lists.filter(|list| !list.is_empty());
            let join = |mut all: Series, list: Series| {
                all.extend(&list).expect("both are numbers");
                all
            };
            lists.reduce(join).expect("numbers")
        }
        Err(_) => column.as_materialized_series().clone(),
    };
    let numbers = column.f32().expect("numbers").iter();
    numbers.map(|number| number.expect("no gap")).collect()
}

/// The smallest network that takes a modality, without dropout.
pub(super) fn smallest(modality: Modality) -> SmallModel {
    let mut models = small_models().into_iter();
    let model = models.find(|model| model.modality == modality);
    model.expect("there are networks for it")
}

/// Every other sample is good.
fn word(sample: usize) -> &'static str {
    if sample.is_multiple_of(2) {
        "good"
    } else {
        "bad"
    }
}

fn labels(sample: usize) -> Vec<&'static str> {
    let warm = sample.is_multiple_of(3).then_some("warm");
    sample
        .is_multiple_of(2)
        .then_some("good")
        .into_iter()
        .chain(warm)
        .collect()
}

fn score(sample: usize) -> f64 {
    [4.5, 0.5, 3.5, 1.0][sample % 4]
}

/// Texts, second texts, and a target of each kind.
fn texts(rows: usize, salt: usize) -> DataFrame {
    let good_or_bad = |row: usize| if row.is_multiple_of(2) { GOOD } else { BAD };
    let text = |row: usize| {
        let very = "very ".repeat((row * 5 + salt) % 7);
        let warm = if row.is_multiple_of(3) { "warm " } else { "" };
        format!(
            "{very}{warm}{} {}",
            good_or_bad(row)[row % 6],
            THINGS[row % 5]
        )
    };
    let second = |row: usize| {
        format!(
            "the {} is {}",
            THINGS[(row + salt) % 5],
            good_or_bad(row)[row % 5]
        )
    };
    let words = |row: usize| -> Vec<String> { text(row).split(' ').map(str::to_owned).collect() };
    // What is good is a thing to be found, with what follows it.
    let tags = |row: usize| -> Vec<&str> {
        let words = words(row);
        let good = words.iter().position(|word| GOOD.contains(&&**word));
        let tag = |place: usize| match good {
            Some(first) if place == first => "B-GOOD",
            Some(first) if place == first + 1 => "I-GOOD",
            _ => "O",
        };
        (0..words.len()).map(tag).collect()
    };
    let strings = |of: &dyn Fn(usize) -> String| (0..rows).map(of).collect::<Vec<_>>();
    let columns = vec![
        Column::new("text".into(), strings(&text)),
        Column::new("second".into(), strings(&second)),
        Column::new("label".into(), strings(&|row| word(row).into())),
        lists_of("labels", rows, labels),
        lists_of("words", rows, words),
        lists_of("tags", rows, tags),
        Column::new("score".into(), (0..rows).map(score).collect::<Vec<_>>()),
    ];
    DataFrame::new_infer_height(columns).expect("a frame")
}

/// A column of lists of text.
pub(super) fn lists_of<T: AsRef<str>>(
    name: &str,
    rows: usize,
    list: impl Fn(usize) -> Vec<T>,
) -> Column {
    let mut lists = ListStringChunkedBuilder::new(name.into(), rows, rows);
    for row in 0..rows {
        let list: Vec<T> = list(row);
        let list: Vec<&str> = list.iter().map(AsRef::as_ref).collect();
        let list = Series::new("".into(), list);
        lists.append_series(&list).expect("a list of text");
    }
    Column::from(Series::from(lists.finish()))
}

/// Squares of noise with these labels, every other with more red.
fn squares(folder: &Path, side: usize, labels: &[String]) {
    std::fs::create_dir_all(folder).expect("a folder");
    let byte = |image: usize, place: usize| {
        let noise = blake3::hash(format!("{image} {place}").as_bytes()).as_bytes()[0];
        let is_red = place.is_multiple_of(3) && image.is_multiple_of(2);
        noise / 4 * 3 + if is_red { 60 } else { 0 }
    };
    let pixels = (0..labels.len())
        .flat_map(|image| (0..3 * side * side).map(move |place| byte(image, place)));
    let paths: Vec<String> = (0..labels.len())
        .map(|image| format!("{image}.png"))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let mut writer = Writer::create(folder, side, side, None).expect("created");
    writer
        .write(pixels.collect(), &labels, &paths)
        .expect("written");
    writer.finish().expect("finished");
}

const FROZEN_BELOW: &str = "epochs = 4\nlearning_rate = 0.01\n";

const ALL_TRAIN: &str = "epochs = 3\nlearning_rate = 0.001\n";

#[test]
fn every_task_is_measured_as_it_predicts() {
    for subject in Subject::all() {
        for (freeze, settings) in [
            (r#"{"freeze": {"trainable_layers": 0}}"#, FROZEN_BELOW),
            ("{}", ALL_TRAIN),
        ] {
            if subject.task.modality == Modality::Texts {
                subject.bench.freeze(freeze);
            }
            let name = subject.name();
            let tuned = subject.tune(settings, &|| false);
            tuned.unwrap_or_else(|error| panic!("{name}: {error}"));
            let [measured, said] = subject.measure();
            assert_eq!(measured.len(), said.len(), "{name}: {measured:?}, {said:?}");
            for (metric, figure) in &measured {
                let apart = (figure - said[metric]).abs();
                assert!(
                    apart <= 1e-5 * figure.abs().max(1.0),
                    "{name}: {metric} is {figure} and {}",
                    said[metric]
                );
            }
        }
    }
}

#[test]
fn every_task_says_of_each_sample_how_far_it_is_from_the_truth() {
    for subject in Subject::all() {
        let name = subject.name();
        let tuned = subject.tune(ALL_TRAIN, &|| false);
        tuned.unwrap_or_else(|error| panic!("{name}: {error}"));
        let [measured, _] = subject.measure();
        let table = subject.by_sample();
        let problem = subject.task.targets.problem();
        if problem != Problem::MaskedLanguage {
            assert_eq!(table.height(), PARTS[2].1, "{name}");
            let rows = table
                .column("row")
                .expect("which row")
                .i64()
                .expect("numbers");
            assert_eq!((rows.get(0), rows.get(8)), (Some(1), Some(9)), "{name}");
        }
        let columns = table.get_column_names();
        let has = |column: &str| columns.iter().any(|name| name.as_str() == column);
        let is_scored = !matches!(problem, Problem::MaskedLanguage | Problem::Embedding);
        assert_eq!(has("truth"), is_scored, "{name}: {columns:?}");
        assert_eq!(
            has("loss"),
            problem != Problem::Embedding,
            "{name}: {columns:?}"
        );
        assert_eq!(
            has("path"),
            subject.task.modality == Modality::Images,
            "{name}"
        );
        // Where each sample counts the same, their losses have the mean that is measured.
        let mean_of = match problem {
            Problem::SingleLabelClassification | Problem::MultiLabelClassification => "log_loss",
            Problem::Regression => "mse",
            _ => continue,
        };
        let losses = table
            .column("loss")
            .expect("losses")
            .f64()
            .expect("numbers");
        let (mean, expected) = (losses.mean().expect("some"), measured[mean_of]);
        assert!(
            (mean - expected).abs() <= 1e-9 * expected,
            "{name}: {mean}, {expected}"
        );
    }
}

#[test]
fn every_task_goes_on_where_it_was_interrupted() {
    for subject in Subject::all() {
        let name = subject.name();
        let undisturbed = subject.tune(ALL_TRAIN, &|| false).expect("it ends");
        let undisturbed = all_of(&undisturbed);
        std::fs::remove_file(subject.bench.path("checkpoint")).ok();
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 20;
        let error = subject.tune(ALL_TRAIN, &stop).expect_err("it is stopped");
        assert_eq!(error.kind(), Kind::Interrupted, "{name}: {error}");
        subject.bench.events();
        let again = subject.tune(ALL_TRAIN, &|| false).expect("it ends");
        let notices = subject.bench.notices();
        assert!(notices.contains("goes on where"), "{name}: {notices}");
        assert!(all_of(&again) == undisturbed, "{name}: other bits");
    }
}

#[test]
fn thresholds_are_chosen_and_kept() {
    let task = tasks::find("text-multi-label").expect("a task");
    let subject = Subject::of_texts(task, false);
    for by in ["f1", "micro_f1"] {
        let settings = format!("{ALL_TRAIN}threshold = \"{by}\"\npos_weight = \"balanced\"\n");
        let tuned = subject.tune(&settings, &|| false).expect("it trains");
        let card = Card::read(&tuned).expect("a card");
        assert_eq!(card.thresholds.len(), 2, "{by}");
        let notices = subject.bench.notices();
        assert!(notices.contains("thresholds, chosen on"), "{notices}");
        let [measured, said] = subject.measure();
        let apart = (measured["macro_f1"] - said["macro_f1"]).abs();
        assert!(apart < 1e-9, "{by}: {measured:?}, {said:?}");
    }
}

#[test]
fn a_head_for_another_task_is_exchanged_and_that_is_told() {
    let task = tasks::find("text-classification").expect("a task");
    let subject = Subject::of_texts(task, false);
    subject.tune(ALL_TRAIN, &|| false).expect("it trains");
    let text = "model = \"tuned\"\ntrain = \"train\"\ntask = \"text-multi-label\"\nlabels = [\"good\", \"warm\"]\nepochs = 1\n";
    let stage = parse("finetune", text).expect("it parses");
    subject.bench.events();
    subject
        .bench
        .run(&*stage, "again", &|| false)
        .expect("it trains");
    let notices = subject.bench.notices();
    assert!(
        notices.contains("a new head is drawn for good, warm"),
        "{notices}"
    );
    assert!(notices.contains("one label a sample"), "{notices}");
}

#[test]
fn the_pace_of_a_head_alone_follows_from_the_samples() {
    let task = tasks::find("text-classification").expect("a task");
    let subject = Subject::of_texts(task, false);
    let settings = |tuned: &Path| {
        let card = Card::read(tuned).expect("a card");
        serde_json::to_value(card.training.expect("it was tuned").settings).expect("JSON")
    };
    subject
        .bench
        .freeze(r#"{"freeze": {"trainable_layers": 0}}"#);
    let few = settings(&subject.tune("", &|| false).expect("it trains"));
    // 24 samples in batches of 4 are 6 steps an epoch, and no more than 100 epochs are made.
    assert_eq!(few["epochs"], 100);
    assert_eq!(few["learning_rate"], 0.01);
    assert_eq!(few["l2"], 1.0 / 24.0);
    let notices = subject.bench.notices();
    assert!(
        notices.contains("only the head trains, on 24 samples"),
        "{notices}"
    );
    let set = settings(
        &subject
            .tune("epochs = 2\nlearning_rate = 0.001\n", &|| false)
            .expect("it trains"),
    );
    assert_eq!(set["epochs"], 2);
    assert!(set.get("l2").is_none(), "{set}");
    subject.bench.freeze("{}");
    let whole = settings(&subject.tune("", &|| false).expect("it trains"));
    assert_eq!(
        (&whole["epochs"], &whole["learning_rate"]),
        (&3.into(), &5e-5.into())
    );
}
