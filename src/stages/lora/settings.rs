//! The settings of `lora`, and the adapters that they come to for one network.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Spanned;
use crate::error::{Error, Result};
use crate::models::{Layers, Lora, Pattern};
use crate::stages::Port;

/// A model with adapters (LoRA, arXiv:2106.09685): small matrices beside those of its linear layers. When it is tuned, they and the head
/// train, and all else stays as it is. What comes of it holds the model's own files as they are, and a small one with what was trained.
///
/// The settings are called as in peft.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The model.
    pub(super) model: Port,
    /// A folder of adapters as peft or an `export` with `adapter = true` writes it, from a stage `pretrained` with the files
    /// `adapter_config.json` and `adapter_model.safetensors`: the model gets those, and the head that is there. Of the other
    /// settings `labels` alone goes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) adapter: Option<Port>,
    /// With `adapter`: the labels that its head is for, in the order of its outputs, unless the folder names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) labels: Option<Spanned<Vec<String>>>,
    /// The rank of the adapters: how many rows and columns their matrices have. Default: 8.
    #[schemars(range(min = 1))]
    r: Option<Spanned<usize>>,
    /// What the adapters add is multiplied by `lora_alpha` / `r`. Default: 8.
    #[schemars(extend("exclusiveMinimum" = 0))]
    lora_alpha: Option<Spanned<f64>>,
    /// The probability of dropout before the adapters. Default: 0.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    lora_dropout: Option<Spanned<f64>>,
    /// The linear layers that get an adapter: `"all-linear"`, or an array of names. A name is the end of a layer's name, such as `query` or
    /// `attention.self.query`, or a pattern of the whole name: `encoder.layer.1.*`, `re:encoder\.layer\.[01]\..*`. Default: all.
    target_modules: Option<Spanned<Targets>>,
    /// Whether what the adapters add is multiplied by `lora_alpha` / √`r` instead (arXiv:2312.03732). Default: false.
    use_rslora: Option<Spanned<bool>>,
    /// Whether the length of each row of a weight trains on its own, and the adapters change its direction (arXiv:2402.09353). Default:
    /// false.
    use_dora: Option<Spanned<bool>>,
    /// Parts of the model that train as a whole beside the adapters, named as `target_modules` are: `["embeddings.LayerNorm"]`. The head
    /// always does.
    modules_to_save: Option<Spanned<Vec<Spanned<String>>>>,
}

/// Which layers get an adapter.
#[derive(Debug, Clone)]
enum Targets {
    /// All linear layers below the head.
    AllLinear,
    /// Those that these patterns mean.
    Patterns(Vec<Spanned<String>>),
}

/// peft's word for all linear layers.
const ALL_LINEAR: &str = "all-linear";

/// As in peft.
const RANK: usize = 8;
const ALPHA: f64 = 8.0;

/// The value of a setting, or what it is where it is not written.
fn or<T: Clone>(setting: Option<&Spanned<T>>, default: T) -> T {
    setting.map_or(default, |setting| setting.value.clone())
}

/// `error` with the place of the setting that it is about, if that is written.
fn blame<T>(setting: Option<&Spanned<T>>, error: Error) -> Error {
    match setting {
        Some(setting) => setting.blame(error, ""),
        None => error,
    }
}

impl Settings {
    /// Refuses what cannot be meant.
    pub(super) fn check(&self) -> Result<()> {
        self.check_adapter()?;
        self.without_layers().check().map_err(|(name, what)| {
            let error = Error::usage(what);
            match name {
                "r" => blame(self.r.as_ref(), error),
                "lora_alpha" => blame(self.lora_alpha.as_ref(), error),
                _ => blame(self.lora_dropout.as_ref(), error),
            }
        })?;
        if let Some(targets) = &self.target_modules
            && let Targets::Patterns(patterns) = &targets.value
        {
            if patterns.is_empty() {
                let none =
                    Error::usage("`target_modules` is empty, so that no layer gets an adapter")
                        .help(
                            "leave it out for all linear layers, or name some, such as \"query\"",
                        );
                return Err(targets.blame(none, ""));
            }
            check_patterns(patterns)?;
        }
        check_patterns(self.saved())
    }

    /// Refuses what does not go with an adapter that is there already, or only with one.
    fn check_adapter(&self) -> Result<()> {
        let Some(adapter) = &self.adapter else {
            return match &self.labels {
                Some(labels) => Err(labels.blame(
                    Error::usage("`labels` is for an `adapter` that comes with a head")
                        .help("the labels of a new head stand in the stage `finetune`"),
                    "",
                )),
                None => Ok(()),
            };
        };
        let set = [
            ("r", self.r.is_some()),
            ("lora_alpha", self.lora_alpha.is_some()),
            ("lora_dropout", self.lora_dropout.is_some()),
            ("target_modules", self.target_modules.is_some()),
            ("use_rslora", self.use_rslora.is_some()),
            ("use_dora", self.use_dora.is_some()),
            ("modules_to_save", self.modules_to_save.is_some()),
        ];
        let labels = self.labels.iter().flat_map(|labels| &labels.value);
        let labels: Vec<&String> = labels.collect();
        let twice = |(at, label): (usize, &&String)| labels[..at].contains(label);
        let what = if self.labels.is_some() && labels.len() < 2 {
            Some("a classifier needs two labels".to_string())
        } else if labels.iter().any(|label| label.is_empty()) {
            Some("a label is empty".into())
        } else {
            let again = labels.iter().enumerate().find(|place| twice(*place));
            again.map(|(_, label)| format!("the label `{label}` comes twice"))
        };
        if let Some(what) = what {
            return Err(blame(self.labels.as_ref(), Error::usage(what)));
        }
        match set.iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => Err(adapter.0.blame(
                Error::usage(format!(
                    "`adapter` and `{name}` both say what the adapters are"
                ))
                .help("with `adapter`, its own adapter_config.json says it"),
                "",
            )),
            None => Ok(()),
        }
    }

    fn saved(&self) -> &[Spanned<String>] {
        let saved = self.modules_to_save.as_ref();
        saved.map_or(&[], |saved| &saved.value)
    }

    /// The adapters that these settings come to for a network with these `layers`.
    ///
    /// # Errors
    /// Patterns that mean nothing; a rank above the size of a layer; a layer that is to be saved as a whole, too.
    pub(super) fn adapters(&self, layers: &Layers) -> Result<Lora> {
        let targets = match or(self.target_modules.as_ref(), Targets::AllLinear) {
            Targets::AllLinear => layers
                .all()
                .map_err(|error| blame(self.target_modules.as_ref(), error))?,
            Targets::Patterns(patterns) => meant(&patterns, |text| layers.matching(text))?,
        };
        let saved = meant(self.saved(), |text| layers.to_save(text))?;
        let lora = Lora {
            target_modules: targets,
            modules_to_save: saved,
            ..self.without_layers()
        };
        layers
            .check_rank(&lora)
            .map_err(|error| blame(self.r.as_ref(), error))?;
        layers
            .check_saved(&lora)
            .map_err(|error| blame(self.modules_to_save.as_ref(), error))?;
        Ok(lora)
    }

    /// What they say of any network.
    fn without_layers(&self) -> Lora {
        Lora {
            r: or(self.r.as_ref(), RANK),
            lora_alpha: or(self.lora_alpha.as_ref(), ALPHA),
            lora_dropout: or(self.lora_dropout.as_ref(), 0.0),
            target_modules: Vec::new(),
            use_rslora: or(self.use_rslora.as_ref(), false),
            use_dora: or(self.use_dora.as_ref(), false),
            modules_to_save: Vec::new(),
        }
    }
}

fn check_patterns(patterns: &[Spanned<String>]) -> Result<()> {
    for pattern in patterns {
        Pattern::parse(&pattern.value).map_err(|error| pattern.blame(error, ""))?;
    }
    Ok(())
}

/// What `patterns` mean together, each name once, in the order in which they come.
fn meant(
    patterns: &[Spanned<String>],
    meaning: impl Fn(&str) -> Result<Vec<String>>,
) -> Result<Vec<String>> {
    let (mut seen, mut names) = (BTreeSet::new(), Vec::new());
    for pattern in patterns {
        let found = meaning(&pattern.value);
        let found = found.map_err(|error| pattern.blame(error, "means nothing"))?;
        names.extend(found.into_iter().filter(|name| seen.insert(name.clone())));
    }
    Ok(names)
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllOrSome;
        impl<'de> Visitor<'de> for AllOrSome {
            type Value = Targets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{ALL_LINEAR}\" or an array of names of layers")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Targets, E> {
                match text {
                    ALL_LINEAR => Ok(Targets::AllLinear),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Targets, A::Error> {
                let mut patterns = Vec::new();
                while let Some(pattern) = items.next_element()? {
                    patterns.push(pattern);
                }
                Ok(Targets::Patterns(patterns))
            }
        }
        deserializer.deserialize_any(AllOrSome)
    }
}

impl Serialize for Targets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AllLinear => ALL_LINEAR.serialize(serializer),
            Self::Patterns(patterns) => patterns.serialize(serializer),
        }
    }
}

impl JsonSchema for Targets {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Targets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "const": ALL_LINEAR },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
        })
    }
}
