//! The settings of `split` as they are written.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{IMAGES, TABLE};
use crate::config::Spanned;
use crate::data::split::Portion;
use crate::error::{Error, Result};
use crate::names;
use crate::stages::{ArtifactType, Port};

/// Parts of a table, or of images. Rows and images keep their order within each part.
///
/// Images have the columns `label`, `path` and `content`, a digest of the pixels.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The table.
    pub(super) table: Option<Port>,
    /// Instead of a table: images.
    pub(super) images: Option<Port>,
    /// The parts and their shares, which sum to 1: `{ train = 0.8, test = 0.2 }`. Each is an output.
    ///
    /// A part may be so many rows of each label instead: `{ few = { per_label = 8 }, test = 0.2 }`, where `stratify` names the column
    /// of the labels. Such parts are the first rows of each label in one order, so that 8 a label are among 32 a label, and no
    /// such number moves a row into or out of a share. Shares are of all rows, and may then sum to less than 1: the rest is in no part.
    pub(super) parts: Spanned<Parts>,
    /// A column whose values are spread over the parts alike, each to rounding: the labels. `per_label` counts its values.
    pub(super) stratify: Option<Spanned<String>>,
    /// A column whose equal values stay in one part: patients, authors. The shares are as close as whole groups allow.
    pub(super) group: Option<Spanned<String>>,
    /// A column by whose value alone the part is chosen, by a hash of it and the seed: rows that are added or taken
    /// away later move no other row. The shares are true on average.
    pub(super) by: Option<Spanned<String>>,
    /// Whether rows are dealt out at random. If not, the first rows are the first part, and so on; with `stratify`,
    /// the first rows of each class. Default: true.
    pub(super) shuffle: Option<Spanned<bool>>,
    /// The columns by which rows count as copies of each other in the notice about copies in different parts.
    /// Default: all columns of a table, the content of images.
    pub(super) duplicates_by: Option<Spanned<Vec<String>>>,
}

/// Names and sizes of the parts, in the order of the file, on which the result depends.
#[derive(Debug, Clone)]
pub(super) struct Parts(pub(super) Vec<(String, Spanned<Size>)>);

/// How large a part is.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum Size {
    /// A share of all rows.
    Share(f64),
    /// So many rows of each label.
    PerLabel(PerLabel),
}

/// So many rows of each label.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PerLabel {
    pub(super) per_label: usize,
}

impl Parts {
    pub(super) fn check(&self) -> Result<()> {
        for (name, size) in &self.0 {
            names::check(name, "a part").map_err(|error| size.blame(error, ""))?;
            let wrong = match size.value {
                // Not a number is refused, too.
                Size::Share(share) if !(share > 0.0 && share <= 1.0) => {
                    format!("the share of part `{name}` must be above 0 and at most 1")
                }
                Size::PerLabel(PerLabel { per_label: 0 }) => {
                    format!("`per_label` of part `{name}` must be 1 or more")
                }
                _ => continue,
            };
            return Err(size.blame(Error::usage(wrong), ""));
        }
        let sum: f64 = self
            .0
            .iter()
            .filter_map(|(_, size)| size.value.share())
            .sum();
        let rounded = (sum * 1e6).round() / 1e6;
        match self.per_label() {
            None if (sum - 1.0).abs() > 1e-9 => Err(Error::usage(format!(
                "the shares of `parts` sum to {rounded}, not to 1"
            ))),
            Some((name, size)) if sum > 1.0 - 1e-9 => {
                let error = Error::usage(format!(
                    "the shares of `parts` sum to {rounded}, which leaves no row for part `{name}`"
                ));
                Err(size.blame(error, ""))
            }
            _ => Ok(()),
        }
    }

    /// The first part that is so many rows of each label.
    pub(super) fn per_label(&self) -> Option<&(String, Spanned<Size>)> {
        self.0.iter().find(|(_, size)| size.value.share().is_none())
    }

    /// What each part gets of each class.
    pub(super) fn portions(&self) -> Vec<Portion> {
        let portion = |(_, size): &(String, Spanned<Size>)| match size.value {
            Size::Share(share) => Portion::Share(share),
            Size::PerLabel(PerLabel { per_label }) => Portion::Count(per_label),
        };
        self.0.iter().map(portion).collect()
    }

    /// The shares of the parts, if all of them are shares.
    pub(super) fn shares(&self) -> Option<Vec<f64>> {
        self.0.iter().map(|(_, size)| size.value.share()).collect()
    }
}

impl Size {
    fn share(self) -> Option<f64> {
        match self {
            Self::Share(share) => Some(share),
            Self::PerLabel(_) => None,
        }
    }
}

impl Settings {
    /// The port and the type of what is split, and where it comes from.
    pub(super) fn whole(&self) -> Result<(&'static str, ArtifactType, &Port)> {
        match (&self.table, &self.images) {
            (Some(table), None) => Ok((TABLE, ArtifactType::Table, table)),
            (None, Some(images)) => Ok((IMAGES, ArtifactType::Images, images)),
            (Some(Port(table)), Some(Port(images))) => Err(images.blame_also(
                table,
                Error::usage("`table` and `images` both say what to split"),
            )),
            (None, None) => {
                Err(Error::usage("missing key `table`")
                    .help("name a `table`, or `images`, to split"))
            }
        }
    }

    /// Two ways to deal rows out cannot both be followed.
    pub(super) fn refuse_conflicts(&self) -> Result<()> {
        let ways = [
            ("stratify", &self.stratify),
            ("group", &self.group),
            ("by", &self.by),
        ];
        let mut set = ways
            .iter()
            .filter_map(|(name, way)| Some((*name, way.as_ref()?)));
        if let (Some((one, first)), Some((other, second))) = (set.next(), set.next()) {
            let error = Error::usage(format!("`{one}` and `{other}` cannot be used together"));
            let help = match (one, other) {
                ("stratify", "group") => {
                    "whole groups cannot keep every class in proportion: choose one of the two"
                }
                ("stratify", _) => {
                    "a hash knows nothing about other rows of the class: choose one of the two"
                }
                _ => {
                    "`by` keeps equal values in one part already: use `by` with the column of the groups"
                }
            };
            return Err(first.blame_also(second, error).help(help));
        }
        if let Some(shuffle) = &self.shuffle
            && let Some((name, way)) = ways[1..]
                .iter()
                .find_map(|(name, way)| Some((*name, way.as_ref()?)))
        {
            let error = Error::usage(format!("`shuffle` means nothing with `{name}`"));
            return Err(shuffle.blame_also(way, error).help("leave `shuffle` out"));
        }
        if let Some((_, size)) = self.parts.value.per_label()
            && self.stratify.is_none()
        {
            return Err(
                match ways[1..]
                    .iter()
                    .find_map(|(name, way)| Some((*name, way.as_ref()?)))
                {
                    Some((name, way)) => {
                        let error = Error::usage(format!(
                            "`per_label` and `{name}` cannot be used together"
                        ));
                        let help = match name {
                            "group" => {
                                "whole groups cannot give exactly so many rows of each label: use shares"
                            }
                            _ => "a hash knows nothing about other rows of the label: use shares",
                        };
                        size.blame_also(way, error).help(help)
                    }
                    None => size
                        .blame(
                            Error::usage("`per_label` needs the column of the labels"),
                            "",
                        )
                        .help("name it with `stratify`"),
                },
            );
        }
        Ok(())
    }

    pub(super) fn shuffle(&self) -> bool {
        self.shuffle.as_ref().is_none_or(|shuffle| shuffle.value)
    }
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartsVisitor;

        impl<'de> Visitor<'de> for PartsVisitor {
            type Value = Parts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of parts and shares")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
                let mut parts: Vec<(String, Spanned<Size>)> = Vec::new();
                while let Some(part) = map.next_entry()? {
                    parts.push(part);
                }
                parts.sort_by_key(|(_, size)| size.span.as_ref().map(|span| span.range.start));
                Ok(Parts(parts))
            }
        }

        deserializer.deserialize_map(PartsVisitor)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;

        impl<'de> Visitor<'de> for SizeVisitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share or a table with `per_label`")
            }

            fn visit_f64<E: de::Error>(self, share: f64) -> Result<Size, E> {
                Ok(Size::Share(share))
            }

            #[expect(
                clippy::cast_precision_loss,
                reason = "a share is refused unless it is 1"
            )]
            fn visit_i64<E: de::Error>(self, share: i64) -> Result<Size, E> {
                Ok(Size::Share(share as f64))
            }

            #[expect(
                clippy::cast_precision_loss,
                reason = "a share is refused unless it is 1"
            )]
            fn visit_u64<E: de::Error>(self, share: u64) -> Result<Size, E> {
                Ok(Size::Share(share as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Size, A::Error> {
                PerLabel::deserialize(MapAccessDeserializer::new(map)).map(Size::PerLabel)
            }
        }

        deserializer.deserialize_any(SizeVisitor)
    }
}

impl Serialize for Parts {
    /// As an array, because the order counts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for Parts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Parts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "anyOf": [
                    { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
                    {
                        "type": "object",
                        "properties": {
                            "per_label": {
                                "description": "How many rows of each label.",
                                "type": "integer",
                                "minimum": 1,
                            },
                        },
                        "required": ["per_label"],
                        "additionalProperties": false,
                    },
                ],
            },
        })
    }
}
