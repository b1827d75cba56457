//! The pipelines that the repository brings, on their own models and data.

use std::path::Path;
use std::time::Duration;

use crate::needs;
use crate::support::{Project, Ran};

/// Every pipeline, and what it is told beside its name: the settings in which `{shared}` is a file or folder of the
/// shared data.
const PIPELINES: [(&str, &[&str]); 15] = [
    ("cats-vs-dogs", &["photos={shared}cats-dogs"]),
    ("few-photos", &["photos={shared}cats-dogs"]),
    ("food-nutrients", &[]),
    ("food-photos", &[]),
    ("food-water", &[]),
    (
        "multilabel-xed",
        &["data={shared}multilabel-xed/en-annotated.tsv"],
    ),
    (
        "ner-wikigold",
        &["data={shared}ner-wikigold/wikigold.conll.txt"],
    ),
    ("nli-pairs", &["data={shared}nli-pairs"]),
    ("pretrain", &[]),
    (
        "restaurant-reviews",
        &["data={shared}restaurant-reviews/Restaurant_Reviews.tsv"],
    ),
    ("sentiment", &[]),
    ("sentiment-full", &[]),
    ("sts-embeddings", &["data={shared}sts-pairs"]),
    ("sts-pairs", &["data={shared}sts-pairs"]),
    ("sweep", &[]),
];

/// The files that `sts-pairs` and `sts-embeddings` read.
const STS_FILES: [&str; 15] = [
    "2012.OnWN",
    "2012.SMTeuroparl",
    "2012.SMTnews",
    "2013.FNWN",
    "2013.OnWN",
    "2013.headlines",
    "2014.OnWN",
    "2014.headlines",
    "2014.images",
    "2014.tweet-news",
    "2015.answers-students",
    "2015.headlines",
    "2016.answer-answer",
    "2016.headlines",
    "2016.question-question",
];

/// A project with the pipelines and the data schemas of the repository.
fn project() -> Project {
    let project = Project::new();
    for folder in ["pipelines", "schemas"] {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
            .expect("readable")
            .flatten()
        {
            // Photos of one's own may lie beside the pipelines.
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending != "lock") {
                let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                project.write(&name, std::fs::read(path).expect("readable"));
            }
        }
    }
    project
}

#[test]
fn they_are_valid() {
    let project = project();
    project.write("pipelines/Restaurant_Reviews.tsv", "Review\tLiked\n");
    project.write("pipelines/cats-dogs/cats/1.jpg", "");
    project.write("pipelines/en-annotated.tsv", "fine\t5\n");
    project.write("pipelines/wikigold.conll.txt", "Ada I-PER\n");
    for part in ["train", "dev"] {
        project.write(&format!("pipelines/nli-pairs/RTE.{part}.tsv"), "index\n");
    }
    for file in STS_FILES {
        project.write(&format!("pipelines/sts-pairs/{file}.test.tsv"), "");
    }
    let folder = std::fs::read_dir(project.path("pipelines")).expect("readable");
    let files = folder.flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let mut names: Vec<String> = files
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, PIPELINES.map(|(name, _)| name));
    for name in names {
        project
            .refire(&["check", &format!("pipelines/{name}.toml")])
            .succeeds();
    }
}

/// Whether pipelines run as they stand that take more than some minutes: `just pipelines` asks for it.
fn is_full() -> bool {
    std::env::var_os("REFIRE_PIPELINES").is_some_and(|which| which == "full")
}

/// A project in which the pipeline has run, its gates held, and what runs it again; none if the data is not there.
fn run(name: &str) -> Option<(Project, Vec<String>)> {
    run_with(name, &[])
}

/// The same with more settings.
fn run_with(name: &str, more: &[&str]) -> Option<(Project, Vec<String>)> {
    let mut project = project();
    project.patience(Duration::from_mins(30));
    let (_, settings) = PIPELINES
        .iter()
        .find(|(known, _)| *known == name)
        .expect("it is in the list");
    let mut arguments = vec!["run".to_owned(), format!("pipelines/{name}.toml")];
    arguments.extend(more.iter().map(|setting| (*setting).to_owned()));
    for setting in *settings {
        let (before, data) = setting.split_once("{shared}").expect("a place");
        let data = needs::shared(data)?;
        arguments.extend(["-S".to_owned(), format!("{before}{}", data.display())]);
    }
    again(&project, &arguments, &[]);
    again(&project, &arguments, &[]).shows("0 ran");
    Some((project, arguments))
}

fn again(project: &Project, arguments: &[String], more: &[&str]) -> Ran {
    let arguments = arguments.iter().map(String::as_str);
    let arguments: Vec<&str> = arguments.chain(more.iter().copied()).collect();
    project.refire(&arguments).succeeds()
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn cats_vs_dogs_runs() {
    if let Some((project, arguments)) = run("cats-vs-dogs") {
        again(&project, &arguments, &["-S", "learning_rate=2e-3"]).shows("2 ran, 4 cached");
        again(&project, &arguments, &["--profile", "unfrozen"]);
    }
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn few_photos_runs() {
    let quick = ["--profile", "smoke"];
    run_with("few-photos", if is_full() { &[] } else { &quick });
}

#[test]
#[ignore = "needs pip, npm and their registries"]
fn food_photos_runs() {
    run("food-photos");
}

#[test]
#[ignore = "needs pip, npm and their registries"]
fn food_nutrients_runs() {
    run("food-nutrients");
}

#[test]
#[ignore = "needs pip, npm and their registries"]
fn food_water_runs() {
    run("food-water");
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn multilabel_xed_runs() {
    run("multilabel-xed");
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn ner_wikigold_runs() {
    let quick = ["--profile", "frozen"];
    run_with("ner-wikigold", if is_full() { &[] } else { &quick });
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn nli_pairs_runs() {
    let quick = ["-S", "stage.tune.epochs=1", "-S", "stage.test.gate={}"];
    run_with("nli-pairs", if is_full() { &[] } else { &quick });
}

#[test]
#[ignore = "needs pip and its registry"]
fn pretrain_runs() {
    let quick = ["--profile", "smoke"];
    run_with("pretrain", if is_full() { &[] } else { &quick });
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn sts_embeddings_runs() {
    run("sts-embeddings");
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn sts_pairs_runs() {
    let quick = ["--profile", "frozen"];
    run_with("sts-pairs", if is_full() { &[] } else { &quick });
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn restaurant_reviews_runs() {
    run("restaurant-reviews");
}

#[test]
#[ignore = "needs pip and its registry"]
fn sentiment_runs() {
    run("sentiment");
}

#[test]
#[ignore = "needs pip and its registry"]
fn sentiment_full_runs() {
    run("sentiment-full");
}

#[test]
#[ignore = "needs pip and its registry"]
fn sweep_runs() {
    run("sweep");
}
