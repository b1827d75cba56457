//! `images`: photos → squares of one size with a label each, ready for training.

mod settings;

use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator};
use settings::{Layout, Settings};

use super::{
    ArtifactType, Download, Files, Input, LocalFile, Output, Port, Stage, StageContext, StageKind,
};
use crate::config::{self, from_table};
use crate::data::images::{
    Broken, Embedded, Item, Listing, OnError, Transform, Writer, batch_len, endings, list,
    list_table,
};
use crate::data::{self, Table};
use crate::error::{Context, Error, Result, Span};
use crate::fingerprint::{Manifest, describe};
use crate::inputs;
use crate::models::ImageInput;
use crate::sources::{self, Sha256, Source};

/// The kind `images`.
pub(super) struct ImagesKind;

const IMAGES: &str = "images";
const FILES: &str = "files";
const TABLE: &str = "table";
const MODEL: &str = "model";

/// How many names a notice or an error holds.
const NAMED: usize = 5;

impl StageKind for ImagesKind {
    fn name(&self) -> &'static str {
        "images"
    }

    fn about(&self) -> &'static str {
        "decodes photos and cuts them to squares of one size, with a label each"
    }

    /// To be raised when any image may decode or resize to other pixels: with a decoder crate's version too, unless its
    /// pixels are the same for every file in `tests/data/images`. 2: the file says how images were made.
    fn version(&self) -> u32 {
        2
    }

    fn parse(&self, table: &config::Table) -> Result<Box<dyn Stage>> {
        let mut settings: Settings = from_table(table)?;
        let source = match &settings.source {
            Some(source) => {
                let span = source.span.as_ref().unwrap_or(&table.span);
                Some((sources::parse(&source.value, Some(span))?, span.clone()))
            }
            None => None,
        };
        let layout = settings
            .complete()
            .map_err(|error| error.or_at(&table.span, ""))?;
        Ok(Box::new(Images {
            settings,
            source,
            layout,
        }))
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Settings>()
    }
}

struct Images {
    /// With all defaults filled in.
    settings: Settings,
    source: Option<(Source, Span)>,
    layout: Layout,
}

impl Stage for Images {
    fn inputs(&self) -> Vec<Input> {
        let input = |port: &str, accepts, from: &Option<Port>| {
            from.as_ref().map(|from| Input {
                port: port.into(),
                accepts,
                from: from.clone(),
            })
        };
        let files = input(FILES, &[ArtifactType::Files], &self.settings.files);
        let table = input(TABLE, &[ArtifactType::Table], &self.settings.table);
        let model = input(MODEL, &[ArtifactType::Model], &self.settings.model);
        files.into_iter().chain(table).chain(model).collect()
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::new(IMAGES, ArtifactType::Images)]
    }

    fn files(&self) -> Vec<LocalFile> {
        let source = self
            .source
            .iter()
            .filter(|_| self.settings.sha256.is_none());
        let local = source.filter_map(|(source, span)| {
            Some(LocalFile {
                role: "source".into(),
                path: source.local_path()?.into(),
                span: span.clone(),
            })
        });
        local.collect()
    }

    fn downloads(&self) -> Vec<Download> {
        let source = self.source.iter().map(|(source, _)| source);
        let remote = source.filter(|source| source.local_path().is_none());
        let pinned = self.settings.sha256.as_ref();
        let download = |source: &Source| Download {
            from: vec![source.to_string()],
            files: Files::Archive,
            bytes: pinned.and_then(|sha256| sources::known_size(&sha256.value)),
        };
        remote.map(download).collect()
    }

    fn describe(&self, key: &mut dyn Manifest) {
        let known = match &self.source {
            Some(_) if self.settings.sha256.is_some() => Some("the bytes are pinned by sha256"),
            Some((source, _)) if source.local_path().is_some() => {
                Some("the files enter by their content")
            }
            _ => None,
        };
        let path = self
            .source
            .as_ref()
            .is_some_and(|(source, _)| source.is_path());
        if known.is_some()
            && !path
            && let Some(part) = self.settings.part_of_source()
        {
            key.setting("part_of_source", &part.into());
        }
        let skipped: Vec<_> = known.map(|reason| ("source", reason)).into_iter().collect();
        describe(key, &self.settings, &skipped);
    }

    fn check(&self) -> Result<()> {
        let Some((source, span)) = &self.source else {
            return Ok(());
        };
        let Some(path) = source.local_path() else {
            return Ok(());
        };
        let wrong = |message: String| Err(Error::usage(message).at(span, ""));
        if !path.exists() {
            return wrong(format!("`{}` does not exist", path.display()));
        }
        match &self.settings.sha256 {
            Some(sha256) if path.is_dir() => {
                let error =
                    Error::usage("`sha256` is for archives and Parquet files, not for folders");
                Err(sha256.blame(error, ""))
            }
            _ => Ok(()),
        }
    }

    fn run(&self, cx: &mut StageContext<'_>) -> Result<()> {
        let wanted = self.settings.wanted();
        let exclude = self.settings.excluded()?;
        let transform = self.transform(cx)?;
        let size = transform.size as usize;
        let len = batch_len(size, size);
        let (root, listing) = match &self.layout {
            Layout::Embedded { images, labels } => {
                let (embedded, listing) =
                    Embedded::open(&self.table(cx)?, images, labels, &wanted)?;
                return self.prepare(cx, transform, &listing, embedded.batches(len));
            }
            Layout::Files(labelling) => {
                let root = self.root(cx)?;
                let listing = list(&root, labelling, &wanted, &exclude)?;
                (root, listing)
            }
            Layout::Listed { paths, labels } => {
                let table = Table::read(cx.input(TABLE))?;
                let listing = list_table(&table, paths, labels, &wanted, &exclude)?;
                (self.root(cx)?, listing)
            }
        };
        let item = |entry| Item::file(&root, entry);
        let batches = listing.entries.chunks(len);
        let batches = batches.map(|batch| Ok(batch.iter().map(item).collect()));
        self.prepare(cx, transform, &listing, batches)
    }
}

impl Images {
    /// What is done to every image: what the settings say, else what the model's folder asks for.
    fn transform(&self, cx: &StageContext<'_>) -> Result<Transform> {
        let Some(folder) = cx.optional_input(MODEL) else {
            return self.settings.usual();
        };
        let asked = ImageInput::of(folder)?.ok_or_else(|| {
            Error::stage("the folder of `model` does not say how photos are to be prepared")
                .help("name a model of images, or set `size`, `resize` and `interpolation` without a `model`")
        })?;
        let transform = self.settings.transform(inputs::photos::transform(&asked))?;
        let made = inputs::photos::made(transform, asked);
        cx.log(format!("photos are prepared so: {}", made.description()));
        Ok(transform)
    }

    /// The folder that the images are in.
    fn root(&self, cx: &StageContext<'_>) -> Result<PathBuf> {
        let Some((source, _)) = &self.source else {
            return Ok(cx.input(FILES).to_owned());
        };
        match source.local_path() {
            Some(path) if path.is_dir() => Ok(path.to_owned()),
            _ => {
                let folder = cx.scratch().join("source");
                std::fs::create_dir(&folder)
                    .or_stage(|| format!("cannot make `{}`", folder.display()))?;
                let pinned = self.settings.sha256.as_ref().map(|sha256| &sha256.value);
                let fetched = source.fetch_folder(&cx.transfer(), &folder, pinned)?;
                self.suggest_pin(cx, &fetched.sha256);
                Ok(folder)
            }
        }
    }

    /// The Parquet file that the images are in.
    fn table(&self, cx: &StageContext<'_>) -> Result<PathBuf> {
        let Some((source, _)) = &self.source else {
            return Ok(cx.input(TABLE).join(data::table::FILE));
        };
        let file = cx.scratch().join("source.parquet");
        let pinned = self.settings.sha256.as_ref().map(|sha256| &sha256.value);
        let fetched = source.fetch(&cx.transfer(), &file, pinned)?;
        self.suggest_pin(cx, &fetched.sha256);
        Ok(file)
    }

    /// Adds the place that says which images are meant.
    fn blame(&self, error: Error) -> Error {
        match (&self.settings.labels, &self.source) {
            (Some(labels), _) => labels.blame(error, ""),
            (None, Some((_, span))) => error.or_at(span, ""),
            (None, None) => error,
        }
    }

    fn suggest_pin(&self, cx: &StageContext<'_>, sha256: &Sha256) {
        let local = self
            .source
            .as_ref()
            .is_some_and(|(source, _)| source.local_path().is_some());
        if self.settings.sha256.is_none() && !local {
            let text = format!(
                "the source is not pinned; to get the same bytes everywhere, write in {}:",
                cx.table()
            );
            cx.paste(text, vec![format!("sha256 = \"{sha256}\"")]);
        }
    }

    fn prepare(
        &self,
        cx: &StageContext<'_>,
        transform: Transform,
        listing: &Listing,
        batches: impl Iterator<Item = Result<Vec<Item>>>,
    ) -> Result<()> {
        report(cx, listing);
        let wanted = self.settings.wanted();
        listing.check(&wanted).map_err(|error| self.blame(error))?;
        // What is tuned on these images cannot learn them, what is measured on them says nothing of them.
        for missing in listing.missing(&wanted) {
            cx.notice(missing);
        }
        let size = transform.size as usize;
        let preparation = self.settings.preparation(transform);
        let writer = Writer::create(cx.output(IMAGES), size, size, Some(transform))?;
        let prepared = preparation.run(batches, listing.entries.len(), writer, cx)?;
        for (path, why) in &prepared.broken {
            cx.log(format!("`{path}` cannot be read: {why}"));
        }
        if let [first, others @ ..] = &prepared.broken[..] {
            let all = listing.entries.len();
            match self.settings.on_error {
                OnError::Error => return Err(refusal(first, others, all, cx.stage())),
                OnError::Skip => report_broken(cx, &prepared.broken),
            }
        }
        let lost = listing
            .counts()
            .into_keys()
            .find(|label| !prepared.counts.contains_key(*label));
        if let Some(lost) = lost {
            return Err(Error::stage(format!(
                "not one image of `{lost}` can be read"
            )));
        }
        for (label, count) in &prepared.counts {
            cx.log(format!("{label}: {count} images"));
        }
        Ok(())
    }
}

/// Says what is left out by what the files are called.
fn report(cx: &StageContext<'_>, listing: &Listing) {
    let others = listing.other_files.len();
    if others > 0 {
        cx.log(format!(
            "{others} files are no images by their ending: {}",
            some_of(&listing.other_files)
        ));
    }
    let photos = &listing.other_photos;
    if !photos.is_empty() {
        cx.notice(format!(
            "{} photos are left out because of their ending ({}): {}",
            photos.len(),
            endings(photos),
            some_of(photos)
        ));
        for path in photos {
            cx.log(format!("`{path}` is left out because of its ending"));
        }
    }
    for (pattern, count) in &listing.excluded {
        match count {
            0 => cx.notice(format!("no image matches `{pattern}` in `exclude`")),
            _ => cx.log(format!("{count} images match `{pattern}` in `exclude`")),
        }
    }
    let unwanted: usize = listing.unwanted.values().sum();
    if unwanted > 0 {
        cx.log(format!(
            "{unwanted} images have a label that is not in `labels`"
        ));
    }
    let without = listing.without_label.len();
    if without > 0 {
        cx.notice(format!(
            "{without} images are left out because they have no label: {}",
            some_of(&listing.without_label)
        ));
    }
}

fn report_broken(cx: &StageContext<'_>, broken: &[(String, Broken)]) {
    let names: Vec<_> = broken.iter().map(|(path, _)| path.clone()).collect();
    cx.notice(format!(
        "{} images are left out because they cannot be read: {}",
        names.len(),
        some_of(&names)
    ));
}

/// The error for images of which `first` and `others` cannot be read: it names some, and says where all are.
fn refusal(
    (path, why): &(String, Broken),
    others: &[(String, Broken)],
    all: usize,
    stage: &str,
) -> Error {
    let error = match others.len() {
        0 => Error::stage(format!("the image `{path}` cannot be read")).cause(why.to_string()),
        more => Error::stage(format!("{} of {all} images cannot be read", more + 1))
            .note(format!("`{path}`: {why}")),
    };
    let named = others.iter().take(NAMED - 1);
    let error = named.fold(error, |error, (path, why)| {
        error.note(format!("`{path}`: {why}"))
    });
    let error = match others.len().saturating_sub(NAMED - 1) {
        0 => error,
        rest => error.note(format!("and {rest} more: `refire logs {stage}` lists all")),
    };
    let mut broken = std::iter::once(why).chain(others.iter().map(|(_, why)| why));
    error.help(if broken.any(|why| matches!(why, Broken::TooLarge { .. })) {
        "repair or remove what is broken, raise `max_pixels` for large images that are meant, or leave all of these out: on_error = \"skip\""
    } else {
        "repair or remove the files; or leave such images out: on_error = \"skip\""
    })
}

fn some_of(names: &[String]) -> String {
    let some: Vec<_> = names
        .iter()
        .take(NAMED)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if names.len() > NAMED { ", …" } else { "" };
    some.join(", ") + more
}

#[cfg(test)]
mod tests;
