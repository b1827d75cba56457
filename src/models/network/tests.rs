//! Image networks of the names and shapes that torchvision, timm and transformers write, with small numbers in them.

mod beside;
#[cfg(any(feature = "libtorch", feature = "wgpu"))]
mod devices;
mod encoders;
mod nan;
mod saved;
mod towers;
mod types;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

use super::*;
use crate::models::architecture::Architecture;
use crate::models::naming::Naming;
use crate::models::small::{Made, all_made, side, small_models};
use crate::models::{
    self, Activations, FreezePlan, Head, Loaded, Modality, Network, Problem, Resolved, bare_config,
    write_config,
};

fn made(name: &str) -> Made {
    let mut all = all_made().into_iter();
    all.find(|made| made.name == name).expect(name)
}

/// A folder with a checkpoint of `made`'s tensors and `config`.
fn folder(made: &Made, config: &Map<String, Value>) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tensors: Vec<(&String, &Vec<usize>, Vec<u8>)> = made
        .tensors
        .iter()
        .map(|(name, shape)| (name, shape, numbers(shape, name.contains("running_var"))))
        .collect();
    let tensors = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes);
        (*name, view.expect("as many numbers as the shape says"))
    });
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(tensors, None, &path).expect("written");
    write_config(folder.path(), config).expect("written");
    folder
}

/// Numbers around 0, or around 1, as bytes.
fn numbers(shape: &[usize], around_one: bool) -> Vec<u8> {
    let middle = if around_one { 1.0 } else { 0.0 };
    let steps = (0..13_u8)
        .cycle()
        .map(|step| (f32::from(step) - 6.0) / 60.0 + middle);
    steps
        .take(shape.iter().product())
        .flat_map(f32::to_le_bytes)
        .collect()
}

fn small() -> TempDir {
    let made = made("resnet32");
    folder(&made, &made.config)
}

fn open(folder: &TempDir) -> Loaded {
    open_at(folder.path())
}

fn open_at(folder: &Path) -> Loaded {
    let device = models::device("cpu").expect("every build has a CPU");
    Network::open(folder, &device).expect("it loads")
}

fn load(folder: &TempDir, labels: &[&str]) -> Result<Loaded> {
    let head = Head {
        modality: Modality::Images,
        problem: Problem::default(),
        labels: labels.iter().map(ToString::to_string).collect(),
        embedding_size: None,
        pooling: None,
        dropout: None,
        seed: 7,
    };
    Network::load(folder.path(), &head, &models::device("cpu")?)
}

/// The error, its notes and its help, in one text.
fn refused(folder: &TempDir) -> String {
    let error = load(folder, &["cat", "dog"]).expect_err("it does not fit");
    format!("{error:?}")
}

fn images(device: &Device) -> Tensor<4> {
    images_of(32, device)
}

fn images_of(side: usize, device: &Device) -> Tensor<4> {
    Tensor::random([4, 3, side, side], Distribution::Normal(0.0, 1.0), device)
}

fn logits(network: &Network, images: Tensor<4>) -> TensorData {
    let blocks = 0..network.blocks().len();
    let logits = network.forward(blocks, Activations::Images(images));
    logits.into_logits().into_data()
}

#[test]
fn weights_of_another_network_are_named() {
    for (architecture, weights, expected) in [
        ("resnet18", "resnet50", "resnet50"),
        ("resnet50", "resnet34", "resnet34"),
        ("resnet18", "resnet34", "resnet34"),
        ("mobilenet_v2", "resnet18", "resnet18"),
        ("resnet20", "resnet32", "resnet32"),
        ("resnet18", "resnet32", "resnet32"),
        ("resnet34", "mobilenet_v2", "mobilenet_v2"),
        (
            "mobilenet_v2",
            "tf_efficientnet_lite0",
            "tf_efficientnet_lite0",
        ),
        ("tf_efficientnet_lite0", "vit", "ViT"),
        ("resnet18", "deit", "DeiT"),
        ("resnet18", "resnet", "ResNet of transformers"),
        ("resnet18", "regnet", "RegNet"),
        ("resnet18", "swin", "Swin Transformer"),
        ("resnet50", "convnext", "ConvNeXt"),
        ("resnet18", "convnextv2", "ConvNeXt V2"),
        ("convnext_tiny", "test_convnext", "test_convnext"),
        ("resnet18", "dinov2", "DINOv2"),
        ("mobilenet_v2", "clip", "CLIP"),
        ("mobilenet_v2", "siglip", "SigLIP"),
        (
            "mobilenet_v3_large",
            "mobilenet_v3_small",
            "mobilenet_v3_small",
        ),
        (
            "tf_efficientnet_lite1",
            "efficientnet_b0",
            "tf_efficientnet_b0",
        ),
    ] {
        let config = bare_config(architecture).expect("known");
        let error = refused(&folder(&made(weights), &config));
        let look = format!("these weights look like {expected}");
        assert!(
            error.contains(&look),
            "{weights} as {architecture}: {error}"
        );
    }
}

#[test]
fn a_deeper_network_is_not_taken_for_a_shallower_one() {
    let config = bare_config("resnet18").expect("known");
    let error = refused(&folder(&made("resnet34"), &config));
    assert!(error.contains("has no place for"), "{error}");
    assert!(error.contains("layer1.2.bn1.weight"), "{error}");
}

#[test]
fn a_text_is_not_classified_by_an_image_network() {
    let head = Head {
        modality: Modality::Texts,
        problem: Problem::default(),
        labels: vec!["cat".into(), "dog".into()],
        embedding_size: None,
        pooling: None,
        dropout: None,
        seed: 7,
    };
    let device = models::device("cpu").expect("every build has a CPU");
    let error = Network::load(small().path(), &head, &device).expect_err("it takes images");
    assert!(
        error.to_string().contains("takes images, not texts"),
        "{error}"
    );
}

#[test]
fn what_is_saved_has_the_names_of_the_library_and_gives_the_same_logits() {
    for name in [
        "resnet32",
        "mobilenet_v2",
        "tf_efficientnet_lite0",
        "resnet18",
        "vit",
        "deit",
        "resnet",
        "convnext",
        "convnextv2",
        "test_convnext",
        "dinov2",
        "clip",
        "siglip",
        "efficientnet_b0",
        "mobilenet_v3_small",
        "swin",
        "regnet",
    ] {
        let made = made(name);
        let loaded = open(&folder(&made, &made.config));
        let (once, twice) = (TempDir::new().expect("room"), TempDir::new().expect("room"));
        for folder in [&once, &twice] {
            loaded
                .network
                .save(folder.path(), &loaded.card)
                .expect("saved");
        }
        let read = |folder: &TempDir, file: &str| {
            std::fs::read(folder.path().join(file)).expect("it is written")
        };
        for file in ["config.json", "model.safetensors", "refire.json"] {
            assert_eq!(read(&once, file), read(&twice, file), "{name}: {file}");
        }
        let bytes = read(&once, "model.safetensors");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("it is safetensors");
        let saved: BTreeMap<String, Vec<usize>> = file
            .iter()
            .map(|(name, tensor)| (name.to_string(), tensor.shape().to_vec()))
            .collect();
        assert_eq!(saved, made.tensors, "{name}");

        let again = open(&once);
        assert_eq!(again.card.labels, loaded.card.labels, "{name}");
        let images = images_of(side(&loaded.network), &Device::flex());
        let before = logits(&loaded.network, images.clone());
        assert_eq!(logits(&again.network, images), before, "{name}");
    }
}

#[test]
fn a_head_for_other_labels_is_new_and_the_same_for_the_same_seed() {
    let folder = small();
    let loaded = load(&folder, &["cat", "dog"]).expect("it loads");
    assert_eq!(loaded.missing, ["linear.weight", "linear.bias"]);
    assert_eq!(loaded.unused, ["linear.bias", "linear.weight"]);
    let parameters = loaded.network.parameters();
    let head: Vec<&Parameter> = parameters.iter().filter(|known| known.head).collect();
    assert_eq!(head[0].shape, [2, 64]);
    let again = load(&folder, &["cat", "dog"]).expect("it loads");
    let images = images(&Device::flex());
    assert_eq!(
        logits(&loaded.network, images.clone()),
        logits(&again.network, images)
    );
}

#[test]
fn blocks_are_rows_of_layers_between_a_stem_and_a_head() {
    let anatomy = |name: &str| {
        let made = made(name);
        let outline = Network::outline(folder(&made, &made.config).path()).expect("an outline");
        outline.network.anatomy()
    };
    let names = |name: &str| anatomy(name).blocks;
    let mobilenet = names("mobilenet_v2");
    assert_eq!(mobilenet.len(), 20);
    assert_eq!(
        [&mobilenet[0], &mobilenet[18], &mobilenet[19]],
        ["features.0", "features.18", "classifier"]
    );
    let resnet = anatomy("resnet18");
    assert_eq!(
        resnet.blocks.join(" "),
        "conv1 layer1.0 layer1.1 layer2.0 layer2.1 layer3.0 layer3.1 layer4.0 layer4.1 fc"
    );
    assert_eq!(resnet.layers(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let vit = names("vit");
    assert_eq!(
        vit.join(" "),
        "embeddings encoder.layer.0 encoder.layer.1 encoder.layer.2 layernorm classifier"
    );
}

#[test]
fn every_parameter_belongs_to_the_block_that_it_is_named_after() {
    for name in [
        "resnet32",
        "mobilenet_v2",
        "tf_efficientnet_lite0",
        "resnet50",
        "vit",
        "deit",
    ] {
        let made = made(name);
        let network = Network::outline(folder(&made, &made.config).path())
            .expect("an outline")
            .network;
        let blocks = network.blocks();
        let known = network.parameters().into_iter().chain(network.statistics());
        for parameter in known {
            let block = &blocks[parameter.block];
            let norm_of = |norm: &str, of: &str| parameter.name.starts_with(norm) && block == of;
            let is_named = parameter.name.starts_with(&format!("{block}."))
                || norm_of("bn1.", "conv1")
                || norm_of("bn1.", "conv_stem")
                || norm_of("bn2.", "conv_head");
            assert!(is_named, "{name}: {} is in {block}", parameter.name);
            assert!(
                made.tensors.contains_key(&parameter.full_name),
                "{}",
                parameter.full_name
            );
        }
    }
}

#[test]
fn every_parameter_of_every_architecture_has_its_block() {
    for model in small_models() {
        let network = Network::outline(model.path()).expect("an outline").network;
        let blocks = network.blocks();
        let of_blocks = network.parameters().into_iter().map(|known| known.block);
        let mut seen: Vec<usize> = of_blocks.collect();
        seen.dedup();
        // What pools may have none.
        let pools = |block: &usize| block + 2 == blocks.len();
        let all = (0..blocks.len()).filter(|block| !pools(block) || seen.contains(block));
        let all: Vec<usize> = all.collect();
        assert_eq!(seen, all, "{}: each block in its turn", model.name);
        for parameter in network.parameters() {
            assert_eq!(parameter.head, parameter.block + 1 == blocks.len());
        }
    }
}

#[test]
fn a_parameter_that_belongs_to_no_block_is_an_error_and_not_in_the_first() {
    let mut network = open(&small()).network;
    assert!(network.placed().is_ok());
    let known = network.names.architecture;
    network.names.architecture = Box::leak(Box::new(Architecture {
        naming: Naming {
            beside: &[],
            ..known.naming
        },
        ..*known
    }));
    let error = network.placed().expect_err("it is in no block");
    let error = format!("{error:?}");
    assert!(
        error.contains("`bn1.weight` belongs to no block of ResNet for CIFAR"),
        "{error}"
    );
}

/// The numbers of every parameter and statistic.
#[derive(Default)]
struct Values(BTreeMap<ParamId, TensorData>);

impl Values {
    fn of(network: &Network) -> Self {
        let mut values = Self::default();
        network.visit(&mut values);
        values
    }
}

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id, param.val().into_data());
    }
}

#[test]
fn frozen_blocks_keep_their_statistics_and_others_count_on() {
    let network = load(&small(), &["cat", "dog"]).expect("it loads").network;
    let blocks = network.blocks();
    let plan = FreezePlan {
        trainable_layers: Some(2),
        ..FreezePlan::default()
    };
    let resolved: Resolved = network.resolve(&plan).expect("a plan");
    assert_eq!(blocks[resolved.prefix], "layer3.3");
    let (statistics, before) = (network.statistics(), Values::of(&network));
    let trained = network.freeze(&resolved).train();
    let images = Tensor::from_inner(images(&Device::flex()));
    let _ = logits(&trained, images);
    let after = Values::of(&trained.valid());
    assert_eq!(statistics.len(), 2 * 31);
    for statistic in statistics {
        let same = before.0[&statistic.id] == after.0[&statistic.id];
        let is_frozen = statistic.block < resolved.prefix;
        assert_eq!(same, is_frozen, "{}", statistic.name);
    }
}
