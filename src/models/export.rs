//! A tuned model as Python's libraries load it: the names and files of transformers, torchvision and timm, and a word on how.

use std::path::Path;

use burn::tensor::Device;
use serde_json::{Map, Value, json};

use super::folder::{self, ModelFolder};
use super::{Card, Loaded, Network, Pooling, Tokenizer, weights};
use crate::error::{Error, Result};

/// The file with the class for poolings that transformers does not have.
const CLASS_FILE: &str = "modeling_refire.py";
const CLASS: &str = include_str!("export/modeling_refire.py");

/// What a folder is loaded by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// transformers' `Auto…` class of this name.
    Transformers(&'static str),
    /// The same with the class in [`CLASS_FILE`], which pools in this way.
    OwnClass(&'static str, Pooling),
    /// torchvision's function of the name that `architecture` in `config.json` has.
    Torchvision,
    /// timm's model of that name.
    Timm,
    /// The class of that name in a repository of models.
    Repository(&'static str),
}

/// Writes the tuned model in `folder` into the empty folder `to`, and returns how Python loads it.
///
/// # Errors
/// A model that cannot be loaded or is not tuned; those of the disk.
pub fn export(folder: &Path, to: &Path) -> Result<String> {
    let Loaded { network, card, .. } = Network::open(folder, &Device::flex())?;
    folder::own_companions(folder, to)?;
    network.save(to, &card)?;
    let library = network.library();
    if let Library::OwnClass(_, pooling) = library {
        let mut config = ModelFolder::open(to)?.config;
        name_own_class(&mut config, pooling);
        folder::write_config(to, &config)?;
        weights::write_new(&to.join(CLASS_FILE), CLASS.as_bytes())?;
    }
    if network.vocabulary().is_some() {
        complete_tokenizer(to, &network, &card)?;
    }
    let config = ModelFolder::open(to)?.config;
    let how = library.how(&config, card.labels.len());
    let text = format!("{}\n\n```python\n{how}```\n", library.about());
    weights::write_new(&to.join("README.md"), text.as_bytes())?;
    Ok(how)
}

/// Lets transformers find the class in the folder, and nothing else: a class of its own would pool in another way.
fn name_own_class(config: &mut Map<String, Value>, pooling: Pooling) {
    let place = |class: &str| format!("modeling_refire.{class}");
    let model = "RefireBertForSequenceClassification";
    config.insert("model_type".into(), "refire-bert".into());
    config.insert("architectures".into(), json!([model]));
    config.insert(
        "auto_map".into(),
        json!({
            "AutoConfig": place("RefireBertConfig"),
            "AutoModelForSequenceClassification": place(model),
        }),
    );
    config.insert("pooling".into(), pooling.name().into());
}

/// Says where texts are cut off, and what the tokenizer is where nothing else says so.
fn complete_tokenizer(to: &Path, network: &Network, card: &Card) -> Result<()> {
    let path = to.join("tokenizer_config.json");
    let mut settings = if let Some(settings) = folder::optional(&path)? {
        settings
    } else {
        let mut settings = Map::new();
        settings.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
        if let Some(token) = Tokenizer::load(to)?.pad_token() {
            settings.insert("pad_token".into(), token.into());
        }
        settings
    };
    if let Some(longest) = card.max_length.or(network.max_tokens()) {
        settings.insert("model_max_length".into(), longest.into());
    }
    let mut json = serde_json::to_vec_pretty(&settings)
        .map_err(|error| Error::stage("cannot write the tokenizer's settings").because(&error))?;
    json.push(b'\n');
    weights::write_new(&path, &json)
}

impl Library {
    /// What kind of folder it is, in a sentence or two.
    fn about(&self) -> &'static str {
        match self {
            Self::Transformers(_) => "A model that transformers loads by itself.",
            Self::OwnClass(..) => {
                "A model for transformers. It pools the states of a text's tokens in a way that transformers has no class \
                 for, so the class comes with it, in `modeling_refire.py`; `trust_remote_code=True` lets transformers run it."
            }
            Self::Torchvision => "Weights with torchvision's names.",
            Self::Timm => "A model that timm loads by itself.",
            Self::Repository(_) => "Weights with the names of a repository of models.",
        }
    }

    /// Python that loads the folder it stands in.
    fn how(&self, config: &Map<String, Value>, labels: usize) -> String {
        let name = config.get("architecture").and_then(Value::as_str);
        let name = name.unwrap_or_default();
        match self {
            Self::Transformers(class) => format!(
                "from transformers import {class}\n\nmodel = {class}.from_pretrained(\".\")\n"
            ),
            Self::OwnClass(class, _) => format!(
                "from transformers import {class}\n\nmodel = {class}.from_pretrained(\".\", trust_remote_code=True)\n"
            ),
            Self::Torchvision => format!(
                "import torchvision\nfrom safetensors.torch import load_file\n\n\
                 model = torchvision.models.{name}(num_classes={labels})\n\
                 model.load_state_dict(load_file(\"model.safetensors\"), strict=True)\n"
            ),
            Self::Timm => {
                "import timm\n\nmodel = timm.create_model(\"local-dir:.\", pretrained=True)\n"
                    .into()
            }
            Self::Repository(repository) => format!(
                "from safetensors.torch import load_file\n\n\
                 # The class {name} of {repository}, with {labels} classes\n\
                 model.load_state_dict(load_file(\"model.safetensors\"), strict=True)\n"
            ),
        }
    }
}
