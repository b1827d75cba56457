//! When layers begin to train, as it is written: by a switch, by epoch, or the head first.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Spanned;
use crate::error::{Error, Result};
use crate::train::{Depth, Unfreezing};

/// When layers begin to train.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::stages::finetune) enum GradualUnfreezing {
    /// One more in every epoch, or all at once.
    Switch(bool),
    /// From an epoch on, so many of the last ones.
    Table(BTreeMap<Epoch, Layers>),
}

/// The number of an epoch, counted from 1; a key of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(in crate::stages::finetune) struct Epoch(usize);

/// So many of the last layers, or `"all"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stages::finetune) struct Layers(Depth);

/// When layers begin to train.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub(in crate::stages::finetune) struct UnfreezingSettings {
    /// When layers begin to train. `true`: the head alone in the first epoch, and one layer more in each that follows, from the last
    /// layer to the first (arXiv:1801.06146). A table says from which epochs on how many of the last layers train, such as
    /// `{ 1 = 0, 3 = 2, 5 = "all" }`. What a `freeze` stage freezes stays frozen.
    #[serde(default)]
    pub(in crate::stages::finetune) gradual_unfreezing: Option<Spanned<GradualUnfreezing>>,
    /// The first so many of `epochs` train the head alone, the others the rest too. Not together with `gradual_unfreezing`.
    #[serde(default)]
    pub(in crate::stages::finetune) freeze_epochs: Option<Spanned<usize>>,
}

impl UnfreezingSettings {
    /// Refuses settings that contradict each other, and epochs that never come.
    pub(super) fn check(&self, epochs: usize) -> Result<()> {
        if let (Some(gradual), Some(freeze)) = (&self.gradual_unfreezing, &self.freeze_epochs) {
            let error = Error::usage(
                "`gradual_unfreezing` and `freeze_epochs` both say when layers begin to train",
            );
            return Err(gradual.blame_also(freeze, error).help("keep one of them"));
        }
        if let Some(freeze) = self.freeze_epochs.as_ref()
            && freeze.value >= epochs
        {
            let error = Error::usage(format!(
                "`freeze_epochs` is {} and `epochs` {epochs}: nothing but the head would ever train",
                freeze.value
            ));
            return Err(freeze.blame(error, "").help(
                "set more `epochs`, or freeze all but the head in a `freeze` stage: trainable_layers = 0",
            ));
        }
        match &self.gradual_unfreezing {
            Some(gradual) => gradual.value.check(gradual, epochs),
            None => Ok(()),
        }
    }

    /// When layers begin to train.
    pub(in crate::stages::finetune) fn unfreezing(&self) -> Unfreezing {
        let gradual = self.gradual_unfreezing.as_ref();
        match (gradual.map(|gradual| &gradual.value), &self.freeze_epochs) {
            (Some(GradualUnfreezing::Switch(true)), _) => Unfreezing::LayerByLayer,
            (Some(GradualUnfreezing::Table(table)), _) => {
                let table = table.iter();
                Unfreezing::ByEpoch(
                    table
                        .map(|(Epoch(epoch), Layers(depth))| (*epoch, *depth))
                        .collect(),
                )
            }
            (_, Some(epochs)) if epochs.value > 0 => {
                Unfreezing::ByEpoch(BTreeMap::from([(epochs.value + 1, Depth::All)]))
            }
            _ => Unfreezing::AtOnce,
        }
    }

    /// Adds the place of what [`unfreezing`](Self::unfreezing) comes from.
    pub(in crate::stages::finetune) fn blame(&self, error: Error) -> Error {
        match (&self.gradual_unfreezing, &self.freeze_epochs) {
            (Some(gradual), _) => gradual.blame(error, ""),
            (None, Some(epochs)) => epochs.blame(error, ""),
            (None, None) => error,
        }
    }
}

impl GradualUnfreezing {
    fn check(&self, place: &Spanned<Self>, epochs: usize) -> Result<()> {
        let Self::Table(table) = self else {
            return Ok(());
        };
        let refuse = |text: String| Err(place.blame(Error::usage(text), ""));
        let mut before: Option<(Epoch, Layers)> = None;
        for (epoch, layers) in table {
            if epoch.0 > epochs {
                return refuse(format!(
                    "`gradual_unfreezing` has epoch {}, but `epochs` is {epochs}",
                    epoch.0
                ));
            }
            if let Some((earlier, more)) = before
                && more.0 > layers.0
            {
                return refuse(format!(
                    "fewer layers train from epoch {} on than from epoch {}: layers do not freeze again",
                    epoch.0, earlier.0
                ));
            }
            before = Some((*epoch, *layers));
        }
        match before {
            Some(_) => Ok(()),
            None => refuse("`gradual_unfreezing` names no epoch".into()),
        }
    }
}

impl<'de> Deserialize<'de> for GradualUnfreezing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = GradualUnfreezing;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "true, or a table of layers by epoch such as { 1 = 0, 3 = 2, 5 = \"all\" }",
                )
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<GradualUnfreezing, E> {
                Ok(GradualUnfreezing::Switch(on))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GradualUnfreezing, A::Error> {
                let table = serde::de::value::MapAccessDeserializer::new(map);
                BTreeMap::deserialize(table).map(GradualUnfreezing::Table)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for GradualUnfreezing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Switch(on) => on.serialize(serializer),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

impl JsonSchema for GradualUnfreezing {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GradualUnfreezing".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "boolean" },
                {
                    "type": "object",
                    "propertyNames": { "pattern": "^[1-9][0-9]*$" },
                    "additionalProperties": {
                        "oneOf": [{ "type": "integer", "minimum": 0 }, { "const": "all" }],
                    },
                },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        let epoch = key.parse().ok().filter(|epoch| *epoch > 0);
        epoch.map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "`{key}` is not the number of an epoch, counted from 1"
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Layers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Layers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of layers, or \"all\"")
            }

            fn visit_i64<E: serde::de::Error>(self, layers: i64) -> Result<Layers, E> {
                usize::try_from(layers)
                    .map(|layers| Layers(Depth::Layers(layers)))
                    .map_err(|_| E::invalid_value(Unexpected::Signed(layers), &self))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Layers, E> {
                match word {
                    "all" => Ok(Layers(Depth::All)),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Layers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Depth::Layers(layers) => layers.serialize(serializer),
            Depth::All => serializer.serialize_str("all"),
        }
    }
}
