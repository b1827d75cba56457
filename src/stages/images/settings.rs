//! The settings of `images`, and what they describe together.

mod resize;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use regex::Regex;
pub(super) use resize::Resize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::Spanned;
use crate::data::images::{
    CropMargin, Exclude, Interpolation, Labelling, OnError, Preparation, ResizeMode, Transform,
    Wanted,
};
use crate::error::{Error, Result};
use crate::sources::Sha256;
use crate::stages::Port;

/// Photos as squares of one size, each with a label. JPEG, PNG, WebP, BMP and GIF (its first frame) are read by their
/// content, turned as their Exif orientation says, converted to RGB (transparency is dropped), resized as `resize` says, and cut to a
/// square from the centre: as the folder of `model` asks, where one is named.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Where the images are: a folder, an archive by its path, `https://host/archive.zip#folder`,
    /// `npm:name@version#folder`, `pip:name==version#folder`; or a Parquet file with the images inside. The label of an
    /// image is the first folder of its path, unless `label_pattern` or `table` says otherwise.
    pub(super) source: Option<Spanned<String>>,
    /// The digest of the archive or the Parquet file: `sha256:` and 64 hexadecimal digits.
    pub(super) sha256: Option<Spanned<Sha256>>,
    /// Instead of `source`: files that another stage makes.
    pub(super) files: Option<Port>,
    /// A table that names images by their path within `source` or `files`, with a label each; or, without these two, a table
    /// with the images inside.
    pub(super) table: Option<Port>,
    /// The column of `table` with the paths. Default: `path`.
    pub(super) path_column: Option<Spanned<String>>,
    /// The column with the images inside: bytes, or structs with a field `bytes`. Default: `image`.
    pub(super) image_column: Option<Spanned<String>>,
    /// The column with the labels. Default: `label`.
    pub(super) label_column: Option<Spanned<String>>,
    /// A regular expression for the path of an image within `source` or `files`. The label is what its first group
    /// matches, or all of it: `^([A-Z])` for the first letter. Images that it does not match are left out.
    pub(super) label_pattern: Option<Spanned<String>>,
    /// The labels that count: `["cats", "dogs"]`; other images are left out. A table gives them other names:
    /// `{ P = "fish", E = "fruit" }`. Default: all that there are.
    pub(super) labels: Option<Spanned<Labels>>,
    /// Images to leave out: globs over their names, or, if they hold a `/`, over their paths within `source` or `files`, in any case:
    /// `["*.gif", "cats/old/*"]`.
    pub(super) exclude: Option<Vec<Spanned<String>>>,
    /// A model of images, whose folder says how photos are to be prepared. `size`, `resize` and `interpolation` default to that.
    pub(super) model: Option<Port>,
    /// The side of the square, in pixels. Default: what `model` asks for, else 224.
    pub(super) size: Option<Spanned<u32>>,
    /// What a photo is resized to before the square is cut out: `256`, the shorter side to so many pixels; `"shorter"`, to the usual
    /// length, `size` × 256 / 224, rounded down; `"squash"`, both sides to `size`, whatever that does to the proportions;
    /// `{ squash = 256 }`, both to so many pixels. Default: what `model` asks for, else `"shorter"`.
    pub(super) resize: Option<Spanned<Resize>>,
    /// How pixels between pixels are estimated: `bilinear` or `bicubic`, both antialiased. Default: what `model` asks for, else
    /// `bilinear`.
    pub(super) interpolation: Option<Interpolation>,
    /// What becomes of images that cannot be read: `error` looks at all images, names those and makes nothing, `skip` names them and
    /// leaves them out. The stage's log lists all of them.
    #[serde(default)]
    pub(super) on_error: OnError,
    /// The most pixels that an image may have. Larger ones are not decoded and count as images that cannot be read.
    #[serde(default = "default_max_pixels")]
    pub(super) max_pixels: Spanned<u64>,
}

/// What is done to photos where nothing says otherwise: what torchvision's ImageNet weights expect.
const USUAL: Transform = Transform {
    size: 224,
    resize: 256,
    mode: ResizeMode::Shorter,
    margin: CropMargin::Even,
    interpolation: Interpolation::Bilinear,
};

/// The largest side of a square, in pixels.
const LARGEST: u32 = 4096;

fn default_max_pixels() -> Spanned<u64> {
    50_000_000.into()
}

/// Label as found → its name.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Labels(BTreeMap<String, String>);

/// How images and labels belong together.
#[derive(Debug)]
pub(super) enum Layout {
    /// Files, with the label in their path.
    Files(Labelling),
    /// Files that a table names: the columns of their paths and labels.
    Listed { paths: String, labels: String },
    /// Bytes in a Parquet file: the columns of the images and their labels.
    Embedded { images: String, labels: String },
}

impl Settings {
    /// Fills in the defaults and says what the settings describe.
    ///
    /// # Errors
    /// Settings that do not belong together, and values that cannot be meant.
    pub(super) fn complete(&mut self) -> Result<Layout> {
        let layout = self.layout()?;
        self.refuse_strays(&layout)?;
        self.excluded()?;
        self.check_sizes()?;
        if self.model.is_none() {
            self.fill_in(USUAL)?;
        }
        Ok(layout)
    }

    /// Says what is done to every image, where nothing is set what `default` does.
    ///
    /// # Errors
    /// Sizes that do not fit each other.
    pub(super) fn transform(&self, default: Transform) -> Result<Transform> {
        let size = self.size.as_ref().map_or(default.size, |size| size.value);
        let usual = |mode: ResizeMode| match mode {
            _ if mode == default.mode => default.at(size).resize,
            ResizeMode::Shorter => Transform::usual_resize(size),
            ResizeMode::Squash => size,
        };
        let resize = self.resize.as_ref().map(|resize| resize.value);
        let mode = resize.map_or(default.mode, |resize| resize.mode);
        let resize = resize.and_then(|resize| resize.pixels);
        let transform = Transform {
            size,
            resize: resize.unwrap_or_else(|| usual(mode)),
            mode,
            margin: default.margin,
            interpolation: self.interpolation.unwrap_or(default.interpolation),
        };
        if transform.resize < size {
            let error = Error::usage(format!(
                "`resize` must be from `size` ({size}) to {} pixels",
                2 * LARGEST
            ));
            return Err(match &self.resize {
                Some(resize) => resize.blame(error, ""),
                None => error,
            });
        }
        Ok(transform)
    }

    /// Sets what is not set to what `default` does, so that a default and the same value written out are one.
    fn fill_in(&mut self, default: Transform) -> Result<()> {
        let transform = self.transform(default)?;
        self.size.get_or_insert_with(|| transform.size.into());
        self.interpolation = Some(transform.interpolation);
        let exact = Resize {
            mode: transform.mode,
            pixels: Some(transform.resize),
        };
        match &mut self.resize {
            Some(resize) => resize.value = exact,
            none => *none = Some(exact.into()),
        }
        Ok(())
    }

    fn layout(&mut self) -> Result<Layout> {
        let parquet = self.source.as_ref();
        let parquet = parquet.filter(|source| is_parquet(&source.value));
        if let (Some(source), Some(Port(files))) = (&self.source, &self.files) {
            let error = Error::usage("`source` and `files` both say where the images are");
            return Err(source.blame_also(files, error));
        }
        if let (Some(source), Some(Port(table))) = (parquet, &self.table) {
            return Err(source.blame_also(table, Error::usage("`source` is a table already")));
        }
        let files = parquet.is_none() && (self.source.is_some() || self.files.is_some());
        let table = parquet.is_some() || self.table.is_some();
        let column = |setting: &mut Option<Spanned<String>>, default: &str| {
            let filled = setting.get_or_insert_with(|| default.to_owned().into());
            filled.value.clone()
        };
        match (files, table) {
            (false, false) => Err(Error::usage("nothing says where the images are")
                .help("add `source` (a folder, an archive, a package), `files` or `table`")),
            (true, false) => Ok(Layout::Files(self.labelling()?)),
            (true, true) => Ok(Layout::Listed {
                paths: column(&mut self.path_column, "path"),
                labels: column(&mut self.label_column, "label"),
            }),
            (false, true) => Ok(Layout::Embedded {
                images: column(&mut self.image_column, "image"),
                labels: column(&mut self.label_column, "label"),
            }),
        }
    }

    /// Refuses settings that nothing would read.
    fn refuse_strays(&self, layout: &Layout) -> Result<()> {
        let is = |files: bool, listed: bool, embedded: bool| match layout {
            Layout::Files(_) => files,
            Layout::Listed { .. } => listed,
            Layout::Embedded { .. } => embedded,
        };
        let settings = [
            (
                "path_column",
                &self.path_column,
                is(false, true, false),
                "`table` with `source` or `files`",
            ),
            (
                "image_column",
                &self.image_column,
                is(false, false, true),
                "a table with the images inside",
            ),
            (
                "label_column",
                &self.label_column,
                is(false, true, true),
                "`table`",
            ),
            (
                "label_pattern",
                &self.label_pattern,
                is(true, false, false),
                "files without a `table`",
            ),
        ];
        for (name, setting, fits, what) in settings {
            if let (Some(setting), false) = (setting, fits) {
                let error = Error::usage(format!("`{name}` is for {what}"));
                return Err(setting.blame(error, ""));
            }
        }
        if let (Some(pattern), Layout::Embedded { .. }) =
            (self.exclude.iter().flatten().next(), layout)
        {
            let error =
                Error::usage("`exclude` is for files, not for a table with the images inside");
            return Err(pattern.blame(error, ""));
        }
        match (&self.sha256, &self.source) {
            (Some(sha256), None) => Err(sha256.blame(Error::usage("`sha256` is for `source`"), "")),
            _ => Ok(()),
        }
    }

    fn check_sizes(&self) -> Result<()> {
        if let Some(size) = &self.size
            && !(1..=LARGEST).contains(&size.value)
        {
            let error = Error::usage(format!("`size` must be from 1 to {LARGEST} pixels"));
            return Err(size.blame(error, ""));
        }
        if let Some(resize) = &self.resize
            && let Some(pixels) = resize.value.pixels
            && !(1..=2 * LARGEST).contains(&pixels)
        {
            let error = Error::usage(format!(
                "`resize` must be from `size` to {} pixels",
                2 * LARGEST
            ));
            return Err(resize.blame(error, ""));
        }
        Ok(())
    }

    /// What matches the images to leave out, pattern by pattern.
    ///
    /// # Errors
    /// A pattern that is no glob.
    pub(super) fn excluded(&self) -> Result<Exclude> {
        let mut exclude = Exclude::default();
        for pattern in self.exclude.iter().flatten() {
            exclude.add(&pattern.value).map_err(|cause| {
                let message = format!("`{}` is not a valid glob", pattern.value);
                pattern.blame(Error::usage(message).cause(cause), "")
            })?;
        }
        Ok(exclude)
    }

    fn labelling(&self) -> Result<Labelling> {
        let Some(pattern) = &self.label_pattern else {
            return Ok(Labelling::Folder);
        };
        let read = Regex::new(&pattern.value).map_err(|error| {
            let wrong = Error::usage("`label_pattern` is not a regular expression");
            pattern.blame(wrong.because(&error), "")
        })?;
        Ok(Labelling::Pattern(read))
    }

    /// The labels that count.
    pub(super) fn wanted(&self) -> Wanted {
        self.labels.as_ref().map(|labels| labels.value.0.clone())
    }

    /// How images are made ready by `transform`.
    pub(super) fn preparation(&self, transform: Transform) -> Preparation {
        Preparation {
            transform,
            max_pixels: self.max_pixels.value,
            on_error: self.on_error,
        }
    }

    /// What is done to every image where no `model` says how.
    pub(super) fn usual(&self) -> Result<Transform> {
        self.transform(USUAL)
    }

    /// What stands after `#` in `source`: it counts even where the bytes of the archive are known.
    pub(super) fn part_of_source(&self) -> Option<&str> {
        let source = self.source.as_ref()?;
        source.value.split_once('#').map(|(_, part)| part)
    }
}

/// Whether a source is a Parquet file by its name.
fn is_parquet(source: &str) -> bool {
    let ending = Path::new(source).extension();
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedOrRenamed;
        impl<'de> Visitor<'de> for NamedOrRenamed {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of labels, or a table of labels and their names")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Labels, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some(label) = items.next_element::<String>()? {
                    labels.insert(label.clone(), label);
                }
                Labels::checked(labels)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Labels, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some((label, name)) = entries.next_entry()? {
                    labels.insert(label, name);
                }
                Labels::checked(labels)
            }
        }
        deserializer.deserialize_any(NamedOrRenamed)
    }
}

impl Labels {
    fn checked<E: serde::de::Error>(labels: BTreeMap<String, String>) -> Result<Self, E> {
        if labels.is_empty() {
            return Err(E::custom("no label is named"));
        }
        if labels.values().any(|name| name.trim().is_empty()) {
            return Err(E::custom("the name of a label is empty"));
        }
        Ok(Self(labels))
    }
}

impl JsonSchema for Labels {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                { "type": "object", "additionalProperties": { "type": "string" }, "minProperties": 1 },
            ],
        })
    }
}
