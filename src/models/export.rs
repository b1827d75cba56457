//! A tuned model as Python's libraries load it: the names and files of transformers, sentence-transformers, torchvision and timm, and a
//! word on how.

mod adapter;
mod readme;
mod sentence;

use std::path::Path;

use burn::tensor::Device;
use serde_json::{Map, Value, json};

use super::folder::{self, ModelFolder};
use super::tokenizer::copy_tokenizer;
use super::{ImageInput, Loaded, Network, Pooling, Tokenizer, weights};
use crate::error::{Context, Error, Result};

pub use adapter::export_adapter;
use sentence::OwnClass;
pub(super) use sentence::{GUARD, OwnLayers};

/// What a folder is loaded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// transformers' `Auto…` class of this name.
    Transformers(&'static str),
    /// The same with a class that comes with the model, which pools in this way; sentence-transformers needs none.
    OwnClass(&'static str, Pooling),
    /// sentence-transformers, from the folder alone.
    SentenceTransformers,
    /// torchvision's function of the name that `architecture` in `config.json` has.
    Torchvision,
    /// timm's model of that name.
    Timm,
    /// The class of that name in a repository of models.
    Repository(&'static str),
}

/// Writes the tuned model in `folder` into the empty folder `to`, and returns how Python loads it. Adapters go into the weights of their
/// layers.
///
/// # Errors
/// A model that cannot be loaded or is not tuned; those of the disk.
pub fn export(folder: &Path, to: &Path) -> Result<String> {
    let Loaded {
        network, mut card, ..
    } = Network::open(folder, &Device::flex())?;
    let network = network.merged();
    card.lora = None;
    let takes_texts = network.vocabulary().is_some();
    if takes_texts {
        copy_tokenizer(folder, to)?;
    } else {
        folder::own_companions(folder, to)?;
    }
    network.save(to, &card)?;
    let library = network.library();
    let mut input = None;
    if takes_texts {
        let max_length = card.max_length.or(network.max_tokens());
        let pairs = card.tuned_by().word("text_pair_column").is_some()
            && library != Library::SentenceTransformers;
        let types = network.token_types().is_some_and(|types| types > 1);
        complete_tokenizer(to, max_length, pairs, types)?;
        let longest = max_length.unwrap_or_default();
        if let Library::OwnClass(_, pooling) = library {
            let own = OwnClass {
                pooling,
                names: network.names(),
                inner: network.inner(),
                max_length: longest,
            };
            own.complete(to)?;
        }
        if library == Library::SentenceTransformers {
            let pooling = network.pooling().unwrap_or(Pooling::Mean);
            sentence::complete_encoder(to, pooling, network.width(), longest)?;
        }
    } else {
        input = ImageInput::of(folder)?;
        input.map_or(Ok(()), |input| input.write(to))?;
    }
    let config = ModelFolder::open(to)?.config;
    let how = library.how(&config, card.labels.len());
    let photos = input.map(|input| readme::photos(&input, &config));
    let text = readme::text(&library, &network, &card, &how, photos.as_deref());
    weights::write_new(&to.join("README.md"), text.as_bytes())?;
    let cannot = || format!("cannot set the modes of the files in `{}`", to.display());
    readable(to).or_stage(cannot)?;
    Ok(how)
}

/// Gives the files in `folder` the mode 0644: they are for others, too.
#[cfg(unix)]
fn readable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            readable(&path)?;
        } else {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn readable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Says where texts are cut off, what the tokenizer is where nothing else says so, that it tells the texts of `pairs` apart, and that it does
/// not for a network that knows no `types` of tokens.
fn complete_tokenizer(
    to: &Path,
    max_length: Option<usize>,
    pairs: bool,
    types: bool,
) -> Result<()> {
    let path = to.join("tokenizer_config.json");
    let mut settings = folder::optional(&path)?.unwrap_or_default();
    // Without a class, transformers would look for one in config.json, and ask whether to trust what it names there.
    let class = settings.entry("tokenizer_class");
    class.or_insert_with(|| "PreTrainedTokenizerFast".into());
    if !settings.contains_key("pad_token") {
        let token = Tokenizer::load(to)?.pad_token();
        settings.extend(token.map(|token| ("pad_token".into(), Value::from(token))));
    }
    if let Some(longest) = max_length {
        settings.insert("model_max_length".into(), longest.into());
    }
    if !types {
        let names = ["input_ids", "attention_mask"];
        settings.insert("model_input_names".into(), json!(names));
    } else if pairs {
        let names = ["input_ids", "token_type_ids", "attention_mask"];
        settings.insert("model_input_names".into(), json!(names));
    }
    let mut json = serde_json::to_vec_pretty(&settings)
        .map_err(|error| Error::stage("cannot write the tokenizer's settings").because(&error))?;
    json.push(b'\n');
    weights::write_new(&path, &json)
}

impl Library {
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
            Self::SentenceTransformers => {
                "from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer(\".\")\n"
                    .into()
            }
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
