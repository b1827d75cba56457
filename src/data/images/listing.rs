//! Which images there are and what they show: files in folders, by their folder, by a pattern in their path, or by a table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use image::ImageFormat;
use regex::Regex;

use crate::data::{Table, text};
use crate::error::{Context, Error, Result, closest};
use crate::names;

/// Endings of the files that are taken for images, in any case.
pub const ENDINGS: [&str; 9] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif",
];

/// Folders that hold no data of the user's, besides hidden ones.
const PASSED_OVER: &str = "__MACOSX";

/// Where an image's label comes from.
#[derive(Clone, Debug)]
pub enum Labelling {
    /// The first folder of its path.
    Folder,
    /// The first group of a pattern in its path, or what the whole pattern matches.
    Pattern(Regex),
}

/// Which labels are wanted, and what they are called: label as found → name. None: all, as found.
pub type Wanted = Option<BTreeMap<String, String>>;

/// Images to leave out.
#[derive(Clone, Debug, Default)]
pub struct Exclude(Vec<(String, GlobMatcher)>);

/// An image and its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path within the folder of images, with `/` between the parts.
    pub path: String,
    /// Its label.
    pub label: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The images, by path or in the order of the table.
    pub entries: Vec<Entry>,
    /// Files that are not images, neither by their ending nor by how they begin.
    pub other_files: Vec<String>,
    /// Files that begin as photos do, and whose ending is none of [`ENDINGS`].
    pub other_photos: Vec<String>,
    /// For each pattern of images to leave out, how many it takes out.
    pub excluded: Vec<(String, usize)>,
    /// Images that have no label, by folder or pattern.
    pub without_label: Vec<String>,
    /// How many images have each label that is not wanted.
    pub unwanted: BTreeMap<String, usize>,
    /// Folders of a class that have no image.
    pub empty_folders: Vec<String>,
}

/// Lists the images below `root`, without those of `exclude`.
///
/// # Errors
/// Folders that cannot be read, names that are not UTF-8.
pub fn list(
    root: &Path,
    labelling: &Labelling,
    wanted: &Wanted,
    exclude: &Exclude,
) -> Result<Listing> {
    let mut found = Found::default();
    walk(root, "", &mut found)?;
    let mut listing = Listing {
        other_files: found.others,
        excluded: exclude.counts(&found.images.iter().chain(&found.other_photos)),
        ..Listing::default()
    };
    let left = |path: &String| !exclude.is_match(path);
    listing.other_photos = found.other_photos.into_iter().filter(left).collect();
    for path in found.images.into_iter().filter(left) {
        match labelling.label(&path) {
            None => listing.without_label.push(path),
            Some(label) => {
                let label = label.to_owned();
                let _ = listing.add(path, &label, wanted);
            }
        }
    }
    if matches!(labelling, Labelling::Folder) && wanted.is_none() {
        let counts = listing.counts();
        let empty = |folder: &String| !counts.contains_key(folder.as_str());
        let empty = found.folders.into_iter().filter(empty).collect();
        listing.empty_folders = empty;
    }
    Ok(listing)
}

/// Photos, with labels or without.
#[derive(Debug, Default)]
pub struct Photos {
    /// Their paths, sorted, with `/` between the parts.
    pub images: Vec<String>,
    /// Those of files that begin as photos do, and whose ending is none of [`ENDINGS`].
    pub other_photos: Vec<String>,
}

/// The photos below `root`.
///
/// # Errors
/// Folders that cannot be read, names that are not UTF-8.
pub fn find(root: &Path) -> Result<Photos> {
    let mut found = Found::default();
    walk(root, "", &mut found)?;
    Ok(Photos {
        images: found.images,
        other_photos: found.other_photos,
    })
}

/// How many of `photos` there are of each ending: ".heic 5, .tif 2".
#[must_use]
pub fn endings(photos: &[String]) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for photo in photos {
        let ending = Path::new(photo).extension();
        let ending = ending.map(|ending| format!(".{}", ending.to_string_lossy().to_lowercase()));
        *counts
            .entry(ending.unwrap_or_else(|| "no ending".into()))
            .or_default() += 1;
    }
    let counts = counts
        .iter()
        .map(|(ending, count)| format!("{ending} {count}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// Takes paths and labels from two columns of `table`, in its order.
///
/// # Errors
/// Missing columns and values, paths that are absolute or lead out of the folder of images.
pub fn list_table(
    table: &Table,
    path_column: &str,
    label_column: &str,
    wanted: &Wanted,
    exclude: &Exclude,
) -> Result<Listing> {
    let paths = text::values(table, path_column)?;
    let labels = text::values(table, label_column)?;
    let mut listing = Listing {
        excluded: exclude.counts(&paths.iter()),
        ..Listing::default()
    };
    for (row, (path, label)) in paths.into_iter().zip(labels).enumerate() {
        let inside = Path::new(&path)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if path.is_empty() || !inside {
            let error = Error::stage(format!(
                "row {} has the path `{path}` in column `{path_column}`",
                row + 1
            ));
            return Err(
                error.help("write paths relative to the folder of the images, without `..`")
            );
        }
        if !exclude.is_match(&path) {
            let _ = listing.add(path, &label, wanted);
        }
    }
    Ok(listing)
}

impl Exclude {
    /// Leaves out what `pattern` matches: the name of an image or, if it holds a `/`, its path; in any case.
    ///
    /// # Errors
    /// A pattern that is no glob: why it is none.
    pub fn add(&mut self, pattern: &str) -> Result<(), String> {
        let glob = names::glob(pattern, GlobBuilder::new(pattern).case_insensitive(true))?;
        self.0.push((pattern.into(), glob));
        Ok(())
    }

    fn is_match(&self, path: &str) -> bool {
        self.0.iter().any(|pattern| takes(pattern, path))
    }

    /// How many of `paths` each pattern matches.
    fn counts<'p>(
        &self,
        paths: &(impl Iterator<Item = &'p String> + Clone),
    ) -> Vec<(String, usize)> {
        let count = |pattern: &(String, GlobMatcher)| {
            let matched = paths.clone().filter(|path| takes(pattern, path));
            (pattern.0.clone(), matched.count())
        };
        self.0.iter().map(count).collect()
    }
}

fn takes((pattern, glob): &(String, GlobMatcher), path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    glob.is_match(if pattern.contains('/') { path } else { name })
}

impl Labelling {
    fn label<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self {
            Self::Folder => path.split_once('/').map(|(folder, _)| folder),
            Self::Pattern(pattern) => {
                let found = pattern.captures(path)?;
                let part = found.get(1).or_else(|| found.get(0))?.as_str();
                (!part.is_empty()).then_some(part)
            }
        }
    }
}

impl Listing {
    /// Adds an image if its label is wanted; returns the name of the label then.
    pub(super) fn add(&mut self, path: String, label: &str, wanted: &Wanted) -> Option<String> {
        let name = match wanted {
            None => Some(label),
            Some(names) => names.get(label).map(String::as_str),
        };
        match name {
            Some(label) => self.entries.push(Entry {
                path,
                label: label.to_owned(),
            }),
            None => *self.unwanted.entry(label.to_owned()).or_default() += 1,
        }
        name.map(str::to_owned)
    }

    /// What else there is where there is no image.
    fn explain(&self, error: Error) -> Error {
        let others = &self.other_photos;
        let error = error.note(format!(
            "images are files that end in .{}",
            ENDINGS.join(" .")
        ));
        if others.is_empty() {
            return error;
        }
        error.note(format!(
            "photos of other endings are there: {}",
            endings(others)
        ))
    }

    /// How many images each label has.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for entry in &self.entries {
            *counts.entry(entry.label.as_str()).or_default() += 1;
        }
        counts
    }

    /// What is to be said of wanted labels, and of folders of classes, that have no image.
    #[must_use]
    pub fn missing(&self, wanted: &Wanted) -> Vec<String> {
        let labels = self.missing_labels(wanted).into_iter();
        let folders = self.empty_folders.iter();
        let folders = folders.map(|folder| format!("the class folder `{folder}` has no image"));
        labels.map(|(_, what)| what).chain(folders).collect()
    }

    /// The wanted labels that no image has, and what is to be said of each.
    fn missing_labels<'w>(&self, wanted: &'w Wanted) -> Vec<(&'w str, String)> {
        let counts = self.counts();
        let missing = wanted.iter().flatten();
        let missing = missing.filter(|(_, name)| !counts.contains_key(name.as_str()));
        let what = |(found, name): (&'w String, &String)| {
            let called = if found == name {
                String::new()
            } else {
                format!(", which `labels` calls `{name}`")
            };
            (
                found.as_str(),
                format!("no image has the label `{found}`{called}"),
            )
        };
        missing.map(what).collect()
    }

    /// Refuses what nothing can be learnt from or measured on, and what is most likely a slip.
    ///
    /// # Errors
    /// No image; a wanted label that no image has, but one that is written almost like it; no wanted label that an image has; one
    /// label only that was not asked for.
    pub fn check(&self, wanted: &Wanted) -> Result<()> {
        let counts = self.counts();
        for (label, what) in self.missing_labels(wanted) {
            let others = || self.unwanted.keys().map(String::as_str);
            if counts.is_empty() || closest(label, others()).is_some() {
                return Err(Error::stage(what).did_you_mean(label, others()));
            }
        }
        if wanted.is_some() {
            return Ok(());
        }
        match (counts.len(), self.without_label.first()) {
            (0, Some(first)) => Err(Error::stage(format!("no image has a label, `{first}` for one"))
                .help("put each class into a folder of its own, or say where in the path the label is: label_pattern = \"^([A-Z])\"")),
            (0, None) => Err(self.explain(Error::stage("there is no image"))
                .note(format!("{} other files are there", self.other_files.len()))),
            (1, _) if self.empty_folders.is_empty() => {
                let only = counts.keys().next().copied().unwrap_or_default();
                Err(Error::stage(format!("all {} images have the label `{only}`", self.entries.len()))
                    .help(format!("if the classes are one folder deeper, name that folder; if one class is meant, write labels = [\"{only}\"]")))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Default)]
struct Found {
    images: Vec<String>,
    other_photos: Vec<String>,
    others: Vec<String>,
    /// The folders directly below the root.
    folders: Vec<String>,
}

/// Finds the files below `folder`, sorted by path; `prefix` is its path within the root, with a slash at its end.
fn walk(folder: &Path, prefix: &str, found: &mut Found) -> Result<()> {
    let cannot = || format!("cannot list `{}`", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).or_stage(cannot)? {
        let name = entry.or_stage(cannot)?.file_name();
        names.push(name.into_string().map_err(|name| {
            Error::stage(format!(
                "the name of `{}` is not UTF-8",
                folder.join(name).display()
            ))
            .help("rename the file")
        })?);
    }
    names.sort_unstable();
    for name in names {
        let path: PathBuf = folder.join(&name);
        let relative = format!("{prefix}{name}");
        let hidden = name.starts_with('.') || name == PASSED_OVER;
        // Links are followed: data sets are often linked to another disk.
        let metadata =
            std::fs::metadata(&path).or_stage(|| format!("cannot read `{}`", path.display()))?;
        match (metadata.is_dir(), hidden) {
            (true, true) => {}
            (true, false) => {
                if prefix.is_empty() {
                    found.folders.push(name);
                }
                walk(&path, &format!("{relative}/"), found)?;
            }
            (false, false) if is_image(&path) => found.images.push(relative),
            (false, false) if begins_as_a_photo(&path) => found.other_photos.push(relative),
            (false, _) => found.others.push(relative),
        }
    }
    Ok(())
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// Whether a file begins as those of a format of photos do. One that cannot be read does not.
fn begins_as_a_photo(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut start));
    if read.is_err() || start.len() < 16 {
        return false;
    }
    let (kind, brand) = (&start[4..8], &start[8..12]);
    let heif: [&[u8]; 6] = [b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif"];
    // HEIC and AVIF, JPEG 2000, JPEG XL.
    if (kind == b"ftyp" && heif.contains(&brand)) || kind == b"jP  " || kind == b"JXL " {
        return true;
    }
    match image::guess_format(&start) {
        // Two letters that a text may begin with; four bytes of a BMP's header are 0.
        Ok(ImageFormat::Pnm) | Err(_) => false,
        Ok(ImageFormat::Bmp) => start[6..10] == [0; 4],
        Ok(_) => true,
    }
}
