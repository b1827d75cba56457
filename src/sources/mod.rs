//! Where bytes come from: one file a scheme, and the registry of schemes.
//!
//! Owns the way from what a pipeline file says (`hf:org/name`, a path, …) to verified bytes in a file. It knows no
//! stage, and it keeps nothing but interrupted downloads: keeping results is the store's.
//!
//! A new scheme is one file here and two lines below: its `mod` and its row in [`SCHEMES`].

mod address;
mod archive;
mod checksum;
mod download;
mod environment;
mod exchange;
mod hub;
mod known;
mod npm;
mod package;
mod partial;
mod path;
mod pip;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;
mod web;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use archive::Archive;
pub use checksum::Sha256;
pub use environment::{Environment, Token};
pub use known::known_size;
pub use transfer::Transfer;

use crate::error::{Context, Error, Result, Span};

/// Every scheme but the plain path, in the order in which they are documented; [`forms`] is their public face.
const SCHEMES: &[&dyn Scheme] = &[&hub::Hub, &web::Https, &web::Http, &pip::Pip, &npm::Npm];

/// A way to name bytes: `hf:…`, `https:…`, …
trait Scheme: Sync {
    /// The word before the colon.
    fn name(&self) -> &'static str;

    /// What it looks like, for help: `hf:org/name@revision#file`.
    fn form(&self) -> &'static str;

    /// Reads what stands after the colon.
    ///
    /// # Errors
    /// What cannot be meant; the caller adds the place.
    fn parse(&self, rest: &str) -> Result<Box<dyn Location>>;
}

/// A place that bytes can be fetched from: a file, or something that files are inside.
trait Location: fmt::Debug + fmt::Display + Send + Sync {
    /// The place of `file` (a relative path with `/`) inside this one.
    fn join(&self, file: &str) -> Box<dyn Location>;

    /// The file or folder on this machine whose content decides what is fetched, if it is one.
    fn local_path(&self) -> Option<&Path> {
        None
    }

    /// Whether [`local_path`](Self::local_path) is a plain file or folder, and not an archive with a file inside.
    fn is_path(&self) -> bool {
        false
    }

    /// Whether it can be one file; a repository or a package, for instance, cannot.
    ///
    /// # Errors
    /// Why it cannot, and how a file is named.
    fn check_file(&self) -> Result<()> {
        Ok(())
    }

    /// Whether it can say which files are in it.
    fn is_listed(&self) -> bool {
        false
    }

    /// The files in it.
    ///
    /// # Errors
    /// A place that cannot say, or whatever went wrong when it was asked.
    fn list(&self, _: &Transfer<'_>) -> Result<Listing> {
        Err(
            Error::stage(format!("`{self}` cannot say which files it has"))
                .help("name the files that are needed"),
        )
    }

    /// Writes the one file that this place is to `dest`, which does not exist yet.
    ///
    /// # Errors
    /// Whatever went wrong, with the full address and what to do; `dest` may be half written then. `pinned` is only a
    /// hint: the caller compares the digest.
    fn fetch(&self, transfer: &Transfer<'_>, dest: &Path, pinned: Option<&Sha256>) -> Result<()>;

    /// The archive that this place is, or that it is a folder of, and that folder (empty: all of it).
    ///
    /// # Errors
    /// A place that is no archive, or whatever went wrong when it was fetched.
    fn archive(&self, _: &Transfer<'_>) -> Result<(Archive, &str)> {
        Err(
            Error::stage(format!("`{self}` cannot be fetched as a whole"))
                .help("name the files that are needed"),
        )
    }
}

/// What a place has.
struct Listing {
    /// The files, each a relative path with `/`.
    files: BTreeSet<String>,
    /// The same place, such that it has these files for good, where it can change.
    at: Box<dyn Location>,
}

/// A source as a pipeline file names it.
#[derive(Clone, Debug)]
pub struct Source {
    location: Arc<dyn Location>,
    span: Option<Span>,
}

/// Refuses the name of a file inside a source that is absolute, leads out with `..`, or is not in its plainest form.
///
/// # Errors
/// Why; the caller adds the place.
pub fn check_file_name(name: &str) -> Result<()> {
    archive::check_member(name)?;
    if name.split('/').any(|part| matches!(part, "" | ".")) {
        let plain: Vec<_> = name
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        return Err(Error::usage(format!("`{name}` is not the name of a file"))
            .help(format!("write `{}`", plain.join("/"))));
    }
    Ok(())
}

/// What was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Digest of the file.
    pub sha256: Sha256,
    /// Size of the file.
    pub bytes: u64,
}

/// What sources look like, besides paths: for help texts and the documentation.
pub fn forms() -> impl Iterator<Item = &'static str> {
    SCHEMES.iter().flat_map(|scheme| scheme.form().split(", "))
}

/// Reads a source: a scheme and what belongs to it, or a path relative to the folder of the file that `span` is in.
///
/// # Errors
/// Unknown schemes and what the scheme refuses, at `span`.
pub fn parse(text: &str, span: Option<&Span>) -> Result<Source> {
    let blame = |error: Error| match span {
        Some(span) => error.or_at(span, ""),
        None => error,
    };
    let location = match scheme_of(text) {
        _ if text.trim().is_empty() => Err(Error::usage("the source is empty")),
        None => {
            let folder = span.map_or(Path::new(""), |span| span.source.folder.as_path());
            path::Local::parse(folder, text).map(|local| Box::new(local) as Box<dyn Location>)
        }
        Some((name, rest)) => SCHEMES
            .iter()
            .find(|scheme| scheme.name() == name)
            .ok_or_else(|| unknown_scheme(name, text))
            .and_then(|scheme| scheme.parse(rest)),
    };
    Ok(Source {
        location: location.map_err(blame)?.into(),
        span: span.cloned(),
    })
}

/// The scheme in front of the first colon, if there is one. One letter is a drive and not a scheme.
fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once(':')?;
    let is_scheme = name.len() > 1
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    is_scheme.then_some((name, rest))
}

fn unknown_scheme(name: &str, text: &str) -> Error {
    let forms: Vec<_> = forms().collect();
    Error::usage(format!("unknown source scheme `{name}:`"))
        .did_you_mean(name, SCHEMES.iter().map(|scheme| scheme.name()))
        .note(format!("a source is a path or one of {}", forms.join(", ")))
        .note(format!(
            "a file with a colon in its name is written `./{text}`"
        ))
}

impl Source {
    /// The source of `file` (a relative path with `/`) inside this one.
    #[must_use]
    pub fn join(&self, file: &str) -> Self {
        Self {
            location: self.location.join(file).into(),
            span: self.span.clone(),
        }
    }

    /// The file or folder on this machine whose content decides what is fetched, if it is one.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        self.location.local_path()
    }

    /// Whether the content at [`local_path`](Self::local_path) alone decides what is fetched. It does not for a file in an
    /// archive, whose name counts too.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.location.is_path()
    }

    /// Refuses what cannot be one file, such as a repository.
    ///
    /// # Errors
    /// Why it cannot be one file and how a file is named, at the source's place.
    pub fn check_file(&self) -> Result<()> {
        self.location
            .check_file()
            .map_err(|error| self.blame(error))
    }

    /// Whether it can say which files are in it, as a repository of models on the Hub can.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.location.is_listed()
    }

    /// The files in it (relative paths with `/`), and the source from which just these come from now on: the commit of a repository.
    ///
    /// # Errors
    /// A source that cannot say, or whatever went wrong, with what to do.
    pub fn list(&self, transfer: &Transfer<'_>) -> Result<(BTreeSet<String>, Self)> {
        let listed = self.location.list(transfer);
        let Listing { files, at } = listed.map_err(|error| self.blame(error))?;
        let at = Self {
            location: at.into(),
            span: self.span.clone(),
        };
        Ok((files, at))
    }

    /// Fetches one file to `dest`, which must not exist but whose folder must, and compares it with `sha256`.
    /// Nothing is left at `dest` after an error.
    ///
    /// # Errors
    /// Whatever went wrong, with the full address and what to do; other bytes than `sha256` says.
    pub fn fetch(
        &self,
        transfer: &Transfer<'_>,
        dest: &Path,
        sha256: Option<&Sha256>,
    ) -> Result<Fetched> {
        let fetched = self
            .location
            .fetch(transfer, dest, sha256)
            .and_then(|()| self.verify(transfer, dest, sha256));
        if fetched.is_err() && dest.exists() {
            std::fs::remove_file(dest)
                .or_stage(|| format!("cannot remove `{}`", dest.display()))?;
        }
        fetched.map_err(|error| self.blame(error))
    }

    /// Fetches all files of an archive or a package, or of a folder in it (`pip:name==1.0#folder`), below the empty
    /// folder `dest`. What is compared with `sha256` and returned is the digest of the archive (the wheel, the tgz).
    ///
    /// # Errors
    /// Whatever went wrong; `dest` may be half filled then.
    pub fn fetch_folder(
        &self,
        transfer: &Transfer<'_>,
        dest: &Path,
        sha256: Option<&Sha256>,
    ) -> Result<Fetched> {
        let unpack = || {
            let (archive, folder) = self.location.archive(transfer)?;
            let fetched = self.verify(transfer, &archive.path, sha256)?;
            archive.extract_folder(folder, dest, transfer.observer)?;
            Ok(fetched)
        };
        unpack().map_err(|error| self.blame(error))
    }

    fn verify(
        &self,
        transfer: &Transfer<'_>,
        file: &Path,
        expected: Option<&Sha256>,
    ) -> Result<Fetched> {
        let sha256 = Sha256::of_file(file, &|| transfer.observer.check_cancelled())?;
        let bytes = file
            .metadata()
            .or_stage(|| format!("cannot read `{}`", file.display()))?
            .len();
        match expected {
            Some(expected) if *expected != sha256 => Err(Error::stage(format!(
                "`{}` is not the file that the pipeline pins",
                self.location
            ))
            .note(format!("expected {expected}"))
            .note(format!("got      {sha256} ({bytes} bytes)"))
            .help("the file has changed or the digest is wrong; if the new file is meant, write its digest")),
            _ => Ok(Fetched { sha256, bytes }),
        }
    }

    fn blame(&self, error: Error) -> Error {
        match &self.span {
            Some(span) => error.or_at(span, ""),
            None => error,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}
