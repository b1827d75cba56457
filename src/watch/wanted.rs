//! Paths → the folders to watch for them, and which events there matter.
//!
//! A path may lead through links and through folders that others may take the place of: whatever decides where it leads to is
//! watched too. All folders are named by where they really are, so that none is watched under two names.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::Paths;
use crate::names;

/// How many links in a row are followed, as on Linux.
const MOST_LINKS: usize = 40;

fn is_passed_over(name: &OsStr) -> bool {
    name.to_str().is_some_and(names::is_passed_over)
}

/// Which events in a folder matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those about entries of these names: a path leads over them.
    Steps(BTreeSet<OsString>),
    /// Those about its entries. A file is watched so, because most editors replace it.
    Entries,
    /// Those about anything in it.
    Tree,
}

/// Folders, and what in them matters.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    folders: BTreeMap<PathBuf, Scope>,
    /// The files that are read by themselves, by where they really are.
    files: HashSet<PathBuf>,
}

impl Wanted {
    /// What to watch for `paths`. Changes of what holds `project` are not expected.
    pub(super) fn of(paths: &Paths, project: &Path) -> Self {
        let mut survey = Survey {
            project,
            folders: BTreeMap::new(),
            files: HashSet::new(),
            known: BTreeMap::new(),
            followed: BTreeSet::new(),
        };
        for path in &paths.searched {
            survey.path(path, Links::Watch);
        }
        for path in &paths.read {
            survey.path(path, Links::Follow);
        }
        Self {
            folders: survey.folders,
            files: survey.files,
        }
    }

    /// The folders to watch. What lies in one that is watched with all that is in it is watched already.
    pub(super) fn to_watch(&self) -> impl Iterator<Item = (&Path, &Scope)> {
        let folders = self.folders.iter();
        folders
            .filter(|(folder, _)| self.tree_around(folder).is_none())
            .map(|(folder, scope)| (folder.as_path(), scope))
    }

    /// Whether `folder` is one of those to watch.
    pub(super) fn is_watched(&self, folder: &Path) -> bool {
        self.folders.contains_key(folder) && self.tree_around(folder).is_none()
    }

    /// The folders that hold inputs, without those that a path only leads over.
    pub(super) fn holders(&self) -> impl Iterator<Item = &Path> {
        let folders = self.folders.iter();
        folders
            .filter(|(_, scope)| !matches!(scope, Scope::Steps(_)))
            .map(|(folder, _)| folder.as_path())
    }

    /// Whether an event about `path` may be about an input. In doubt it may.
    pub(super) fn matters(&self, path: &Path) -> bool {
        let (Some(holder), Some(name)) = (path.parent(), path.file_name()) else {
            return true;
        };
        if self.folders.contains_key(path) {
            return true;
        }
        match self.folders.get(holder) {
            Some(Scope::Steps(names)) if self.tree_around(holder).is_none() => names.contains(name),
            Some(Scope::Entries) => true,
            _ => self.tree_around(path).is_none_or(|tree| {
                let mut below = path.strip_prefix(tree).unwrap_or(path).iter();
                !below.any(is_passed_over)
            }),
        }
    }

    /// Whether `path` is a file that is read, and not only beside one.
    pub(super) fn is_read(&self, path: &Path) -> bool {
        self.files.contains(path) || (self.tree_around(path).is_some() && self.matters(path))
    }

    /// The folder above `path` that is watched with all that is in it.
    fn tree_around<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let mut above = path.ancestors().skip(1);
        above.find(|folder| self.folders.get(*folder) == Some(&Scope::Tree))
    }
}

/// What links in a folder mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    /// Nothing beyond themselves.
    Watch,
    /// What they lead to is read as well.
    Follow,
}

/// Finds out where paths lead to.
struct Survey<'a> {
    project: &'a Path,
    folders: BTreeMap<PathBuf, Scope>,
    files: HashSet<PathBuf>,
    /// Folders as paths name them → where they really are; none for what is no folder. So thousands of files in one
    /// folder cost one look at it.
    known: BTreeMap<PathBuf, Option<PathBuf>>,
    /// Folders whose links were followed.
    followed: BTreeSet<PathBuf>,
}

impl Survey<'_> {
    /// Wants what decides over the content of `path`, which need not exist.
    fn path(&mut self, path: &Path, links: Links) {
        let mut next = self.end(path, links);
        // Links that lead in a cycle lead nowhere.
        for _ in 0..MOST_LINKS {
            let Some(target) = next else {
                return;
            };
            next = self.end(&target, links);
        }
    }

    /// The same, if `path` is no link; else where it leads to.
    fn end(&mut self, path: &Path, links: Links) -> Option<PathBuf> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            let folder = self.folder(path)?;
            self.tree(folder, links);
            return None;
        };
        let holder = self.folder(parent)?;
        let here = holder.join(name);
        match fs::symlink_metadata(&here).map(|metadata| metadata.file_type()) {
            Ok(kind) if kind.is_symlink() => {
                self.step(&holder, name);
                return Some(holder.join(fs::read_link(&here).ok()?));
            }
            Ok(kind) if kind.is_dir() => {
                self.step(&holder, name);
                self.tree(here, links);
            }
            Ok(_) => {
                self.entries(holder);
                self.files.insert(here);
            }
            Err(_) => {
                self.step(&holder, name);
                self.files.insert(here);
            }
        }
        None
    }

    /// Where the folder `path` really is, wanting all that decides over that. None, if it is no folder.
    fn folder(&mut self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        // Links that lead in a cycle lead to no folder.
        self.known.insert(path.into(), None);
        let real = match (path.parent(), path.components().next_back()) {
            (Some(parent), Some(Component::Normal(name))) => {
                let holder = self.folder(parent)?;
                self.folder_in(&holder, name)
            }
            (Some(parent), Some(Component::ParentDir)) => {
                let below = self.folder(parent)?;
                Some(below.parent().map_or(below.clone(), Path::to_path_buf))
            }
            _ => Some(path.into()),
        };
        self.known.insert(path.into(), real.clone());
        real
    }

    fn folder_in(&mut self, holder: &Path, name: &OsStr) -> Option<PathBuf> {
        let here = holder.join(name);
        let kind = fs::symlink_metadata(&here).map(|metadata| metadata.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            if self.may_change(holder) {
                self.step(holder, name);
            }
            return Some(here);
        }
        self.step(holder, name);
        if kind.is_ok_and(|kind| kind.is_symlink()) {
            return self.folder(&holder.join(fs::read_link(&here).ok()?));
        }
        None
    }

    /// Whether a folder in `holder` may be replaced by another. Linux tells of one folder's entries for nearly nothing;
    /// still those at the root of the disk, such as `/tmp`, belong to everyone.
    fn may_change(&self, holder: &Path) -> bool {
        let is_deep = holder.components().count() > 2;
        holder.starts_with(self.project) || (cfg!(target_os = "linux") && is_deep)
    }

    /// Wants events about the entry `name` of `holder`. Other systems than Linux may spell names otherwise than a path
    /// does, so all events count there.
    fn step(&mut self, holder: &Path, name: &OsStr) {
        if !cfg!(target_os = "linux") {
            return self.entries(holder.into());
        }
        let steps = Scope::Steps(BTreeSet::new());
        if let Scope::Steps(names) = self.folders.entry(holder.into()).or_insert(steps) {
            names.insert(name.into());
        }
    }

    fn entries(&mut self, holder: PathBuf) {
        match self.folders.entry(holder) {
            Entry::Occupied(mut known) if matches!(known.get(), Scope::Steps(_)) => {
                known.insert(Scope::Entries);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(new) => {
                new.insert(Scope::Entries);
            }
        }
    }

    fn tree(&mut self, folder: PathBuf, links: Links) {
        if links == Links::Follow && self.followed.insert(folder.clone()) {
            for link in links_in(&folder) {
                self.path(&link, links);
            }
        }
        self.folders.insert(folder, Scope::Tree);
    }
}

/// The links in `folder` and in the folders in it.
fn links_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_symlink() {
                found.push(entry.path());
            } else if kind.is_dir() && !is_passed_over(&entry.file_name()) {
                folders.push(entry.path());
            }
        }
    }
    found
}
