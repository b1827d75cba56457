//! What timm and Hugging Face write about the images that their weights expect, and what stands in for it.

use serde_json::json;
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
    assert_eq!((IMAGENET.size, IMAGENET.resize), (224, 256));
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
    assert_eq!((input.size, input.resize), (288, 303));
    assert_eq!(input.interpolation, Interpolation::Bicubic);
    assert_eq!((input.mean, input.std), ([0.5; 3], IMAGENET.std));
}

/// What a number for a size means depends on the class; the numbers of `tests/reference/preparation.json` follow the rest.
#[test]
fn hugging_faces_sizes_are_squares_and_crops() {
    let read = |model_type: &str, processor: Value| {
        let config = ("config.json", json!({ "model_type": model_type }));
        let input = known(&[config, ("preprocessor_config.json", processor)]);
        (input.mode, input.resize, input.size, input.margin)
    };
    let old = json!({ "feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "crop_size": 224, "do_center_crop": true });
    let squashed = (ResizeMode::Squash, 256, 224, CropMargin::Even);
    assert_eq!(
        read("deit", old),
        squashed,
        "a margin of 32 needs no rounding"
    );
    assert_eq!(read("deit", json!({})), squashed);
    let odd = json!({ "size": 227, "crop_size": 224 });
    assert_eq!(
        read("deit", odd),
        (ResizeMode::Squash, 227, 224, CropMargin::Down)
    );
    let clip =
        json!({ "image_processor_type": "CLIPImageProcessor", "size": 256, "crop_size": 224 });
    assert_eq!(
        read("vit", clip),
        (ResizeMode::Shorter, 256, 224, CropMargin::Down)
    );
    // A share of the shorter side, or all of a large photo.
    let shared = json!({ "size": { "shortest_edge": 224 }, "crop_pct": 0.9 });
    let expected = (ResizeMode::Shorter, 248, 224, CropMargin::Down);
    assert_eq!(read("convnext", shared), expected);
    let whole = json!({ "size": { "shortest_edge": 384 }, "crop_pct": 0.9 });
    let expected = (ResizeMode::Squash, 384, 384, CropMargin::Even);
    assert_eq!(read("convnextv2", whole), expected);
    assert_eq!(read("convnext", json!({})), expected);
    let square = json!({ "size": { "height": 384, "width": 384 }, "resample": 3 });
    assert_eq!(
        read("vit", square),
        (ResizeMode::Squash, 384, 384, CropMargin::Even)
    );
}

#[test]
fn timms_squash_is_before_the_crop() {
    let config = json!({
        "architecture": "resnet18",
        "pretrained_cfg": { "input_size": [3, 224, 224], "crop_pct": 0.875, "crop_mode": "squash" },
    });
    let input = known(&[("config.json", config)]);
    assert_eq!(
        (input.mode, input.resize, input.size),
        (ResizeMode::Squash, 256, 224)
    );
}

#[test]
fn two_files_that_contradict_each_other_are_refused() {
    let config = |crop_mode: &str| {
        json!({
            "architecture": "resnet18",
            "pretrained_cfg": {
                "input_size": [3, 32, 32], "crop_pct": 1.0, "crop_mode": crop_mode, "interpolation": "bilinear",
                "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
            },
        })
    };
    let processor = || json!({ "image_processor_type": "ViTImageProcessor", "size": 32 });
    let files = |mode| {
        [
            ("config.json", config(mode)),
            ("preprocessor_config.json", processor()),
        ]
    };
    assert_eq!(known(&files("squash")).mode, ResizeMode::Squash);
    let error = input(&files("center")).expect_err("they differ");
    assert!(error.message().contains("contradict each other"), "{error}");
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
            "preprocessor_config.json",
            json!({ "size": { "shortest_edge": 224, "longest_edge": 300 } }),
            "cannot read",
        ),
        (
            "preprocessor_config.json",
            json!({ "size": { "shortest_edge": 224 } }),
            "do not become squares",
        ),
        (
            "preprocessor_config.json",
            json!({ "do_resize": false }),
            "`do_resize` is off",
        ),
        (
            "preprocessor_config.json",
            json!({ "do_pad": true }),
            "does not pad",
        ),
        (
            "preprocessor_config.json",
            json!({ "do_center_crop": true }),
            "without a `crop_size`",
        ),
        (
            "preprocessor_config.json",
            json!({ "size": 200, "do_center_crop": true, "crop_size": 224 }),
            "cannot be cut out",
        ),
        (
            "preprocessor_config.json",
            json!({ "image_processor_type": "ConvNextImageProcessor", "size": 224, "crop_pct": 1.5 }),
            "`crop_pct` is 1.5",
        ),
        (
            "preprocessor_config.json",
            json!({ "image_processor_type": "ConvNextImageProcessor", "size": [224, 224] }),
            "no `shortest_edge`",
        ),
        (
            "preprocessor_config.json",
            json!({ "image_processor_type": "ConvNextImageProcessor", "do_center_crop": true }),
            "cuts by `crop_pct`",
        ),
        (
            "preprocessor_config.json",
            json!({ "rescale_factor": 0.0 }),
            "`rescale_factor` is 0",
        ),
        (
            "preprocessor_config.json",
            json!({ "image_processor_type": "LevitImageProcessor" }),
            "`LevitImageProcessor`",
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
        let config = json!({ "architecture": "resnet18", "model_type": "vit" });
        let mut files = vec![("config.json", config)];
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

/// Every way to cut a photo that can be written down, in a folder of Hugging Face's and in one of timm's.
#[test]
fn what_a_model_was_tuned_on_is_read_again() {
    let sizes = [
        (160, 182),
        (224, 256),
        (160, 160),
        (97, 131),
        (31, 33),
        (300, 512),
        (1, 8192),
        (32, 39),
        (4095, 4096),
    ];
    for (size, resize) in sizes {
        for mode in [ResizeMode::Shorter, ResizeMode::Squash] {
            for margin in [CropMargin::Even, CropMargin::Down] {
                let made = ImageInput {
                    size,
                    resize,
                    mode,
                    margin,
                    interpolation: Interpolation::Bicubic,
                    ..IMAGENET
                }
                .canonical();
                for config in [
                    json!({ "model_type": "vit" }),
                    json!({ "architecture": "resnet18" }),
                ] {
                    let folder = TempDir::new().expect("room");
                    let path = folder.path().join("config.json");
                    crate::store::write_atomic(&path, config.to_string().as_bytes())
                        .expect("written");
                    made.write(folder.path()).expect("written");
                    let read = ImageInput::of(folder.path()).expect("readable");
                    assert_eq!(read, Some(made), "{config}");
                }
            }
        }
    }
    assert_eq!(IMAGENET.at(160).resize, 182);
    let words = timm::words(&IMAGENET.at(160));
    assert_eq!(words["crop_pct"], json!(0.875));
}

#[test]
fn numbers_that_no_photo_can_be_made_with_are_refused() {
    let vit = json!({ "model_type": "vit" });
    let processors = [
        json!({ "size": 0 }),
        json!({ "size": u64::MAX }),
        json!({ "size": 1e30 }),
        json!({ "size": { "height": 1_u64 << 60, "width": 1_u64 << 60 } }),
        json!({ "size": { "height": 8, "width": -8 } }),
        json!({ "size": [224, 225] }),
        json!({ "do_center_crop": true, "crop_size": 0 }),
        json!({ "do_center_crop": true, "crop_size": u64::MAX }),
        json!({ "resample": 255 }),
        json!({ "image_std": [0.5, 0.0, 0.5] }),
        json!({ "image_std": [0.5, -0.5, 0.5] }),
        json!({ "image_std": 1e300 }),
        json!({ "image_std": 1e-44 }),
        json!({ "image_mean": [0.5, 0.5] }),
        json!({ "image_mean": 1e39 }),
        json!({ "image_mean": 1e38, "image_std": 1e-3 }),
        json!({ "rescale_factor": 0 }),
        json!({ "rescale_factor": -1 }),
        json!({ "rescale_factor": 1e-320 }),
        json!({ "rescale_factor": 1e300 }),
    ];
    for processor in processors {
        let files = [
            ("config.json", vit.clone()),
            ("preprocessor_config.json", processor.clone()),
        ];
        assert!(input(&files).is_err(), "{processor}");
    }
    for timm in [
        json!({ "input_size": [3, 0, 0] }),
        json!({ "input_size": [3, 1_u64 << 62, 1_u64 << 62] }),
        json!({ "input_size": [3, u64::MAX, u64::MAX], "crop_pct": 1e-300 }),
        json!({ "crop_pct": 0 }),
        json!({ "crop_pct": 1e-300 }),
        json!({ "std": [1, 1, 0] }),
        json!({ "mean": [0, 0, 1e39] }),
        json!({ "mean": [0, 0, 3e38], "std": [1, 1, 1e-3] }),
    ] {
        let config = json!({ "architecture": "resnet18", "pretrained_cfg": timm.clone() });
        assert!(input(&[("config.json", config)]).is_err(), "{timm}");
    }
}
