//! What stays as it is and what begins to train when, from the file to the weights: of texts and of images.

use std::collections::BTreeSet;

use safetensors::SafeTensors;

use crate::photos::{self, features};
use crate::support::Project;
use crate::tiny;

/// The tensors of the tuned model that are not those of `before`, under the names that `rename` gives those.
fn changed(project: &Project, before: &str, rename: impl Fn(&str) -> String) -> BTreeSet<String> {
    if project.path("tuned").exists() {
        std::fs::remove_dir_all(project.path("tuned")).expect("it goes");
    }
    project.refire(&["get", "tune", "tuned"]).succeeds();
    let before = std::fs::read(project.path(before)).expect("a checkpoint");
    let before = SafeTensors::deserialize(&before).expect("safetensors");
    let after = tiny::weights(&project.path("tuned"));
    let mut changed = BTreeSet::new();
    for (name, tensor) in before.iter() {
        let now = after.get(&rename(name)).or_else(|| after.get(name));
        let (shape, data) = now.expect("no tensor is lost");
        if shape == tensor.shape() && data != tensor.data() {
            changed.insert(name.to_string());
        }
    }
    changed
}

fn changed_texts(project: &Project) -> BTreeSet<String> {
    let rename = |name: &str| format!("bert.{name}");
    changed(project, "tiny-bert/model.safetensors", rename)
}

fn changed_images(project: &Project) -> BTreeSet<String> {
    changed(project, "network/resnet20.safetensors", str::to_string)
}

#[test]
fn a_text_network_unfreezes_layer_by_layer_apart_from_what_is_frozen_by_name() {
    let project = tiny::project();
    project.edit("trainable_layers = 0", r"frozen = ['re:.*LayerNorm\..*']");
    project.edit(
        "epochs = 4",
        "epochs = 2\ngradual_unfreezing = true\nlayer_decay = 0.9",
    );
    let ran = project.refire(&["run"]).succeeds();
    ran.shows("too few to unfreeze all that may train");
    let changed = changed_texts(&project);
    assert!(changed.contains("encoder.layer.1.output.dense.weight"));
    let last_layer = |name: &String| {
        let after_it = name.starts_with("pooler.");
        after_it || name.starts_with("encoder.layer.1.") && !name.contains("LayerNorm")
    };
    assert!(changed.iter().all(last_layer), "{changed:?}");

    project.edit("epochs = 2", "epochs = 4");
    project.refire(&["run"]).succeeds();
    let changed = changed_texts(&project);
    assert!(changed.contains("embeddings.word_embeddings.weight"));
    assert!(!changed.iter().any(|name| name.contains("LayerNorm")));
}

#[test]
fn bitfit_changes_biases_alone() {
    let project = tiny::project();
    project.edit("trainable_layers = 0", "bitfit = true");
    project.refire(&["run"]).succeeds();
    let changed = changed_texts(&project);
    assert!(changed.len() > 10, "{changed:?}");
    assert!(
        changed.iter().all(|name| name.ends_with("bias")),
        "{changed:?}"
    );
}

#[test]
fn frozen_blocks_of_an_image_network_keep_weights_and_statistics() {
    let project = photos();
    project.edit("trainable_layers = 0", "trainable_layers = 3");
    project.edit(
        "epochs = 4",
        "epochs = 3\ngradual_unfreezing = { 2 = 1, 3 = 2 }",
    );
    project.refire(&["run"]).succeeds();
    let changed = changed_images(&project);
    for name in [
        "layer3.2.conv1.weight",
        "layer3.1.bn2.running_mean",
        "layer3.2.bn1.running_var",
    ] {
        assert!(changed.contains(name), "{changed:?}");
    }
    let trains = |name: &String| name.starts_with("layer3.1.") || name.starts_with("layer3.2.");
    assert!(changed.iter().all(trains), "{changed:?}");
}

#[test]
fn train_bn_trains_batch_normalisations_of_frozen_blocks() {
    let project = photos();
    project.edit(
        "trainable_layers = 0",
        "trainable_layers = 0\ntrain_bn = true",
    );
    project.edit("learning_rate = 0.02", "learning_rate = 0.002");
    project.refire(&["run"]).succeeds();
    let changed = changed_images(&project);
    for field in ["weight", "bias", "running_mean", "running_var"] {
        let of_first_block = format!("bn1.{field}");
        assert!(changed.contains(&of_first_block), "{changed:?}");
    }
    assert!(
        !changed.iter().any(|name| name.contains("conv")),
        "{changed:?}"
    );
}

#[test]
fn what_a_shallower_plan_left_does_not_change_a_bit() {
    for project in [tiny::project, photos] {
        let tuned = |earlier: &[&str]| {
            let project = project();
            let run = ["run", "--format", "json"];
            for layers in earlier {
                let layers = format!("stage.frozen.trainable_layers={layers}");
                project
                    .refire(&[&run[..], &["-S", &layers]].concat())
                    .succeeds();
            }
            let last = project.refire(&run).succeeds();
            assert!(features(&last) > 0, "the deepest features are new");
            project.read("refire.lock")
        };
        assert_eq!(tuned(&["2", "1"]), tuned(&[]));
    }
}

#[test]
fn layers_unfreeze_with_the_same_bits_on_any_number_of_threads() {
    for project in [tiny::project, photos] {
        let locks = ["1", "3"].map(|cpus| {
            let project = project();
            let settings = format!(
                "epochs = 3\ngradual_unfreezing = {{ 2 = 1, 3 = \"all\" }}\nlayer_decay = 0.7\nresources = {{ cpus = {cpus} }}"
            );
            project.edit("epochs = 4", &settings);
            project.edit("trainable_layers = 0", "trainable_layers = 2");
            project.refire(&["run"]).succeeds();
            project.read("refire.lock")
        });
        assert_eq!(locks[0], locks[1]);
    }
}

#[test]
fn images_that_change_at_random_are_said_once_to_go_through_every_phase_anew() {
    let project = photos();
    project.edit("trainable_layers = 0", "trainable_layers = 2");
    project.edit(
        "epochs = 4",
        "hflip = 0.5\nepochs = 3\ngradual_unfreezing = true",
    );
    let shown = project.refire(&["run"]).succeeds().stderr();
    assert_eq!(
        shown.matches("run again in every epoch").count(),
        1,
        "{shown}"
    );
}

#[test]
fn a_plan_says_what_will_not_be_kept() {
    let project = photos();
    let plain = project.refire(&["plan"]).succeeds().stdout();
    assert!(!plain.contains("note:"), "{plain}");
    project.edit("epochs = 4", "hflip = 0.5\nepochs = 4");
    project.refire(&["plan"]).succeeds().prints(
        "tune: note: frozen layers run again in every epoch, because images change at random",
    );
    project.edit("hflip = 0.5", "feature_cache_max = \"0B\"");
    project
        .refire(&["plan", "--json"])
        .succeeds()
        .prints("because `feature_cache_max` leaves no room");
}

/// The image pipeline, whatever it comes to.
fn photos() -> Project {
    let project = photos::project();
    project.edit("gate = { accuracy = \">= 0.9\" }", "");
    project
}

/// The error of the text pipeline with `more` settings for its training.
fn wrong(more: &str, code: i32) -> String {
    let project = tiny::project();
    project.edit("epochs = 4", &format!("epochs = 4\n{more}"));
    project.refire(&["run"]).fails_with(code).error()
}

#[test]
fn two_settings_that_say_when_layers_begin() {
    insta::assert_snapshot!(wrong("freeze_epochs = 1\ngradual_unfreezing = true", 2));
}

#[test]
fn layers_that_would_freeze_again() {
    insta::assert_snapshot!(wrong("gradual_unfreezing = { 1 = \"all\", 3 = 1 }", 2));
}

#[test]
fn two_rates_for_one_parameter() {
    let rates = "learning_rates = { \"classifier.*\" = 1e-3, \"*.bias\" = 1e-2 }";
    insta::assert_snapshot!(wrong(rates, 1));
}

#[test]
fn a_rate_for_what_is_frozen() {
    insta::assert_snapshot!(wrong("learning_rates = { \"encoder.*\" = 1e-5 }", 1));
}
