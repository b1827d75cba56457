//! `images`: photos → squares of one size with a label each, ready for training.

mod settings;

use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator};
use settings::{Layout, Settings};

use super::{ArtifactType, Input, LocalFile, Output, Port, Stage, StageContext, StageKind};
use crate::config::{self, from_table};
use crate::data::images::{
    Embedded, Item, Listing, Prepared, Watch, Writer, batch_len, list, list_table,
};
use crate::data::{self, Table};
use crate::error::{Context, Error, Result, Span};
use crate::fingerprint::{Manifest, describe};
use crate::sources::{self, Sha256, Source};

/// The kind `images`.
pub(super) struct ImagesKind;

const IMAGES: &str = "images";
const FILES: &str = "files";
const TABLE: &str = "table";

/// How many names a notice holds.
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
        files.into_iter().chain(table).collect()
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
        let size = self.settings.size.value as usize;
        let len = batch_len(size, size);
        let (root, listing) = match &self.layout {
            Layout::Embedded { images, labels } => {
                let (embedded, listing) =
                    Embedded::open(&self.table(cx)?, images, labels, &wanted)?;
                return self.prepare(cx, &listing, embedded.batches(len));
            }
            Layout::Files(labelling) => {
                let root = self.root(cx)?;
                let listing = list(&root, labelling, &wanted)?;
                (root, listing)
            }
            Layout::Listed { paths, labels } => {
                let table = Table::read(cx.input(TABLE))?;
                (self.root(cx)?, list_table(&table, paths, labels, &wanted)?)
            }
        };
        let item = |entry| Item::file(&root, entry);
        let batches = listing.entries.chunks(len);
        let batches = batches.map(|batch| Ok(batch.iter().map(item).collect()));
        self.prepare(cx, &listing, batches)
    }
}

impl Images {
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
        let size = self.settings.size.value as usize;
        let preparation = self.settings.preparation();
        let transform = Some(preparation.transform);
        let writer = Writer::create(cx.output(IMAGES), size, size, transform)?;
        let watch = Progress {
            cx,
            total: listing.entries.len() as u64,
        };
        let prepared = preparation.run(batches, writer, &watch)?;
        watch.progress(listing.entries.len());
        report_broken(cx, &prepared);
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

struct Progress<'a, 'c> {
    cx: &'a StageContext<'c>,
    total: u64,
}

impl Watch for Progress<'_, '_> {
    fn progress(&self, done: usize) {
        self.cx
            .progress("decode", done as u64, self.total, "images");
    }

    fn check_cancelled(&self) -> Result<()> {
        self.cx.check_cancelled()
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

fn report_broken(cx: &StageContext<'_>, prepared: &Prepared) {
    if prepared.broken.is_empty() {
        return;
    }
    let names: Vec<_> = prepared
        .broken
        .iter()
        .map(|(path, _)| path.clone())
        .collect();
    cx.notice(format!(
        "{} images are left out because they cannot be read: {}",
        names.len(),
        some_of(&names)
    ));
    for (path, why) in &prepared.broken {
        cx.log(format!("`{path}` cannot be read: {why}"));
    }
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
