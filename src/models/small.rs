//! Small models with random weights, at least one of every architecture: what tests that walk the registry run on.
//!
//! A new row of [`ARCHITECTURES`] is under those tests as soon as it has the fixture that proves it: shapes that
//! `tests/reference/make_vision.py`, `make_backbones.py` or `make_text.py` has found in its library, or a folder `tests/data/tiny-NAME`.
//! What takes texts has the tokenizer of `tests/data/tiny-bert`, with the padding token that its config names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::architecture::architecture;
use super::folder::ModelFolder;
use super::weights::write_new;
use super::{ARCHITECTURES, Modality, Network, copy_folder, write_config};

/// Architectures have more than one small model if those have fewer numbers than this.
const SMALL: usize = 1_000_000;

/// A folder with a model that has learnt nothing. It has no dropout but the head's own, so that trainings side by side do not share a
/// generator.
pub(crate) struct SmallModel {
    /// What it is called.
    pub(crate) name: String,
    /// What it takes.
    pub(crate) modality: Modality,
    folder: TempDir,
}

impl SmallModel {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A model that is known by its shapes or by its folder.
enum Fixture {
    Shapes(Made),
    Folder(PathBuf),
}

/// A network that a script beside `make_vision.py` has found in a library: what its config says, and the shapes of its tensors.
#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) config: Map<String, Value>,
    pub(super) tensors: BTreeMap<String, Vec<usize>>,
}

/// All that it has found.
pub(super) fn all_made() -> Vec<Made> {
    #[derive(Deserialize)]
    struct Reference {
        made: Vec<Made>,
    }

    let all = [
        include_str!("../../tests/reference/vision.json"),
        include_str!("../../tests/reference/backbones.json"),
        include_str!("../../tests/reference/text.json"),
    ];
    let made = all.into_iter().flat_map(|json| {
        let reference: Reference = serde_json::from_str(json).expect("it is made by a script");
        reference.made
    });
    made.collect()
}

/// Height and width of images for `network`, which are small.
pub(crate) fn side(network: &Network) -> usize {
    let least = network.least_image_size().max(16);
    network.image_size().unwrap_or(least)
}

/// Small models of every architecture, the smallest first.
///
/// # Panics
/// If an architecture has none.
pub(crate) fn small_models() -> Vec<SmallModel> {
    let mut fixtures: Vec<_> = fixtures().into_iter().map(Fixture::known).collect();
    fixtures.sort_by_key(|(_, size, _)| *size);
    let mut models = Vec::new();
    for row in ARCHITECTURES {
        let of_row: Vec<_> = fixtures
            .iter()
            .filter(|(name, ..)| *name == row.name)
            .collect();
        assert!(
            !of_row.is_empty(),
            "the architecture `{}` has no small model: let make_backbones.py or make_text.py find the shapes of one, or add tests/data/tiny-NAME",
            row.name
        );
        let small = of_row.iter().filter(|(_, size, _)| *size < SMALL).count();
        let chosen = of_row.into_iter().take(small.max(1));
        models.extend(chosen.map(|(_, size, fixture)| (*size, fixture.model(row.modality))));
    }
    models.sort_by_key(|(size, _)| *size);
    models.into_iter().map(|(_, model)| model).collect()
}

fn fixtures() -> Vec<Fixture> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let folders = std::fs::read_dir(data).expect("it is in the repository");
    let folders = folders.map(|entry| entry.expect("readable").path());
    let tiny = folders.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("tiny-") && path.is_dir()
    });
    let shapes = all_made().into_iter().map(Fixture::Shapes);
    shapes.chain(tiny.map(Fixture::Folder)).collect()
}

impl Fixture {
    /// With the name of its architecture and how many numbers it has.
    fn known(self) -> (&'static str, usize, Self) {
        let size = match &self {
            Self::Shapes(made) => {
                let shapes = made.tensors.values();
                shapes.map(|shape| shape.iter().product::<usize>()).sum()
            }
            Self::Folder(_) => 0,
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = match &self {
            Self::Shapes(made) => {
                write_config(folder.path(), &made.config).expect("written");
                folder.path()
            }
            Self::Folder(path) => path,
        };
        let opened = ModelFolder::open(path).expect("a model's folder");
        let name = architecture(&opened).expect("a known architecture").name;
        (name, size, self)
    }

    fn model(&self, modality: Modality) -> SmallModel {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (name, mut config) = match self {
            Self::Shapes(made) => {
                write_weights(&folder.path().join("model.safetensors"), &made.tensors);
                if modality == Modality::Texts {
                    write_tokenizer(folder.path(), &made.config);
                }
                (made.name.clone(), made.config.clone())
            }
            Self::Folder(path) => {
                copy_folder(path, folder.path()).expect("copied");
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let opened = ModelFolder::open(path).expect("a model's folder");
                (name.into_owned(), opened.config)
            }
        };
        for (key, value) in &mut config {
            if key.contains("dropout") {
                *value = 0.0.into();
            }
        }
        write_config(folder.path(), &config).expect("written");
        SmallModel {
            name,
            modality,
            folder,
        }
    }
}

/// The tokenizer of `tests/data/tiny-bert`. Where `config` names another padding token, it and that one have each other's ids.
fn write_tokenizer(folder: &Path, config: &Map<String, Value>) {
    const USUAL: u64 = 0;
    let json = include_str!("../../tests/data/tiny-bert/tokenizer.json");
    let mut json: Value = serde_json::from_str(json).expect("it is a tokenizer");
    let padding = config.get("pad_token_id").and_then(Value::as_u64);
    let padding = padding.expect("the config of a text network names it");
    let swapped = |id: &Value| match id.as_u64() {
        Some(USUAL) => Some(padding),
        Some(id) if id == padding => Some(USUAL),
        _ => None,
    };
    let added = json["added_tokens"].as_array_mut().expect("special tokens");
    let ids = added.iter_mut().map(|token| &mut token["id"]);
    ids.for_each(|id| *id = swapped(id).map_or(id.take(), Value::from));
    added.sort_by_key(|token| token["id"].as_u64());
    let vocabulary = json["model"]["vocab"].as_object_mut().expect("pieces");
    for id in vocabulary.values_mut() {
        *id = swapped(id).map_or(id.take(), Value::from);
    }
    assert!(padding < 2, "the tokens around a text keep their ids");
    write_new(&folder.join("tokenizer.json"), json.to_string().as_bytes()).expect("written");
}

/// Random weights with which the numbers in a network keep their size from layer to layer.
fn write_weights(path: &Path, tensors: &BTreeMap<String, Vec<usize>>) {
    let mut state = 1_u64;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bits = u16::try_from(state >> 48).expect("16 bits");
        f32::from(bits) / 32_768.0 - 1.0
    };
    let mut filled = Vec::new();
    for (name, shape) in tensors {
        let (middle, spread) = match (name.rsplit('.').next(), &shape[..]) {
            (Some("running_var"), _) => (1.0, 0.5),
            (Some("weight"), [_]) => (1.0, 0.1),
            (Some("weight"), [_, inputs @ ..]) => {
                let inputs = u16::try_from(inputs.iter().product::<usize>()).expect("small");
                (0.0, (4.0 / f32::from(inputs)).sqrt())
            }
            _ => (0.0, 0.1),
        };
        let numbers = (0..shape.iter().product()).map(|_| middle + spread * draw());
        let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
        filled.push((name, shape, bytes));
    }
    let views = filled.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes);
        (*name, view.expect("as many numbers as the shape says"))
    });
    safetensors::serialize_to_file(views, None, path).expect("written");
}
