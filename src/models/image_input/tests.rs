//! What timm and Hugging Face write about the images that their weights expect, and what stands in for it.

use tempfile::TempDir;

use super::*;

/// The input of a model with these files.
fn input(files: &[(&str, Value)]) -> Result<Option<ImageInput>> {
    let folder = TempDir::new().expect("room");
    for (name, contents) in files {
        crate::store::write_atomic(&folder.path().join(name), contents.to_string().as_bytes())?;
    }
    ImageInput::of(folder.path())
}

fn known(files: &[(&str, Value)]) -> ImageInput {
    input(files).expect("readable").expect("it takes images")
}

#[test]
fn bare_weights_get_what_their_variant_expects() {
    for architecture in architectures() {
        let config = bare_config(architecture).expect("known");
        let written = known(&[("config.json", Value::Object(config))]);
        let expected = variant(architecture).expect("known").input;
        assert_eq!(written, expected, "{architecture}");
    }
    assert_eq!(IMAGENET.shorter_side(), 256);
}

#[test]
fn an_unknown_architecture_gets_a_suggestion() {
    let error = bare_config("mobilenetv2").expect_err("unknown");
    assert!(format!("{error:?}").contains("mobilenet_v2"), "{error:?}");
}

#[test]
fn timms_words_go_before_the_variants() {
    let config = json!({
        "architecture": "resnet18",
        "num_classes": 1000,
        "pretrained_cfg": {
            "url": "", "input_size": [3, 288, 288], "crop_pct": 0.95, "interpolation": "bicubic",
            "mean": [0.5, 0.5, 0.5], "first_conv": "conv1", "classifier": "fc",
        },
    });
    let input = known(&[("config.json", config)]);
    assert_eq!((input.size, input.shorter_side()), (288, 303));
    assert_eq!(input.interpolation, Interpolation::Bicubic);
    assert_eq!((input.mean, input.std), ([0.5; 3], IMAGENET.std));
}

#[test]
fn hugging_faces_sizes_are_squares_and_crops() {
    let config = || ("config.json", json!({ "model_type": "vit" }));
    let old = json!({
        "do_resize": true, "size": 224, "resample": 2,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    });
    let old = known(&[config(), ("preprocessor_config.json", old)]);
    assert_eq!((old.size, old.crop_mode), (224, CropMode::Squash));
    let square = json!({ "size": { "height": 384, "width": 384 }, "resample": 3 });
    let square = known(&[config(), ("preprocessor_config.json", square)]);
    assert_eq!((square.size, square.shorter_side()), (384, 384));
    assert_eq!(square.interpolation, Interpolation::Bicubic);
    let crop = json!({
        "size": { "height": 256, "width": 256 }, "crop_size": { "height": 224, "width": 224 },
        "do_center_crop": true, "resample": 3,
    });
    let crop = known(&[config(), ("preprocessor_config.json", crop)]);
    assert_eq!((crop.size, crop.shorter_side()), (224, 256));
    assert_eq!(crop.crop_mode, CropMode::Center);
}

#[test]
fn inputs_that_cannot_be_made_are_refused_with_their_file() {
    for (file, contents, expected) in [
        (
            "preprocessor_config.json",
            json!({ "size": { "height": 2, "width": 3 } }),
            "no square",
        ),
        (
            "preprocessor_config.json",
            json!({ "size": 224, "resample": 1 }),
            "filter 1",
        ),
        (
            "preprocessor_config.json",
            json!({ "size": "big" }),
            "cannot read",
        ),
        (
            "config.json",
            json!({ "pretrained_cfg": { "input_size": [1, 28, 28] } }),
            "colour",
        ),
        (
            "config.json",
            json!({ "pretrained_cfg": { "crop_pct": 0.0 } }),
            "crop_pct",
        ),
        (
            "config.json",
            json!({ "pretrained_cfg": { "std": [1.0, 0.0, 1.0] } }),
            "std",
        ),
    ] {
        let mut files = vec![("config.json", json!({ "architecture": "resnet18" }))];
        files.push((file, contents));
        let error = format!("{:?}", input(&files).expect_err("refused"));
        assert!(error.contains(expected) && error.contains(file), "{error}");
    }
}

#[test]
fn a_text_model_takes_no_images() {
    let config = json!({ "model_type": "bert" });
    assert_eq!(input(&[("config.json", config)]).expect("readable"), None);
}

#[test]
fn photos_become_planes_of_normalised_colours() {
    let photo = [0, 51, 255, 255, 102, 0];
    let input = ImageInput {
        mean: [0.0, 0.2, 0.5],
        std: [1.0, 0.1, 0.5],
        ..IMAGENET
    };
    let tensor = input.normalise(&[&photo, &photo], [1, 2], &Device::flex());
    assert_eq!(tensor.dims(), [2, 3, 1, 2]);
    let values: Vec<f32> = tensor.into_data().try_to_vec().expect("f32");
    let expected = [0.0, 1.0, 0.0, 2.0, 1.0, -1.0];
    for (value, expected) in values.iter().zip(expected.iter().cycle()) {
        assert!((value - expected).abs() < 1e-6, "{values:?}");
    }
}

#[test]
fn what_a_model_was_tuned_on_gives_the_same_crop_again() {
    for (size, resize) in [
        (160, 182),
        (224, 256),
        (160, 160),
        (97, 131),
        (31, 33),
        (300, 512),
    ] {
        let made = IMAGENET.made(size, resize, Interpolation::Bicubic);
        assert_eq!((made.size, made.shorter_side()), (size, resize));
        assert_eq!(made.interpolation, Interpolation::Bicubic);
    }
    let usual = IMAGENET.made(160, 182, Interpolation::Bilinear);
    assert!((usual.crop_pct - 0.875).abs() < 1e-9, "{usual:?}");
}
