//! Labels for new data: what comes in, in each format; what goes out; what is refused, and that nothing half done is left.

mod hints;
mod others;
mod texts;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::Project;
use crate::tiny;

/// The tiny project with its classifier tuned, and new reviews to label.
fn tuned() -> Project {
    let project = tiny::project();
    project.edit("trainable_layers = 0", "trainable_layers = 2");
    project.edit("epochs = 4", "epochs = 10");
    project.edit("learning_rate = 0.05", "learning_rate = 0.01");
    project.refire(&["run", "tune"]).succeeds();
    project.write(
        "new.csv",
        "id,text,stars\n007,\"good, lovely food\",4\n008,awful place,1.50\n009,\"a \"\"warm\"\" film\",\n",
    );
    project
}

fn json_lines(project: &Project, path: &str) -> Vec<Value> {
    let text = project.read(path);
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("lines of JSON")
}

/// The files of the project's folder that begin with a dot, besides the cache: what an unfinished output would be.
fn left_behind(project: &Project) -> Vec<String> {
    let entries = std::fs::read_dir(project.path("")).expect("readable");
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with('.') && name != ".refire")
        .collect()
}

#[test]
fn a_stage_labels_a_table_and_keeps_its_columns_as_they_are() {
    let project = tuned();
    let shown = project.refire(&["predict", "tune", "new.csv", "-o", "labelled.csv"]);
    shown.succeeds().shows("labelled 3 rows of `new.csv`");
    let labelled = project.read("labelled.csv");
    let lines: Vec<_> = labelled.lines().collect();
    assert_eq!(
        lines[0],
        "id,text,stars,label,probability_bad,probability_good"
    );
    assert!(
        lines[1].starts_with("007,\"good, lovely food\",4,good,"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with("008,awful place,1.50,bad,"),
        "{}",
        lines[2]
    );
    assert!(
        lines[3].starts_with("009,\"a \"\"warm\"\" film\",,good,"),
        "{}",
        lines[3]
    );
    assert!(left_behind(&project).is_empty());
}

#[test]
fn a_folder_labels_as_its_stage_does_whatever_the_format() {
    let project = tuned();
    project.refire(&["get", "tune", "model"]).succeeds();
    let label = |model: &str, input: &str, output: &str| {
        let arguments = ["predict", model, input, "-o", output];
        project.refire(&arguments).succeeds();
    };
    label("tune", "new.csv", "stage.jsonl");
    label("./model", "new.csv", "folder.jsonl");
    assert_eq!(project.read("stage.jsonl"), project.read("folder.jsonl"));
    let rows = json_lines(&project, "stage.jsonl");
    assert_eq!(rows[0]["id"], "007");
    assert_eq!(rows[1]["stars"], 1.5);
    assert_eq!(rows[2]["stars"], Value::Null);
    for row in &rows {
        let sum: f64 = ["probability_bad", "probability_good"]
            .iter()
            .filter_map(|name| row[*name].as_f64())
            .sum();
        assert!((sum - 1.0).abs() < 1e-6, "{row}");
    }
    // What is written in one format is read in another, with other names for the new columns.
    project
        .refire(&[
            "predict",
            "tune",
            "stage.jsonl",
            "-o",
            "again.parquet",
            "--prefix",
            "my_",
        ])
        .succeeds();
    label("tune", "new.csv", "plain.parquet");
    project
        .refire(&[
            "predict",
            "tune",
            "again.parquet",
            "-o",
            "back.jsonl",
            "--prefix",
            "x_",
        ])
        .succeeds();
    for (before, after) in rows.iter().zip(json_lines(&project, "back.jsonl")) {
        assert_eq!(after["my_label"], before["label"]);
        assert_eq!(after["x_probability_good"], before["probability_good"]);
        assert_eq!(after["stars"], before["stars"]);
    }
}

#[test]
fn a_part_of_the_data_can_be_labelled_by_the_name_of_its_stage() {
    let project = tuned();
    let arguments = [
        "predict",
        "refire.toml",
        "tune",
        "split.test",
        "-o",
        "test.jsonl",
    ];
    project
        .refire(&arguments)
        .fails_with(1)
        .shows("has a column `label` already");
    project
        .refire(&[&arguments[..], &["--prefix", "predicted_"]].concat())
        .succeeds();
    let rows = json_lines(&project, "test.jsonl");
    assert_eq!(rows.len(), 24);
    let right = rows
        .iter()
        .filter(|row| row["label"] == row["predicted_label"]);
    assert!(right.count() >= 20);
}

#[test]
fn the_same_bits_come_at_any_number_of_threads() {
    let mut project = tuned();
    project.write("many.csv", tiny::reviews(5000));
    let mut label = |threads: &str, output: &str| {
        project.set("RAYON_NUM_THREADS", threads);
        let arguments = [
            "predict", "tune", "many.csv", "-o", output, "--prefix", "p_",
        ];
        project.refire(&arguments).succeeds();
        std::fs::read(project.path(output)).expect("written")
    };
    assert!(label("1", "one.parquet") == label("3", "three.parquet"));
}

#[test]
fn what_cannot_be_labelled_is_refused_and_nothing_is_written() {
    let project = tuned();
    let refused = |arguments: &[&str], code: i32, message: &str| {
        let arguments = [&["predict"], arguments].concat();
        let ran = project.refire(&arguments).fails_with(code);
        ran.shows(message);
        assert!(left_behind(&project).is_empty());
    };
    project.write("old.csv", "kept\n");
    project.write("other.csv", "txet\ngood food\n");
    refused(
        &["tune", "other.csv", "-o", "old.csv"],
        1,
        "did you mean `txet`?",
    );
    project.write(
        "ragged.csv",
        &("text\n".to_owned() + &"good food\n".repeat(50_000) + "a,b\n"),
    );
    refused(
        &["tune", "ragged.csv", "-o", "old.csv"],
        1,
        "line 50002 of `ragged.csv` has 2 fields",
    );
    project.write(
        "null.jsonl",
        "{\"text\":\"good\"}\n".repeat(20_000) + "{\"text\":null}\n",
    );
    refused(
        &["tune", "null.jsonl", "-o", "old.csv"],
        1,
        "row 20001 has no value in column `text`",
    );
    project.write("numbers.jsonl", "{\"text\":1}\n");
    refused(
        &["tune", "numbers.jsonl", "-o", "old.csv"],
        1,
        "holds integer values, not texts",
    );
    project.write("notes.txt", "good\n");
    refused(
        &["tune", "notes.txt", "-o", "old.csv"],
        2,
        "does not tell which format",
    );
    refused(
        &["tune", "new.csv", "-o", "out.xlsx"],
        2,
        "does not tell the format",
    );
    refused(
        &["tune", "new.csv", "-o", "no/out.csv"],
        2,
        "its folder does not exist",
    );
    refused(
        &["tune", "new.csv", "-o", "new.csv"],
        2,
        "both the input and the output",
    );
    refused(
        &["tuen", "new.csv", "-o", "out.csv"],
        2,
        "did you mean `tune`?",
    );
    refused(
        &["split.test", "new.csv", "-o", "out.csv"],
        2,
        "is a table, not a model",
    );
    refused(
        &["frozen", "new.csv", "-o", "out.csv"],
        1,
        "the model in `frozen` has no classifier yet",
    );
    refused(
        &[
            "tune",
            "new.csv",
            "-o",
            "out.csv",
            "-S",
            "stage.tune.epochs=2",
        ],
        1,
        "has no up-to-date result",
    );
    refused(
        &["tiny-bert", "new.csv", "-o", "out.csv"],
        1,
        "has no classifier yet",
    );
    refused(
        &["tune", "missing.csv", "-o", "out.csv"],
        2,
        "there is no file or folder `missing.csv`",
    );
    refused(&["tune", "tiny-bert", "-o", "out.csv"], 2, "labels texts");
    assert_eq!(project.read("old.csv"), "kept\n");
}

#[test]
fn a_stage_of_the_pipeline_labels_and_is_cached() {
    let project = tuned();
    let stage = "\n[stage.labelled]\nkind = \"predict\"\nmodel = \"tune\"\ntable = \"split.test\"\nprefix = \"p_\"\n";
    project.write("refire.toml", project.read("refire.toml") + stage);
    assert_eq!(
        project.outcomes(&["labelled"]).last().expect("a stage"),
        "labelled ran"
    );
    assert_eq!(
        project.outcomes(&["labelled"]).last().expect("a stage"),
        "labelled cached"
    );
    project.refire(&["get", "labelled", "out"]).succeeds();
    project
        .refire(&[
            "predict",
            "tune",
            "split.test",
            "-o",
            "verb.parquet",
            "--prefix",
            "p_",
        ])
        .succeeds();
    let bytes = |path: &str| std::fs::read(project.path(path)).expect("written");
    assert!(bytes("out/table.parquet") == bytes("verb.parquet"));
    project.edit(
        "prefix = \"p_\"",
        "prefix = \"p_\"\nimages = \"split.test\"",
    );
    project
        .refire(&["run"])
        .fails_with(2)
        .shows("both say what to label");
}

/// A folder with a small ResNet of made-up weights for seven classes.
fn network(project: &Project) {
    struct Numbers(Vec<usize>, Vec<u8>);

    impl safetensors::View for Numbers {
        fn dtype(&self) -> safetensors::Dtype {
            safetensors::Dtype::F32
        }

        fn shape(&self) -> &[usize] {
            &self.0
        }

        fn data(&self) -> Cow<'_, [u8]> {
            Cow::Borrowed(&self.1)
        }

        fn data_len(&self) -> usize {
            self.1.len()
        }
    }

    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/vision.json");
    let json = std::fs::read(here).expect("it is in the repository");
    let reference: Value = serde_json::from_slice(&json).expect("JSON");
    let made = reference["made"].as_array().expect("networks").iter();
    let mut made = made.filter(|made| made["name"] == "resnet32");
    let made = made.next().expect("the network is there");
    let tensors: BTreeMap<String, Vec<usize>> =
        serde_json::from_value(made["tensors"].clone()).expect("shapes");
    let tensors = tensors.into_iter().map(|(name, shape)| {
        let mut state = 1_u32;
        let numbers = (0..shape.iter().product::<usize>()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = f32::from(i16::from_le_bytes([
                state.to_le_bytes()[2],
                state.to_le_bytes()[3],
            ]));
            let positive =
                name.ends_with("running_var") || name.contains("bn") && name.ends_with("weight");
            if positive { 1.0 } else { number / 100_000.0 }
        });
        let bytes = numbers.flat_map(f32::to_le_bytes).collect();
        (name.clone(), Numbers(shape, bytes))
    });
    project.write("resnet/config.json", made["config"].to_string());
    let path = project.path("resnet/model.safetensors");
    safetensors::serialize_to_file(tensors, None, &path).expect("written");
}

#[test]
fn photos_are_labelled_from_a_folder_and_from_a_table_alike() {
    let project = Project::new();
    network(&project);
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
    let mut table = "file,who\n".to_owned();
    for (index, name) in ["rgb.jpg", "cmyk.jpg", "grey.png", "lossy.webp"]
        .iter()
        .enumerate()
    {
        let bytes = std::fs::read(photos.join(name)).expect("it is in the repository");
        project.write(&format!("photos/{index}/{name}"), bytes);
        let _ = writeln!(table, "photos/{index}/{name},nobody");
    }
    project.write("photos/readme.txt", "not a photo");
    project.write("photos.csv", table);
    let label = |input: &str, output: &str, more: &[&str]| {
        let arguments = ["predict", "resnet", input, "-o", output];
        project.refire(&[&arguments[..], more].concat())
    };
    label("photos", "folder.jsonl", &[])
        .succeeds()
        .shows("labelled 4 rows");
    label("photos.csv", "table.jsonl", &["--image-column", "file"]).succeeds();
    let (folder, table) = (
        json_lines(&project, "folder.jsonl"),
        json_lines(&project, "table.jsonl"),
    );
    assert_eq!(folder.len(), 4);
    for (one, other) in folder.iter().zip(&table) {
        assert_eq!(
            other["file"],
            format!("photos/{}", one["path"].as_str().expect("a path"))
        );
        assert_eq!(one["probability_3"], other["probability_3"]);
        assert_eq!(one["label"], other["label"]);
        assert_eq!(other["who"], "nobody");
    }

    project.write(
        "photos/broken.jpg",
        b"\xff\xd8\xff\xe0 this is not all of it",
    );
    label("photos", "new.jsonl", &[])
        .fails_with(1)
        .shows("the photo `broken.jpg` cannot be read");
    assert!(!project.path("new.jsonl").exists() && left_behind(&project).is_empty());
    label("photos", "new.jsonl", &["--skip-broken"])
        .succeeds()
        .shows("left out: `broken.jpg`");
    assert_eq!(project.read("new.jsonl"), project.read("folder.jsonl"));
}
