//! How photos become squares: as a model's folder asks or as the pipeline says, the same for training, evaluation, prediction and exports,
//! and never in another way without a word.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::support::Project;

const PHOTOS: u32 = 60;

/// A network, photos that SETTINGS prepare, and what comes of them.
const PIPELINE: &str = r#"
[pipeline]
name = "ends"
seed = 3

[stage.network]
kind = "pretrained"
source = "network"
files = ["config.json", "model.safetensors", "preprocessor_config.json"]

[stage.photos]
kind = "images"
source = "photos"
SETTINGS

[stage.tune]
kind = "finetune"
model = "network"
train = "photos"
task = "image-classification"
epochs = 20
batch_size = 12
learning_rate = 0.005

[stage.test]
kind = "evaluate"
model = "tune"
images = "photos"
"#;

/// The project with such settings of `images`, and a network whose `preprocessor_config.json` holds `processor`.
fn project(settings: &str, model_type: &str, processor: &Value) -> Project {
    let project = Project::with(&PIPELINE.replace("SETTINGS", settings));
    let config = json!({
        "model_type": model_type, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "image_size": 32, "patch_size": 8,
    });
    project.write("network/config.json", config.to_string());
    project.write("network/preprocessor_config.json", processor.to_string());
    project.write("network/model.safetensors", checkpoint(model_type));
    for index in 0..PHOTOS {
        let (label, colour) = [("blue", [20, 40, 220]), ("red", [220, 40, 20])][index as usize % 2];
        project.write(&format!("photos/{label}/{index}.png"), photo(index, colour));
    }
    project
}

/// A photo of a size of its own that is grey in its middle and has a colour at the ends of its longer side.
fn photo(index: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut noise = Noise(u64::from(index) + 1);
    let mut side = || 24 + noise.next() % 90;
    let (width, height) = (side(), side());
    let photo = RgbImage::from_fn(width, height, |x, y| {
        let (at, length) = if width > height {
            (x, width)
        } else {
            (y, height)
        };
        let grain = u8::try_from(noise.next() % 24).expect("small");
        let grey = [110 + grain, 100 + grain, 120 + grain];
        let middle = at * 6 > length && at * 6 < length * 5;
        Rgb(if middle { grey } else { colour })
    });
    let mut file = Cursor::new(Vec::new());
    photo
        .write_to(&mut file, ImageFormat::Png)
        .expect("a PNG can be written");
    file.into_inner()
}

/// Numbers that are the same on every machine.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 40).expect("24 bits")
    }
}

/// The bare network of the config above with random weights, as a safetensors file.
fn checkpoint(model_type: &str) -> Vec<u8> {
    let (width, wide) = (16, 32);
    let before = if model_type == "deit" { 2 } else { 1 };
    let mut tensors = vec![
        ("embeddings.cls_token".to_owned(), vec![1, 1, width]),
        (
            "embeddings.position_embeddings".to_owned(),
            vec![1, 16 + before, width],
        ),
        (
            "embeddings.patch_embeddings.projection.weight".to_owned(),
            vec![width, 3, 8, 8],
        ),
        (
            "embeddings.patch_embeddings.projection.bias".to_owned(),
            vec![width],
        ),
    ];
    if before == 2 {
        tensors.push((
            "embeddings.distillation_token".to_owned(),
            vec![1, 1, width],
        ));
    }
    let mut linear = |name: &str, out: usize, into: usize| {
        tensors.push((format!("encoder.layer.0.{name}.weight"), vec![out, into]));
        tensors.push((format!("encoder.layer.0.{name}.bias"), vec![out]));
    };
    for part in ["query", "key", "value"] {
        linear(&format!("attention.attention.{part}"), width, width);
    }
    linear("attention.output.dense", width, width);
    linear("intermediate.dense", wide, width);
    linear("output.dense", width, wide);
    for norm in [
        "encoder.layer.0.layernorm_before",
        "encoder.layer.0.layernorm_after",
        "layernorm",
    ] {
        for field in ["weight", "bias"] {
            tensors.push((format!("{norm}.{field}"), vec![width]));
        }
    }
    let mut noise = Noise(1);
    let filled: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape)| {
            let norm = name.contains("norm") && name.ends_with("weight");
            let mut number = || {
                let small = u16::try_from(noise.next() >> 8).expect("16 bits");
                if norm {
                    1.0
                } else {
                    (f32::from(small) / 32_768.0 - 1.0) * 0.15
                }
            };
            let numbers = (0..shape.iter().product::<usize>()).map(|_| number());
            let bytes = numbers.flat_map(f32::to_le_bytes).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = filled.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("the sizes agree");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("it can be written")
}

fn vit() -> Value {
    json!({ "image_processor_type": "ViTImageProcessor", "size": { "height": 32, "width": 32 }, "resample": 2 })
}

fn deit() -> Value {
    json!({
        "feature_extractor_type": "DeiTFeatureExtractor", "size": 39, "do_center_crop": true, "crop_size": 32,
        "resample": 3, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    })
}

/// What `predict` says about the photos in `input`, by path.
fn predicted(project: &Project, model: &str, input: &str) -> Vec<(String, String, f64)> {
    project
        .refire(&["predict", "refire.toml", model, input, "-o", "out.jsonl"])
        .succeeds();
    let lines = project.read("out.jsonl");
    let rows = lines.lines().map(|line| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| row[name].as_str().expect("text").to_owned();
        let sure = row["probability_red"].as_f64().expect("a number");
        (text("path"), text("label"), sure)
    });
    rows.collect()
}

fn json_of(project: &Project, path: &str) -> Value {
    serde_json::from_str(&project.read(path)).expect("JSON")
}

/// Runs the pipeline; the photos that were prepared for it, the folder of photos, and the folder with the export's model must get the
/// same labels with the same probabilities, and as many right ones as `evaluate` counts. Returns how many are right, and what the run
/// told.
fn agree(project: &Project) -> (f64, String) {
    let told = project.refire(&["run"]).succeeds().stderr();
    project.refire(&["get", "test", "measured"]).succeeds();
    let measured = json_of(project, "measured/metrics.json")["figures"]["accuracy"].as_f64();
    let measured = measured.expect("a number");
    let prepared = predicted(project, "tune", "photos");
    let fresh = predicted(project, "tune", "./photos");
    assert_eq!(prepared, fresh);
    let right = fresh
        .iter()
        .filter(|(path, label, _)| path.starts_with(label));
    let right = f64::from(u32::try_from(right.count()).expect("few"));
    assert!(
        (right / f64::from(PHOTOS) - measured).abs() < 1e-9,
        "{right} are right, not {measured}"
    );
    project.refire(&["export", "tune", "exported"]).succeeds();
    assert_eq!(predicted(project, "./exported", "./photos"), fresh);
    (measured, told)
}

#[test]
fn photos_are_cut_as_the_folder_of_a_model_asks() {
    let project = project("model = \"network\"", "vit", &vit());
    let (accuracy, told) = agree(&project);
    assert!(!told.contains("another way"), "{told}");
    assert!(
        accuracy > 0.99,
        "the ends of all photos are seen: {accuracy}"
    );
    let written = json_of(&project, "exported/preprocessor_config.json");
    assert_eq!(written["size"], json!({ "height": 32, "width": 32 }));
    assert_eq!(written["image_processor_type"], "ViTImageProcessor");
    assert_eq!(
        (&written["resample"], &written["do_center_crop"]),
        (&json!(2), &json!(false))
    );
}

#[test]
fn photos_that_are_cut_in_another_way_are_told_and_the_tuned_folder_says_how() {
    let project = project("size = 32", "vit", &vit());
    let (_, told) = agree(&project);
    let expected = "the photos were prepared in another way than the model's folder asks for: shorter side to 36 pixels (bilinear), 32×32 \
                    from the centre (margin rounded to even); asked for: both sides to 32 pixels (bilinear)";
    assert!(told.contains(expected), "{told}");
    project.refire(&["get", "tune", "tuned"]).succeeds();
    for folder in ["tuned", "exported"] {
        let written = json_of(&project, &format!("{folder}/preprocessor_config.json"));
        assert_eq!(written["size"], json!({ "shortest_edge": 36 }), "{folder}");
        assert_eq!(written["crop_size"], json!({ "height": 32, "width": 32 }));
        assert_eq!(written["image_mean"], json!([0.5, 0.5, 0.5]));
    }
    let readme = project.read("exported/README.md");
    assert!(readme.contains("shorter side to 36 pixels"), "{readme}");
    assert!(readme.contains("0. `blue`\n1. `red`"), "{readme}");
}

#[test]
fn every_way_to_prepare_photos_is_the_same_for_evaluation_and_prediction() {
    let clip = json!({
        "image_processor_type": "CLIPImageProcessor", "size": { "shortest_edge": 35 }, "crop_size": 32, "do_normalize": false,
        "rescale_factor": 0.01,
    });
    let cases = [
        ("model = \"network\"", "deit", deit()),
        ("size = 32", "deit", deit()),
        ("model = \"network\"", "vit", clip.clone()),
        (
            "model = \"network\"\ninterpolation = \"bilinear\"\nresize = 39",
            "vit",
            clip,
        ),
        ("size = 32\nresize = \"squash\"", "vit", vit()),
        (
            "size = 32\nresize = { squash = 39 }\ninterpolation = \"bicubic\"",
            "vit",
            vit(),
        ),
        ("size = 32\nresize = \"shorter\"", "vit", vit()),
        ("size = 32\nresize = 35", "vit", vit()),
    ];
    for (settings, model_type, processor) in cases {
        agree(&project(settings, model_type, &processor));
    }
}

#[test]
fn a_convolutional_network_says_in_two_places_how_its_photos_were_cut() {
    let project = crate::photos::project();
    project.edit(
        "size = 32",
        "size = 32\nresize = { squash = 36 }\ninterpolation = \"bicubic\"",
    );
    project.edit("gate = { accuracy = \">= 0.9\" }", "");
    project
        .refire(&["run"])
        .succeeds()
        .shows("prepared in another way");
    project.refire(&["export", "tune", "exported"]).succeeds();
    let timm = json_of(&project, "exported/config.json")["pretrained_cfg"].clone();
    assert_eq!(
        (&timm["crop_mode"], &timm["interpolation"]),
        (&json!("squash"), &json!("bicubic"))
    );
    let written = json_of(&project, "exported/preprocessor_config.json");
    assert_eq!(written["size"], json!({ "height": 36, "width": 36 }));
    assert_eq!(written["crop_size"], json!({ "height": 32, "width": 32 }));
    assert_eq!(written["image_mean"], json!([0.485, 0.456, 0.406]));

    let mut changed = written;
    changed["resample"] = json!(2);
    project.write("exported/preprocessor_config.json", changed.to_string());
    project
        .refire(&["predict", "./exported", "./photos", "-o", "out.csv"])
        .fails_with(1)
        .shows("contradict each other");
}

/// A second stage of images beside `photos`.
fn others(settings: &str) -> String {
    format!("[stage.others]\nkind = \"images\"\nsource = \"photos\"\n{settings}\n\n[stage.tune]")
}

#[test]
fn validation_photos_that_are_prepared_in_another_way_are_refused() {
    for settings in [
        "size = 32\nresize = 40",
        "size = 32\ninterpolation = \"bicubic\"",
        "size = 32\nresize = \"squash\"",
        "model = \"network\"",
    ] {
        let project = project("size = 32", "vit", &vit());
        project.edit("[stage.tune]", &others(settings));
        project.edit(
            "train = \"photos\"",
            "train = \"photos\"\nvalidation = \"others\"",
        );
        let error = project.refire(&["run"]).fails_with(1).error();
        let message =
            "the images at port `validation` were prepared in another way than those to train on";
        assert!(error.contains(message), "{settings}: {error}");
        assert!(
            error.contains("`train`: shorter side to 36 pixels"),
            "{error}"
        );
    }
}

#[test]
fn test_photos_that_are_prepared_in_another_way_are_told() {
    let project = project("size = 32", "vit", &vit());
    project.edit("[stage.tune]", &others("size = 32\nresize = 40"));
    project.edit("images = \"photos\"", "images = \"others\"");
    let said = "shorter side to 40 pixels (bilinear), 32×32 from the centre (margin rounded to even); asked for: shorter side to 36 pixels";
    project.refire(&["run"]).succeeds().shows(said);
    project
        .refire(&["predict", "tune", "others", "-o", "out.csv"])
        .succeeds()
        .shows(said);
}

#[test]
fn a_folder_that_says_nothing_about_photos_is_told() {
    let project = project("size = 32", "vit", &vit());
    project.edit(", \"preprocessor_config.json\"]", "]");
    project
        .refire(&["run"])
        .succeeds()
        .shows("nothing in the model's folder says how photos are to be prepared");
    project.edit("size = 32", "model = \"network\"");
    let error = project.refire(&["run"]).fails_with(1).error();
    assert!(
        error.contains("does not say how photos are to be prepared"),
        "{error}"
    );
}

#[test]
fn photos_of_other_endings_are_told_before_they_are_missed() {
    let project = project(
        "model = \"network\"\nexclude = [\"*.BMP\", \"nothing*\"]",
        "vit",
        &vit(),
    );
    project.write("photos/red/a.tif", b"II*\0 and what else a TIFF has");
    project.write(
        "photos/blue/b.HEIC",
        b"\0\0\0\x18ftypheic and what else there is",
    );
    project.write("photos/blue/c.bmp", b"no photo, and not looked at");
    project.write(
        "photos/blue/notes.txt",
        b"BMW is a make of cars, not a photo",
    );
    let ran = project.refire(&["run"]).succeeds();
    let ran = ran.shows("2 photos are left out because of their ending (.heic 1, .tif 1): `blue/b.HEIC`, `red/a.tif`");
    ran.shows("no image matches `nothing*` in `exclude`");
    project
        .refire(&["logs", "photos"])
        .succeeds()
        .prints("1 images match `*.BMP` in `exclude`");
    project
        .refire(&[
            "predict",
            "tune",
            "./photos",
            "-o",
            "out.csv",
            "--skip-broken",
        ])
        .succeeds()
        .shows("2 photos are left out because of their ending: .heic 1, .tif 1");
}
