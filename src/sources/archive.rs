//! Archives (zip and wheels, tar, gzipped tar) opened safely: an archive with an absolute path, a `..`, a link or two
//! entries of one name is refused as a whole, and what it may grow to is bounded.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::path::cannot_write;
use crate::error::{Context, Error, Result, closest, suggestion};
use crate::event::Observer;
use crate::names;

/// What help texts say about formats.
pub(super) const FORMATS: &str =
    "archives are files whose name ends in .zip, .whl, .tar, .tar.gz or .tgz";

const MOST_ENTRIES: usize = 1_000_000;
/// How many times as large as the archive its content may be …
const MOST_GROWTH: u64 = 200;
/// … once it is larger than this.
const FREE_GROWTH: u64 = 64 << 20;
const MOST_BYTES: u64 = 256 << 30;

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Zip, which wheels are too.
    Zip,
    /// Tar.
    Tar,
    /// Tar inside gzip.
    TarGzip,
}

impl Format {
    /// The format of a file called `name`, if it is an archive.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".zip", ".whl"]) {
            Some(Self::Zip)
        } else if ends(&[".tar.gz", ".tgz"]) {
            Some(Self::TarGzip)
        } else if ends(&[".tar"]) {
            Some(Self::Tar)
        } else {
            None
        }
    }
}

/// An archive on this machine.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    /// Where it is.
    pub(super) path: PathBuf,
    /// How it is packed.
    pub(super) format: Format,
    /// How many folders to leave out in front of every name: npm packages have all files in one called `package`.
    pub(super) strip: usize,
}

/// Refuses the name of a file in an archive, a repository or a folder that is absolute or leads out.
///
/// # Errors
/// A usage error that names it.
pub(super) fn check_member(name: &str) -> Result<()> {
    let refuse = |why: &str| Err(Error::usage(format!("`{name}` {why}")));
    match normal_form(name) {
        Err(why) => refuse(why),
        Ok(normal) if normal.is_empty() => refuse("names no file"),
        Ok(_) => Ok(()),
    }
}

/// `folder` and `file` as one name; `folder` may be empty.
pub(super) fn join(folder: &str, file: &str) -> String {
    match folder.trim_end_matches('/') {
        "" => file.into(),
        folder => format!("{folder}/{file}"),
    }
}

/// `name` without `.` and doubled slashes; the reason if it could lead somewhere else than into its folder.
fn normal_form(name: &str) -> Result<String, &'static str> {
    if name.starts_with('/') || name.as_bytes().get(1) == Some(&b':') {
        return Err("is an absolute path");
    }
    if name.contains('\\') {
        return Err("has a backslash in it");
    }
    if name.contains(char::is_control) {
        return Err("has a control character in it");
    }
    let parts = || name.split('/').filter(|part| !matches!(*part, "" | "."));
    if parts().any(|part| part == "..") {
        return Err("leads out of its folder with `..`");
    }
    Ok(parts().collect::<Vec<_>>().join("/"))
}

impl Archive {
    /// Writes the file called `member` to `dest`, which does not exist.
    ///
    /// # Errors
    /// An unsafe or damaged archive, and a member that is not in it.
    pub(super) fn extract(&self, member: &str, dest: &Path, observer: &dyn Observer) -> Result<()> {
        let member = normal_form(member).unwrap_or_default();
        let mut found = false;
        let names = self.walk(observer, &|name| name == member, &mut |_, content| {
            found = true;
            write(content, dest, observer)
        })?;
        if found {
            Ok(())
        } else {
            Err(self.missing(&member, &names))
        }
    }

    /// Writes every file below `folder` (empty: all) to `dest`, which exists and is empty.
    ///
    /// # Errors
    /// An unsafe or damaged archive, and a folder that is not in it.
    pub(super) fn extract_folder(
        &self,
        folder: &str,
        dest: &Path,
        observer: &dyn Observer,
    ) -> Result<()> {
        let mut prefix = normal_form(folder).unwrap_or_default();
        if !prefix.is_empty() {
            prefix.push('/');
        }
        let mut found = false;
        let wants = |name: &str| name.starts_with(&prefix);
        let names = self.walk(observer, &wants, &mut |name, content| {
            found = true;
            let path = names::join(dest, &name[prefix.len()..])?;
            let parent = path.parent().unwrap_or(dest);
            std::fs::create_dir_all(parent)
                .or_stage(|| format!("cannot make `{}`", parent.display()))?;
            write(content, &path, observer)
        })?;
        if found {
            Ok(())
        } else {
            Err(self.missing(&prefix, &names))
        }
    }

    /// Visits all entries, checks every name, and hands the files that are wanted to `take`.
    /// Returns the names of all files.
    fn walk(
        &self,
        observer: &dyn Observer,
        wants: &dyn Fn(&str) -> bool,
        take: &mut dyn FnMut(&str, &mut Content<'_>) -> Result<()>,
    ) -> Result<BTreeSet<String>> {
        let file = File::open(&self.path).map_err(|error| self.damaged(&error))?;
        let packed = file.metadata().map_err(|error| self.damaged(&error))?.len();
        let budget = packed
            .saturating_mul(MOST_GROWTH)
            .clamp(FREE_GROWTH, MOST_BYTES);
        let file = BufReader::new(file);
        let mut visit = Visit {
            archive: self,
            observer,
            names: BTreeSet::new(),
            folders: 0,
            wants,
            take,
        };
        match self.format {
            Format::Zip => visit.zip(file, budget)?,
            Format::Tar => visit.tar(Bounded::new(file, budget))?,
            Format::TarGzip => {
                visit.tar(Bounded::new(
                    flate2::bufread::MultiGzDecoder::new(file),
                    budget,
                ))?;
            }
        }
        Ok(visit.names)
    }

    fn damaged(&self, cause: &dyn std::error::Error) -> Error {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        Error::stage(format!("cannot unpack `{name}`")).because(cause)
    }

    fn refuse(&self, why: impl Into<String>) -> Error {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        Error::stage(format!("`{name}` is not a safe archive: {}", why.into()))
            .help("if you trust it, unpack it yourself and name the files by their path")
    }

    fn missing(&self, member: &str, names: &BTreeSet<String>) -> Error {
        let archive = self.path.file_name().unwrap_or_default().to_string_lossy();
        let same_file = names.iter().find(|name| {
            name.rsplit('/').next() == member.rsplit('/').next() && !member.ends_with('/')
        });
        let near =
            closest(member, names.iter().map(String::as_str)).or(same_file.map(String::as_str));
        let error = Error::stage(format!("there is no `{member}` in `{archive}`"));
        match near {
            Some(near) => error.help(suggestion(member, near)),
            None => error.note(format!("it holds {}", some_of(names))),
        }
    }
}

fn some_of(names: &BTreeSet<String>) -> String {
    let first: Vec<_> = names
        .iter()
        .take(8)
        .map(|name| format!("`{name}`"))
        .collect();
    let rest = names.len() - first.len();
    match (first.len(), rest) {
        (0, _) => "no file".into(),
        (_, 0) => first.join(", "),
        _ => format!("{} and {rest} more", first.join(", ")),
    }
}

/// A walk over the entries of one archive.
struct Visit<'a> {
    archive: &'a Archive,
    observer: &'a dyn Observer,
    names: BTreeSet<String>,
    folders: usize,
    wants: &'a dyn Fn(&str) -> bool,
    take: &'a mut dyn FnMut(&str, &mut Content<'_>) -> Result<()>,
}

/// The content of one file, and how long it is to be.
struct Content<'a> {
    reader: &'a mut dyn Read,
    size: u64,
    name: &'a str,
}

impl Visit<'_> {
    fn zip(&mut self, file: BufReader<File>, budget: u64) -> Result<()> {
        let archive = self.archive;
        let mut zip = zip::ZipArchive::new(file).map_err(|error| archive.damaged(&error))?;
        if zip.has_duplicate_names() {
            return Err(archive.refuse("it holds two files of one name"));
        }
        let mut budget = budget;
        for index in 0..zip.len() {
            let entry = zip
                .by_index_raw(index)
                .map_err(|error| archive.damaged(&error))?;
            let name = entry
                .name()
                .map_err(|error| archive.damaged(&error))?
                .into_owned();
            let (is_folder, is_link, size) = (entry.is_dir(), entry.is_symlink(), entry.size());
            drop(entry);
            if is_link {
                return Err(archive.refuse(format!("`{name}` is a link")));
            }
            let Some(name) = self.admit(&name, is_folder)? else {
                continue;
            };
            if (self.wants)(&name) {
                let entry = zip
                    .by_index(index)
                    .map_err(|error| archive.damaged(&error))?;
                let mut bounded = Bounded::new(entry, budget);
                self.hand_over(&name, size, &mut bounded)?;
                budget = bounded.left;
            }
        }
        Ok(())
    }

    fn tar(&mut self, unpacked: impl Read) -> Result<()> {
        use tar::EntryType as T;
        let archive = self.archive;
        let mut tar = tar::Archive::new(unpacked);
        for entry in tar.entries().map_err(|error| archive.damaged(&error))? {
            let mut entry = entry.map_err(|error| archive.damaged(&error))?;
            let name = String::from_utf8(entry.path_bytes().into_owned())
                .map_err(|error| archive.damaged(&error))?;
            let is_folder = match entry.header().entry_type() {
                T::Regular | T::Continuous => false,
                T::Directory => true,
                T::XGlobalHeader => continue,
                T::Symlink | T::Link => {
                    return Err(archive.refuse(format!("`{name}` is a link")));
                }
                _ => return Err(archive.refuse(format!("`{name}` is neither file nor folder"))),
            };
            let size = entry.size();
            if let Some(name) = self.admit(&name, is_folder)?
                && (self.wants)(&name)
            {
                self.hand_over(&name, size, &mut entry)?;
            }
        }
        Ok(())
    }

    /// Checks an entry; the name that it has for us if it is a file.
    fn admit(&mut self, name: &str, is_folder: bool) -> Result<Option<String>> {
        self.observer.check_cancelled()?;
        let archive = self.archive;
        let normal = normal_form(name).map_err(|why| archive.refuse(format!("`{name}` {why}")))?;
        self.folders += usize::from(is_folder);
        if self.folders + self.names.len() > MOST_ENTRIES {
            return Err(archive.refuse(format!("it holds more than {MOST_ENTRIES} entries")));
        }
        let stripped: Vec<_> = normal.split('/').skip(archive.strip).collect();
        let stripped = stripped.join("/");
        if is_folder || stripped.is_empty() {
            return Ok(None);
        }
        if !self.names.insert(stripped.clone()) {
            return Err(archive.refuse(format!("it holds two files called `{stripped}`")));
        }
        Ok(Some(stripped))
    }

    fn hand_over(&mut self, name: &str, size: u64, reader: &mut dyn Read) -> Result<()> {
        (self.take)(name, &mut Content { reader, size, name }).map_err(|error| {
            if error.causes().iter().any(|cause| cause == TOO_LARGE) {
                self.archive.refuse(TOO_LARGE)
            } else {
                error
            }
        })
    }
}

/// Writes `content` to the new file `dest`.
fn write(content: &mut Content<'_>, dest: &Path, observer: &dyn Observer) -> Result<()> {
    let name = content.name;
    let mut file = File::create_new(dest).map_err(|error| cannot_write(dest, &error))?;
    let mut piece = vec![0; 256 << 10];
    let mut done = 0;
    loop {
        observer.check_cancelled()?;
        let read = content
            .reader
            .read(&mut piece)
            .or_stage(|| format!("cannot unpack `{name}`"))?;
        if read == 0 {
            break;
        }
        file.write_all(&piece[..read])
            .map_err(|error| cannot_write(dest, &error))?;
        done += read as u64;
        observer.progress(&format!("unpack {name}"), done, content.size, "bytes");
    }
    if done != content.size {
        return Err(Error::stage(format!(
            "cannot unpack `{name}`: it has {done} of {} bytes",
            content.size
        )));
    }
    Ok(())
}

const TOO_LARGE: &str = "it unpacks to far more than its own size";

/// A reader that fails when more comes out of it than is allowed.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R, left: u64) -> Self {
        Self { inner, left }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(TOO_LARGE))?;
        Ok(read)
    }
}
