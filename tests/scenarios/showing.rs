//! `show`: what a stage made, for people.

use crate::support::Project;
use crate::{photos, tiny};

#[test]
fn rows_models_and_figures_are_shown() {
    let project = tiny::project();
    project.refire(&["run"]).succeeds();
    let table = project.refire(&["show", "split.train"]).succeeds().stdout();
    assert!(table.starts_with("text"), "{table}");
    assert!(table.contains("string"), "{table}");
    assert!(table.ends_with("and 62 more rows\n"), "{table}");
    project
        .refire(&["show", "refire.toml", "split.test", "-n", "100"])
        .succeeds()
        .prints("24 rows");
    let card = project.refire(&["show", "tune.model"]).succeeds().stdout();
    for part in [
        "text-classification",
        "bad, good",
        "0 of 24128 parameters, and the head",
        "best epoch",
        "learning_rate",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    project
        .refire(&["show", "test.metrics"])
        .succeeds()
        .prints("accuracy  ");
    project.refire(&["get", "tune.model", "model"]).succeeds();
    let folder = project.refire(&["show", "./model"]).succeeds().stdout();
    assert_eq!(folder, card);
    // A result that does not pass its gate is what one most wants to look at.
    project.edit("accuracy = \">= 0\"", "accuracy = \">= 2\"");
    project
        .refire(&["show", "test.metrics"])
        .succeeds()
        .shows("note: the stage failed");
}

#[test]
fn files_histories_and_what_a_terminal_would_obey() {
    let project = Project::with(
        r#"[pipeline]
name = "odd"
[stage.rows]
kind = "dataset"
source = "rows.csv"
[stage.made]
kind = "command"
argv = ["sh", "make.sh"]
files = ["make.sh"]
outputs = { files = "out", history = "history.jsonl" }
"#,
    );
    project.write("rows.csv", "a\u{1b}[2J,b\n\u{1b}]0;x\u{7},\"two\nlines\"\n");
    project.write(
        "make.sh",
        "mkdir -p out/in && echo one > out/in/1.txt && echo two > out/2.txt\n\
         for step in 1 2 3; do echo \"{\\\"step\\\":$step,\\\"loss\\\":0.$((9 - step))}\" >> history.jsonl; done\n\
         echo '{\"step\":3,\"validation\":{\"accuracy\":0.75}}' >> history.jsonl\n",
    );
    project.refire(&["run"]).succeeds();
    let table = project.refire(&["show", "rows"]).succeeds().stdout();
    assert!(!table.contains(['\u{1b}', '\u{7}']), "{table:?}");
    assert!(table.contains("two\\nlines"), "{table}");
    let files = project.refire(&["show", "made.files"]).succeeds().stdout();
    for part in ["in/1.txt", "2.txt", "2 files"] {
        assert!(files.contains(part), "{files}");
    }
    let history = project
        .refire(&["show", "made.history"])
        .succeeds()
        .stdout();
    assert!(
        history.contains("█▅▁") || history.contains("█▄▁"),
        "{history}"
    );
    assert!(history.contains("validation accuracy"), "{history}");
    project.refire(&["show", "made"]).fails_with(2);
    project.refire(&["show", "mad"]).fails_with(2).shows("made");
    project.refire(&["show"]).fails_with(2);
    project.refire(&["show", "rows", "-n", "0"]).fails_with(2);
    let sheet = ["show", "rows", "-o", "sheet.png"];
    project.refire(&sheet).fails_with(2).shows("only images");
    project.edit("rows.csv", "other.csv");
    project.write("other.csv", "a\n1\n");
    project
        .refire(&["show", "rows"])
        .fails_with(1)
        .shows("refire run");
}

#[test]
fn photos_are_counted_and_laid_on_a_sheet() {
    let project = photos::project();
    project.refire(&["run", "split"]).succeeds();
    let arguments = ["show", "photos", "-o", "sheet.png"];
    let shown = project.refire(&arguments).succeeds();
    let table = shown.stdout();
    assert!(table.contains("dusk"), "{table}");
    assert!(table.contains("80 images of 32×32 pixels"), "{table}");
    shown.shows("a row a label, from the top day, dusk");
    let sheet = image::open(project.path("sheet.png"))
        .expect("a picture")
        .into_rgb8();
    assert_eq!(sheet.dimensions(), (10 * 36 + 4, 2 * 36 + 4));
    // The sky of a day is blue, and that of dusk is red.
    let (day, dusk) = (sheet.get_pixel(20, 30), sheet.get_pixel(20, 66));
    assert!(day[2] > day[0], "{day:?}");
    assert!(dusk[0] > dusk[2], "{dusk:?}");
    project
        .refire(&["show", "photos", "-o", "sheet.jpg"])
        .fails_with(2)
        .shows(".png");
    let nowhere = ["show", "photos", "-o", "no/sheet.png"];
    project.refire(&nowhere).fails_with(1);
}
