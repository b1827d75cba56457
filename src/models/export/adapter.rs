//! A tuned model's adapters and head alone, as a folder that peft loads onto the model that they were put on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::tensor::Device;
use serde_json::{Value, json};

use super::{Library, complete_tokenizer, readable};
use crate::error::{Context, Error, Result};
use crate::models::adapters::{self, CONFIG_FILE, PREFIX, WEIGHTS_FILE};
use crate::models::folder::{self, write_config};
use crate::models::tokenizer::copy_tokenizer;
use crate::models::{Card, ImageInput, Loaded, Lora, Network, Part, Problem, weights};

/// Writes the adapters and the head of the tuned model in `folder` into the empty folder `to`, and returns how Python loads them: what
/// trained, under peft's names, `adapter_config.json`, the model's `config.json` and what belongs to its inputs.
///
/// # Errors
/// A model that cannot be loaded, is not tuned, has no adapters, or is none of transformers' own classes; those of the disk.
pub fn export_adapter(folder: &Path, to: &Path) -> Result<String> {
    let Loaded { network, card, .. } = Network::open(folder, &Device::flex())?;
    let Some(lora) = network.lora() else {
        return Err(Error::stage("the model has no adapters")
            .help("leave `adapter` out: an export holds the whole model then"));
    };
    let Library::Transformers(class) = network.library() else {
        return Err(Error::stage(
            "the network is none of transformers' own classes, onto which peft loads adapters",
        )
        .help("leave `adapter` out: adapters are merged then; BERTs that pool by their pooler are such a class"));
    };
    if card.problem == Problem::MaskedLanguage {
        return Err(Error::stage(
            "the head for masked tokens has the vectors of all tokens, which peft would take for a part of the adapter",
        )
        .help("leave `adapter` out: adapters are merged then"));
    }
    if let Some(why) = network.not_for_peft() {
        return Err(Error::stage(format!("{why}, and peft would not find them"))
            .help("leave `adapter` out: adapters are merged then"));
    }
    write_config(to, &network.written_config(&card))?;
    if network.vocabulary().is_some() {
        copy_tokenizer(folder, to)?;
        let pairs = card.tuned_by().word("text_pair_column").is_some();
        let types = network.token_types().is_some_and(|types| types > 1);
        let longest = card.max_length.or(network.max_tokens());
        complete_tokenizer(to, longest, pairs, types)?;
    } else {
        folder::own_companions(folder, to)?;
        ImageInput::of(folder)?.map_or(Ok(()), |input| input.write(to))?;
    }
    card.write(to)?;
    write_weights(&network, &to.join(WEIGHTS_FILE))?;
    let config = peft_config(&network, lora, class);
    let mut json = serde_json::to_vec_pretty(&config)
        .map_err(|error| Error::stage("cannot write the settings of adapters").because(&error))?;
    json.push(b'\n');
    weights::write_new(&to.join(CONFIG_FILE), &json)?;
    let how = how(class);
    weights::write_new(&to.join("README.md"), readme(&how, &card).as_bytes())?;
    let cannot = || format!("cannot set the modes of the files in `{}`", to.display());
    readable(to).or_stage(cannot)?;
    Ok(how)
}

/// Writes what trained beside the model's own weights: the adapters, the head, and what was saved as a whole.
fn write_weights(network: &Network, path: &Path) -> Result<()> {
    let trained = network.parameters().into_iter();
    let trained = trained.filter(|known| known.used && (known.head || known.part != Part::Own));
    let trained: BTreeMap<String, String> = trained
        .map(|known| (known.full_name.clone(), network.in_memory(&known)))
        .collect();
    let names = network.names();
    let tensors = weights::named(network, |path| {
        let name = trained.get(&names.full(path))?;
        Some(format!("{PREFIX}{name}"))
    })?;
    weights::write_file(tensors, path)
}

/// peft's `LoraConfig` as it stands in a file.
fn peft_config(network: &Network, lora: &Lora, class: &str) -> Value {
    let parameters = network.parameters();
    let of_layers = parameters.iter().filter(|known| {
        let layer = adapters::layer(&known.name);
        known.used
            && layer.is_some_and(|layer| lora.target_modules.iter().any(|name| name == layer))
    });
    let targets = of_layers.filter_map(|known| {
        let name = network.in_memory(known);
        Some(adapters::layer(&name)?.to_string())
    });
    let targets: Vec<String> = targets.collect();
    let head = parameters.iter().filter(|known| known.head);
    let head = head.filter_map(|known| known.full_name.split('.').next());
    let saved = parameters
        .iter()
        .filter(|known| known.used && known.part == Part::Saved);
    let saved = saved.filter_map(|known| {
        let name = network.in_memory(known);
        Some(name.rsplit_once('.')?.0.to_string())
    });
    let saved: BTreeSet<String> = head.map(String::from).chain(saved).collect();
    let is_inside = |name: &str| {
        let mut parents = name.match_indices('.').map(|(dot, _)| &name[..dot]);
        parents.any(|parent| saved.contains(parent))
    };
    let saved: Vec<&String> = saved.iter().filter(|name| !is_inside(name)).collect();
    let task = match class {
        "AutoModelForSequenceClassification" => Some("SEQ_CLS"),
        "AutoModelForTokenClassification" => Some("TOKEN_CLS"),
        _ => None,
    };
    json!({
        "base_model_name_or_path": null,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_alpha": lora.lora_alpha,
        "lora_dropout": lora.lora_dropout,
        "modules_to_save": saved,
        "peft_type": "LORA",
        "r": lora.r,
        "target_modules": targets,
        "task_type": task,
        "use_dora": lora.use_dora,
        "use_rslora": lora.use_rslora,
    })
}

/// Python that loads the folder it stands in.
fn how(class: &str) -> String {
    format!(
        "from peft import PeftModel\nfrom transformers import AutoConfig, {class}\n\n\
         # The model that the adapters were put on.\nBASE = \"…\"\n\
         config = AutoConfig.from_pretrained(\".\")\n\
         model = {class}.from_pretrained(BASE, config=config)\n\
         model = PeftModel.from_pretrained(model, \".\")\n"
    )
}

fn readme(how: &str, card: &Card) -> String {
    let labels = card.labels.iter().enumerate();
    let labels: Vec<String> = labels
        .map(|(place, label)| format!("{place}. `{label}`\n"))
        .collect();
    let outputs = match labels.concat() {
        labels if labels.is_empty() => String::new(),
        labels => format!(
            "\n## What comes out\n\nAn output for each of these, in this order:\n\n{labels}"
        ),
    };
    format!(
        "Adapters and the head of a tuned model, which peft loads onto the model that they were put on.\n\n\
         ```python\n{how}```\n{outputs}"
    )
}
