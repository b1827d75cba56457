//! An image classifier from a TOML file, end to end, on a small network: what runs, what is kept, what comes out, and what is
//! refused.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

use crate::support::{Project, Ran};
use crate::tiny;

/// The pipeline, with every kind of stage that an image classifier needs.
const PIPELINE: &str = r#"
[pipeline]
name = "skies"
seed = 7

[stage.network]
kind = "pretrained"
source = "network"
architecture = "resnet20"
files = ["resnet20.safetensors"]

[stage.photos]
kind = "images"
source = "photos"
size = 32

[stage.split]
kind = "split"
images = "photos"
stratify = "label"
parts = { train = 0.7, validation = 0.1, test = 0.2 }

[stage.frozen]
kind = "freeze"
model = "network"
trainable_layers = 0

[stage.tune]
kind = "finetune"
model = "frozen"
train = "split.train"
validation = "split.validation"
task = "image-classification"
epochs = 4
batch_size = 8
learning_rate = 0.02

[stage.test]
kind = "evaluate"
model = "tune"
images = "split.test"
metrics = ["accuracy", "f1"]
gate = { accuracy = ">= 0.9" }
"#;

/// A project with the pipeline, a network that has learnt nothing, and photos of two kinds of sky.
pub(crate) fn project() -> Project {
    let project = Project::with(PIPELINE);
    project.write("network/resnet20.safetensors", checkpoint(10));
    for index in 0..40 {
        project.write(
            &format!("photos/day/{index}.png"),
            sky(index, [90, 150, 230]),
        );
        project.write(
            &format!("photos/dusk/{index}.png"),
            sky(index, [220, 110, 70]),
        );
    }
    project
}

/// A photo that gets darker towards the top, with noise.
fn sky(index: u32, [red, green, blue]: [u32; 3]) -> Vec<u8> {
    let mut noise = Noise(u64::from(index * 3 + red));
    let photo = RgbImage::from_fn(40 + index % 7, 36 + index % 5, |_, y| {
        let mut channel = |full: u32| {
            let light = full * (40 + y) / 80;
            let grain = (noise.next() * 40.0 + 20.0).clamp(0.0, 40.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a byte"
            )]
            let byte = (f32::from(u16::try_from(light).expect("a byte")) + grain).min(255.0) as u8;
            byte
        };
        Rgb([channel(red), channel(green), channel(blue)])
    });
    let mut file = Cursor::new(Vec::new());
    photo
        .write_to(&mut file, ImageFormat::Png)
        .expect("a PNG can be written");
    file.into_inner()
}

/// Numbers between -1 and 1 that are the same on every machine.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bits = u16::try_from(self.0 >> 48).expect("16 bits");
        f32::from(bits) / 32_768.0 - 1.0
    }
}

/// A CIFAR ResNet-20 with random weights and `classes` outputs, as a safetensors file.
fn checkpoint(classes: usize) -> Vec<u8> {
    let mut tensors: Vec<(String, Vec<usize>)> = Vec::new();
    let mut layer = |convolution: String, norm: String, shape: [usize; 4]| {
        tensors.push((format!("{convolution}.weight"), shape.to_vec()));
        for field in ["weight", "bias", "running_mean", "running_var"] {
            tensors.push((format!("{norm}.{field}"), vec![shape[0]]));
        }
    };
    layer("conv1".into(), "bn1".into(), [16, 3, 3, 3]);
    for (number, width, before) in [(1, 16, 16), (2, 32, 16), (3, 64, 32)] {
        for block in 0..3 {
            let inputs = if block == 0 { before } else { width };
            for (index, inputs) in [(1, inputs), (2, width)] {
                let name = |part: &str| format!("layer{number}.{block}.{part}{index}");
                layer(name("conv"), name("bn"), [width, inputs, 3, 3]);
            }
        }
    }
    tensors.push(("linear.weight".into(), vec![classes, 64]));
    tensors.push(("linear.bias".into(), vec![classes]));
    let mut noise = Noise(1);
    let filled: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape)| {
            let inputs: usize = shape[1..].iter().product();
            let scale = (6.0 / f32::from(u16::try_from(inputs).expect("small"))).sqrt();
            let numbers = (0..shape.iter().product()).map(|_| match name.rsplit('.').next() {
                Some("running_var") => 1.0,
                Some("weight") if shape.len() == 1 => 1.0,
                Some("weight") => noise.next() * scale,
                _ => 0.0,
            });
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

/// The error of the pipeline with `old` replaced by `new`.
fn wrong(old: &str, new: &str, code: i32) -> String {
    let project = project();
    project.edit(old, new);
    project.refire(&["run"]).fails_with(code).error()
}

#[test]
fn a_network_is_tuned_and_measured_and_then_nothing_is_left_to_do() {
    let project = project();
    project.edit(
        "size = 32",
        "size = 32\nresize = 40\ninterpolation = \"bicubic\"",
    );
    let first = project.refire(&["run"]).succeeds().shows("6 ran, 0 cached");
    let first = first.shows("shorter side to 40 pixels (bicubic), 32×32 from the centre");
    first.prints("accuracy");
    project.refire(&["run"]).succeeds().shows("0 ran, 6 cached");
    project.refire(&["get", "tune", "tuned"]).succeeds();
    let card: serde_json::Value =
        serde_json::from_str(&project.read("tuned/refire.json")).expect("JSON");
    assert_eq!(card["labels"], json!(["day", "dusk"]));
    assert_eq!(card["task"], "image-classification");
    let config: serde_json::Value =
        serde_json::from_str(&project.read("tuned/config.json")).expect("JSON");
    let input = &config["pretrained_cfg"];
    assert_eq!(input["input_size"], json!([3, 32, 32]));
    assert_eq!(
        (&input["crop_pct"], &input["interpolation"]),
        (&json!(0.8), &json!("bicubic"))
    );
    assert_eq!(input["mean"], json!([0.485, 0.456, 0.406]));
    assert_eq!(config["label_names"], json!(["day", "dusk"]));
}

/// Everything that changes images at random.
const CHANGES: &str = "hflip = 0.5\nscale = [0.5, 1.0]\ncolor_jitter = 0.2\nreprob = 0.2\nmixup = 0.2\ncutmix = 1.0\nlabel_smoothing_factor = 0.1\n";

/// How many samples went through the frozen layers to be remembered.
pub(crate) fn features(ran: &Ran) -> u64 {
    let events = ran.events();
    let progress = events
        .iter()
        .filter(|event| event["activity"] == "features");
    progress
        .filter_map(|event| event["total"].as_u64())
        .max()
        .unwrap_or(0)
}

#[test]
fn images_that_change_at_random_go_through_the_frozen_layers_in_every_epoch() {
    let project = project();
    project.edit("epochs = 4", &format!("{CHANGES}epochs = 4"));
    project
        .refire(&["run"])
        .succeeds()
        .shows("the frozen layers run again in every epoch");
}

#[test]
fn random_changes_are_the_same_on_any_number_of_threads() {
    let run = |cpus: &str, changes: &str| {
        let project = project();
        let settings = format!("{changes}epochs = 2\nresources = {{ cpus = {cpus} }}");
        project.edit("epochs = 4", &settings);
        project.edit("trainable_layers = 0", "trainable_layers = 3");
        project.edit("gate = { accuracy = \">= 0.9\" }", "");
        project.refire(&["run"]).succeeds();
        project.read("refire.lock")
    };
    let lock = run("1", CHANGES);
    assert_eq!(lock, run("3", CHANGES));
    assert_ne!(lock, run("1", "hflip = 0.5\n"));
}

#[test]
fn cached_views_are_remembered() {
    let project = project();
    let run = ["run", "--format", "json"];
    let settings = "hflip = 0.5\ncolor_jitter = 0.3\ncached_views = 3\nepochs = 4";
    project.edit("epochs = 4", settings);
    let first = project.refire(&run).succeeds();
    assert!(features(&first) > 2 * 56, "three looks, some of them alike");
    project.edit("learning_rate = 0.02", "learning_rate = 0.03");
    assert_eq!(features(&project.refire(&run).succeeds()), 0);
}

#[test]
fn changes_that_contradict_each_other() {
    let views = "epochs = 4\nmixup = 0.2\ncached_views = 4";
    insta::assert_snapshot!(wrong("epochs = 4", views, 2));
    let project = tiny::project();
    project.edit("epochs = 4", "epochs = 4\nhflip = 0.5");
    let error = project.refire(&["check"]).fails_with(2).error();
    assert!(
        error.contains("`hflip` is for images, not for texts"),
        "{error}"
    );
    for (setting, message) in [
        ("hflip = 1.5", "`hflip` must be a probability, from 0 to 1"),
        (
            "ratio = [0.5, 2.0]",
            "`ratio` is the shape of what `scale` cuts out",
        ),
        ("cached_views = 2", "`cached_views` means nothing"),
        ("mixup = -0.1", "`mixup` must be at least 0"),
    ] {
        let error = wrong("epochs = 4", &format!("epochs = 4\n{setting}"), 2);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_second_experiment_with_the_head_uses_what_the_frozen_layers_gave() {
    let project = project();
    let run = ["run", "--format", "json"];
    let first = project.refire(&run).succeeds();
    assert!(features(&first) > 0);
    project.edit("learning_rate = 0.02", "learning_rate = 0.03");
    let second = project.refire(&run).succeeds();
    let ran: Vec<String> = second.outcomes();
    let ran: Vec<&String> = ran
        .iter()
        .filter(|outcome| outcome.ends_with("ran"))
        .collect();
    assert_eq!(ran, ["tune ran", "test ran"]);
    assert_eq!(features(&second), 0, "features were computed again");
}

#[test]
fn the_whole_network_learns_and_any_number_of_threads_gives_the_same_bits() {
    let locks = ["1", "2"].map(|cpus| {
        let project = project();
        project.edit("trainable_layers = 0", "trainable_layers = 9");
        project.edit(
            "epochs = 4",
            &format!("epochs = 2\nresources = {{ cpus = {cpus} }}"),
        );
        project.edit("learning_rate = 0.02", "learning_rate = 0.002");
        project.refire(&["run"]).succeeds();
        project.read("refire.lock")
    });
    assert_eq!(locks[0], locks[1]);
}

#[test]
fn labels_that_are_only_in_the_validation_images() {
    let labels = "task = \"image-classification\"\nlabels = [\"day\", \"night\"]";
    let error = wrong("task = \"image-classification\"", labels, 1);
    assert!(
        error.contains("has the label `dusk`, which the model is not for"),
        "{error}"
    );

    let project = project();
    project.edit(
        "validation = \"split.validation\"",
        "validation = \"others\"",
    );
    project.edit(
        "[stage.split]",
        "[stage.others]\nkind = \"images\"\nsource = \"others\"\nsize = 32\n\n[stage.split]",
    );
    for (label, index) in [("day", 1), ("sunset", 2)] {
        project.write(
            &format!("others/{label}/{index}.png"),
            sky(index, [90, 150, 230]),
        );
    }
    project.edit("accuracy = \">= 0.9\"", "accuracy = \">= 0\"");
    let ran = project.refire(&["run"]).succeeds();
    ran.shows("no image of `train` has the label `sunset`: the model cannot learn it");
}

#[test]
fn one_class_only() {
    let only = "[stage.photos]\nkind = \"images\"\nlabels = [\"dusk\"]";
    insta::assert_snapshot!(wrong("[stage.photos]\nkind = \"images\"", only, 1));
}

#[test]
fn weights_of_another_network() {
    insta::assert_snapshot!(wrong("\"resnet20\"", "\"resnet56\"", 1));
}

#[test]
fn a_setting_for_texts() {
    insta::assert_snapshot!(wrong("epochs = 4", "epochs = 4\nmax_length = 64", 2));
}

#[test]
fn a_table_of_texts_where_images_belong() {
    insta::assert_snapshot!(wrong(
        "images = \"split.test\"",
        "table = \"split.test\"",
        2
    ));
}

#[test]
fn a_model_of_images_is_not_measured_on_a_table() {
    let project = project();
    project.edit("images = \"split.test\"", "table = \"rows\"");
    let rows = "[stage.rows]\nkind = \"dataset\"\nsource = \"rows.csv\"\n\n[stage.test]";
    project.edit("[stage.test]", rows);
    project.write("rows.csv", "text,label\nblue,day\n");
    let error = project.refire(&["check"]).fails_with(2).error();
    assert!(
        error.contains("the model is for images, and `table` has none"),
        "{error}"
    );
    assert!(error.contains("images = \"…\""), "{error}");
}

#[test]
fn copies_of_a_photo_in_two_parts_are_reported() {
    let project = project();
    for index in 0..20 {
        project.write(
            &format!("photos/day/copy-{index}.png"),
            sky(3, [90, 150, 230]),
        );
    }
    project
        .refire(&["run", "split"])
        .succeeds()
        .shows("21 images are copies of each other (1 different ones) in more than one part");
}
