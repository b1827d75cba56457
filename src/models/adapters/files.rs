//! Folders of adapters as peft writes them.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Lora, adapted_layer, is_adapter, renamed};
use crate::error::{Context, Error, Result};
use crate::models::folder::unmarked;
use crate::models::weights::{Checkpoint, list};

/// peft's file with the settings of adapters.
pub(in crate::models) const CONFIG_FILE: &str = "adapter_config.json";
/// peft's file with their numbers.
pub(in crate::models) const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// The same as a pickle.
const PICKLE: &str = "adapter_model.bin";
/// What stands before the names in it.
pub(in crate::models) const PREFIX: &str = "base_model.model.";

/// The settings that decide what adapters compute.
#[derive(Deserialize)]
struct PeftConfig {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
}

/// The settings that decide nothing once adapters are trained, or that the names of their tensors say as well.
const IDLE: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "use_dora",
    "use_rslora",
];

/// The adapters in `folder`, with what peft says of them, and all tensors there: adapters, and what is to stand in place of the base
/// model's own, by the names that `rename` gives those of a checkpoint.
///
/// # Errors
/// Files that are missing or damaged; adapters of another kind, or with settings that change what they compute in a way that refire does
/// not know.
pub(in crate::models) fn read(
    folder: &Path,
    rename: impl Fn(&str) -> String,
) -> Result<(Lora, Checkpoint)> {
    let config = config(&folder.join(CONFIG_FILE))?;
    let safetensors = folder.join(WEIGHTS_FILE);
    let file = if safetensors.exists() {
        safetensors
    } else {
        folder.join(PICKLE)
    };
    if !file.exists() {
        return Err(Error::stage(format!(
            "`{}` has no `{WEIGHTS_FILE}`",
            folder.display()
        ))
        .help("an adapter is a folder with peft's adapter_config.json and adapter_model.safetensors"));
    }
    let checkpoint = Checkpoint::open_file(&file, |name| {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        // Older versions of peft keep the magnitude as a layer's weight.
        let plain = name.strip_suffix(".weight").filter(|name| is_adapter(name));
        renamed(plain.unwrap_or(name), &rename)
    })?;
    let shapes = checkpoint.shapes();
    let layers = shapes.keys().filter_map(|name| adapted_layer(name));
    let layers: BTreeSet<String> = layers.map(|(layer, _)| layer.to_string()).collect();
    let strange = shapes
        .keys()
        .filter(|name| name.contains("lora_") && !is_adapter(name));
    let strange: Vec<String> = strange.map(ToString::to_string).collect();
    if layers.is_empty() || !strange.is_empty() {
        let error = Error::stage(format!(
            "`{}` holds no adapters of linear layers alone",
            file.display()
        ));
        return Err(if strange.is_empty() {
            error
        } else {
            error.note(format!("others: {}", list(&strange)))
        });
    }
    let lora = Lora {
        r: config.r,
        lora_alpha: config.lora_alpha,
        lora_dropout: config.lora_dropout,
        target_modules: layers.into_iter().collect(),
        use_rslora: config.use_rslora,
        use_dora: config.use_dora,
        modules_to_save: Vec::new(),
    };
    lora.check()
        .map_err(|(_, what)| Error::stage(format!("{CONFIG_FILE}: {what}")))?;
    Ok((lora, checkpoint))
}

/// What the file `path` says, as far as refire knows what it means.
fn config(path: &Path) -> Result<PeftConfig> {
    let cannot = || format!("`{}` describes no adapters", path.display());
    let bytes = std::fs::read(path).or_stage(cannot)?;
    let all: Map<String, Value> = serde_json::from_slice(unmarked(&bytes)).or_stage(cannot)?;
    let config: PeftConfig = serde_json::from_value(all.clone().into()).or_stage(cannot)?;
    if config.peft_type != "LORA" {
        return Err(Error::stage(format!(
            "{CONFIG_FILE}: the adapters are of the type `{}`, and refire knows `LORA` alone",
            config.peft_type
        )));
    }
    let is_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    let is_usual = |key: &str, value: &Value| match (key, value) {
        ("bias", Value::String(bias)) => bias == "none",
        // Where they begin; a word other than this one changes the base model.
        ("init_lora_weights", Value::String(how)) => how == "gaussian",
        ("init_lora_weights", Value::Bool(_)) => true,
        _ => IDLE.contains(&key) || is_nothing(value),
    };
    match all.iter().find(|(key, value)| !is_usual(key, value)) {
        Some((key, value)) => Err(Error::stage(format!(
            "{CONFIG_FILE}: `{key}` is {value}, and refire has no such adapters"
        ))
        .help("merge them in peft: `merge_and_unload`")),
        None => Ok(config),
    }
}
