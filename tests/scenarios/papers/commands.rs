//! The commands of the papers, run as they stand.

use std::time::Duration;

use regex::Regex;

use super::{Page, book, fenced, page, pages};
use crate::needs;
use crate::support::Project;
use crate::tiny;

/// The pages that begin a project of their own and are read from top to bottom.
const REVIEWS: &str = "docs/src/tutorial/reviews.md";
const PHOTOS: &str = "docs/src/tutorial/photos.md";

/// The commands of a console block, each with what is shown below it.
fn commands(block: &str) -> Vec<(&str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command, String::new()));
        } else if let Some((_, shown)) = commands.last_mut() {
            shown.push_str(line);
            shown.push('\n');
        }
    }
    commands
}

/// What is set in front of a command: names and values.
type Variables = Vec<(String, String)>;

/// What a command sets before it begins, and the arguments of refire, if refire is what it calls here: pipelines of the
/// repository and beginnings have tests of their own.
fn parts(command: &str) -> Option<(Variables, Vec<String>)> {
    let command = command.split(" > ").next().unwrap_or(command);
    let mut words = words(command);
    let at = words.iter().position(|word| word == "refire")?;
    let arguments = words.split_off(at).split_off(1);
    let set = |word: String| {
        let (name, value) = word.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let variables: Vec<_> = words.into_iter().filter_map(set).collect();
    let is_elsewhere = arguments.iter().any(|word| word.starts_with("pipelines/"))
        || arguments.first().is_some_and(|verb| verb == "init");
    (variables.len() == at && !is_elsewhere).then_some((variables, arguments))
}

/// The words of a command, of which some are between quotation marks.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut open = None;
    for letter in command.chars() {
        match (open, letter) {
            (None, '\'' | '"') => open = Some(letter),
            (Some(mark), letter) if mark == letter => open = None,
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().expect("one at least").push(letter),
        }
    }
    words
}

/// A text without what differs from run to run: how long things took, what runs are called, how wide columns are.
fn steady(text: &str) -> String {
    let times = Regex::new(r"(\d+ h )?(\d+ m )?\d+(\.\d+)? s\b").expect("an expression");
    let runs = Regex::new(r"\d{8}-\d{6}(-\d{5})?").expect("an expression");
    let gaps = Regex::new(" +").expect("an expression");
    let text = times.replace_all(text, "TIME");
    let text = runs.replace_all(&text, "RUN");
    gaps.replace_all(&text, " ").trim_end().to_owned()
}

/// Whether what is shown came: a line `…` stands for any lines, and where there is one, more may follow the last.
fn agrees(shown: &str, came: &str) -> bool {
    let mut pattern = String::from("^");
    for line in steady(shown).lines() {
        pattern += &match line {
            "…" => "(?:.*\n)*?".to_owned(),
            line => regex::escape(line) + " ?\n",
        };
    }
    if !shown.lines().any(|line| line == "…") {
        pattern.push('$');
    }
    let pattern = Regex::new(&pattern).expect("an expression");
    pattern.is_match(&(steady(came) + "\n"))
}

/// Runs a command; `photos` stands in place of the folder of that name.
fn run(project: &mut Project, page: &Page, command: &str, photos: &str) -> Option<String> {
    let (variables, arguments) = parts(command)?;
    for (name, value) in variables {
        let value = match value.strip_prefix('/') {
            Some(path) => project.path(path).display().to_string(),
            None => value,
        };
        project.set(&name, &value);
    }
    let named = arguments.iter().map(|word| match word.as_str() {
        "photos" => photos,
        word => word,
    });
    let arguments: Vec<&str> = named.collect();
    let ran = project.refire(&arguments);
    let came = ran.stderr() + &ran.stdout();
    assert_eq!(ran.code(), Some(0), "`{command}` in {}:\n{came}", page.path);
    Some(came)
}

/// A pipeline with the small model of the tests in place of the encoder, random weights in place of a network for photos, and
/// gates that hold.
fn small(pipeline: &str) -> String {
    let stand_in = |(header, text): (String, String)| {
        match header.as_str() {
        "[stage.encoder.files" | "[stage.network.files" => String::new(),
        "[stage.encoder" => "[stage.encoder]\nkind = \"pretrained\"\nsource = \"tiny-bert\"\nfiles = [\"config.json\", \
                             \"model.safetensors\", \"tokenizer.json\", \"1_Pooling/config.json\"]\n\n"
            .into(),
        "[stage.network" => "[stage.network]\nkind = \"initialize\"\nconfig = { architecture = \"mobilenet_v2\" }\n\n".into(),
        _ => text,
    }
    };
    let gates = Regex::new(r#"">= 0\.\d+""#).expect("an expression");
    let text: String = book::tables(pipeline).into_iter().map(stand_in).collect();
    let text = text.replace("size = 160\n", "size = 64\n");
    gates.replace_all(&text, "\">= 0\"").into_owned()
}

/// Writes the small model of the tests beside the pipeline in `folder`.
fn lay_out_encoder(project: &Project, folder: &str) {
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-bert");
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "1_Pooling/config.json",
    ] {
        let bytes = std::fs::read(model.join(file)).expect("it is in the repository");
        project.write(&format!("{folder}tiny-bert/{file}"), bytes);
    }
}

/// Follows a page from top to bottom: its pipelines and tables are written, its commands run. `change` is what becomes of a
/// pipeline before it is written. What comes has to agree with what is shown if the data and models are the `real` ones.
fn follow(
    project: &mut Project,
    path: &str,
    photos: &str,
    real: bool,
    change: &dyn Fn(&str) -> String,
) {
    let page = page(path);
    let mut pipeline = String::new();
    let mut ran = 0;
    for (language, block) in fenced(&page.text) {
        match language {
            "toml" => {
                pipeline = book::with(&pipeline, &format!("{block}\n"));
                project.write("refire.toml", change(&pipeline));
            }
            "csv" => project.write("new.csv", block),
            "console" => {
                for (command, shown) in commands(block) {
                    let came = run(project, &page, command, photos).expect("refire is called");
                    ran += 1;
                    assert!(
                        !real || shown.is_empty() || agrees(&shown, &came),
                        "`{command}` in {path} shows\n{shown}and there came\n{came}"
                    );
                }
            }
            _ => {}
        }
    }
    assert!(ran > 0, "{path} has no commands");
}

#[test]
fn commands_of_pages_do_what_they_say() {
    let mut project = Project::new();
    let rows = tiny::reviews(120);
    let rows = rows.lines().skip(1).map(|row| {
        let (text, label) = row.split_once(',').expect("two columns");
        format!("{text},{},rotten_tomatoes\n", u8::from(label == "good"))
    });
    let reviews = format!("text,label,source\n{}", rows.collect::<String>());
    book::lay_out(&project, "pipelines/", reviews.as_bytes());
    lay_out_encoder(&project, "pipelines/");
    project.write("schemas/reviews.toml", "[columns.text]\n");
    project.write(book::FILE, small(&book::whole()));
    project.write("new-reviews.csv", "text\na warm and lovely film\n");
    project.write(
        "labelled-before.csv",
        "text,label\ngood food,1\nbad food,0\n",
    );
    project.write("questions.csv", "question\nwhere is it\n");
    project.refire(&["run"]).succeeds();
    let mut seen = 0;
    for page in pages() {
        if [REVIEWS, PHOTOS].contains(&page.path.as_str()) {
            continue;
        }
        for (_, block) in fenced(&page.text)
            .into_iter()
            .filter(|(language, _)| *language == "console")
        {
            for (command, shown) in commands(block) {
                if let Some(came) = run(&mut project, &page, command, "photos") {
                    seen += 1;
                    assert!(
                        shown.is_empty() || agrees(&shown, &came),
                        "`{command}` in {} shows\n{shown}and there came\n{came}",
                        page.path
                    );
                }
            }
            for folder in ["my-model", "for-python"] {
                let _ = std::fs::remove_dir_all(project.path(folder));
            }
        }
    }
    assert!(seen >= 15, "{seen} commands");
}

#[test]
fn a_page_that_shows_what_does_not_come_is_found() {
    let came = "tune: ran in 3 s\n2 ran, 4 cached in 1 m 2 s\nfigures\n";
    assert!(agrees("…\n2 ran, 4 cached in 30.9 s\n", came));
    assert!(!agrees("…\n3 ran, 4 cached in 30.9 s\n", came));
    assert!(!agrees("2 ran, 4 cached in 30.9 s\n", came));
    assert!(agrees(came, came));
}

#[test]
fn the_tutorials_can_be_followed_with_small_models() {
    let mut project = Project::new();
    book::lay_out(&project, "", b"");
    lay_out_encoder(&project, "");
    let rows = tiny::reviews(120);
    let rows = rows.lines().skip(1).map(|row| {
        let (text, label) = row.split_once(',').expect("two columns");
        format!("{text}\t{}\n", u8::from(label == "good"))
    });
    let table = format!("Review\tLiked\n{}", rows.collect::<String>());
    project.write("reviews.tsv", table);
    follow(&mut project, REVIEWS, "photos", false, &small);
    assert!(project.read("labelled.csv").contains("probability_1"));

    let mut project = Project::new();
    book::lay_out(&project, "", b"");
    follow(&mut project, PHOTOS, "photos", false, &small);
    assert!(project.read("labelled.csv").contains("probability_cats"));
    assert!(project.path("refire.unfrozen.lock").exists());
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn the_tutorial_with_reviews_is_true() {
    let Some(data) = needs::shared("restaurant-reviews/Restaurant_Reviews.tsv") else {
        return;
    };
    let mut project = Project::new();
    project.patience(Duration::from_mins(30));
    let hub = book::hub();
    project.set("HF_ENDPOINT", hub.url());
    project.write("reviews.tsv", std::fs::read(data).expect("readable"));
    follow(&mut project, REVIEWS, "photos", true, &str::to_owned);
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn the_tutorial_with_photos_is_true() {
    let Some(photos) = needs::shared("cats-dogs") else {
        return;
    };
    let mut project = Project::new();
    project.patience(Duration::from_mins(30));
    let photos = photos.display().to_string();
    let change =
        |pipeline: &str| pipeline.replace("source = \"photos\"", &format!("source = \"{photos}\""));
    follow(&mut project, PHOTOS, &photos, true, &change);
}
