//! Where a stage's files come from: one source, or several that are tried in order.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Download, Files, LocalFile};
use crate::config::Spanned;
use crate::error::{Error, Kind, Result, Span};
use crate::sources::{self, Fetched, Sha256, Source, Transfer};

/// A setting that is one source, or an array of sources of which the first that has a file gives it.
#[derive(Debug, Clone)]
pub(super) struct Written(Vec<Spanned<String>>);

/// The sources, read, each with its place in the file.
#[derive(Debug)]
pub(super) struct Mirrors(Vec<(Source, Span)>);

impl Written {
    /// The sources, as written.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|source| source.value.as_str())
    }

    /// Reads the sources; `place` is that of the setting.
    pub(super) fn parse(&self, place: &Span) -> Result<Mirrors> {
        let read = |written: &Spanned<String>| {
            let span = written.span.as_ref().unwrap_or(place);
            Ok((sources::parse(&written.value, Some(span))?, span.clone()))
        };
        if self.0.is_empty() {
            return Err(Error::usage("`source` is empty")
                .at(place, "")
                .help("name at least one source, such as \"hf:org/name\" or a path"));
        }
        self.0.iter().map(read).collect::<Result<_>>().map(Mirrors)
    }
}

impl Mirrors {
    /// Refuses sources that cannot be one file, such as a repository.
    pub(super) fn check_file(&self) -> Result<()> {
        let mut sources = self.0.iter();
        sources.try_for_each(|(source, _)| source.check_file())
    }

    /// Whether the content of files on this machine alone decides what is fetched.
    pub(super) fn are_paths(&self) -> bool {
        self.0.iter().all(|(source, _)| source.is_path())
    }

    /// What is on this machine of `names` (files inside the sources; `""` for the sources themselves). Among several
    /// sources one may be missing: the others have the file then.
    pub(super) fn files(&self, names: &[&str]) -> Vec<LocalFile> {
        let mut files = BTreeMap::new();
        for (number, (source, span)) in self.0.iter().enumerate() {
            let number = number + 1;
            for name in names {
                let inside = inside(source, name);
                let Some(path) = inside.local_path() else {
                    continue;
                };
                if self.0.len() > 1 && !path.exists() {
                    continue;
                }
                // All files of an archive are that one file.
                let role = if Some(path) == source.local_path() {
                    format!("source {number}")
                } else {
                    format!("source {number} {name}")
                };
                let file = LocalFile {
                    role: role.clone(),
                    path: path.into(),
                    span: span.clone(),
                };
                files.insert(role, file);
            }
        }
        files.into_values().collect()
    }

    /// Whether one of them can say which files are in it.
    pub(super) fn are_listed(&self) -> bool {
        self.0.iter().any(|(source, _)| source.is_listed())
    }

    /// The files of the first source that says which it has, and the sources with that one as it is now; tells why others were passed over.
    pub(super) fn list(&self, transfer: &Transfer<'_>) -> Result<(BTreeSet<String>, Self)> {
        let mut errors = Vec::new();
        for (number, (source, _)) in self.0.iter().enumerate() {
            if !source.is_listed() {
                continue;
            }
            match source.list(transfer) {
                Ok((files, at)) => {
                    for error in errors.iter().map(one_line) {
                        transfer.notice_once(&error, || format!("{error}; using {source}"));
                    }
                    let mut sources = self.0.clone();
                    sources[number].0 = at;
                    return Ok((files, Self(sources)));
                }
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                Err(error) => errors.push(error),
            }
        }
        Err(errors
            .into_iter()
            .next()
            .unwrap_or_else(|| Error::usage("none of the sources can say which files it has")))
    }

    /// As what the first source that can say its files is written.
    pub(super) fn listed(&self) -> Option<String> {
        let mut sources = self.0.iter().map(|(source, _)| source);
        let listed = sources.find(|source| source.is_listed())?;
        Some(listed.to_string())
    }

    /// The file `name` on this machine, in the first source if that is a folder here.
    pub(super) fn here(&self, name: &str) -> Option<PathBuf> {
        let (source, _) = self.0.first()?;
        let inside = inside(source, name);
        let path = inside.local_path().filter(|_| inside.is_path())?;
        path.is_file().then(|| path.to_path_buf())
    }

    /// What is fetched from elsewhere for files that are pinned to these digests, or for files that are not known yet; nothing if a source
    /// on this machine comes first.
    pub(super) fn download<'p>(
        &self,
        pinned: Option<impl ExactSizeIterator<Item = Option<&'p Sha256>>>,
    ) -> Vec<Download> {
        let is_here = |source: &Source| source.local_path().is_some_and(Path::exists);
        if self.0.first().is_some_and(|(source, _)| is_here(source)) {
            return Vec::new();
        }
        let remote = self.0.iter().map(|(source, _)| source);
        let remote = remote.filter(|source| source.local_path().is_none());
        let from: Vec<String> = remote.map(ToString::to_string).collect();
        if from.is_empty() {
            return Vec::new();
        }
        let files = match &pinned {
            Some(pinned) => Files::Some(pinned.len()),
            None => Files::Model,
        };
        let sizes = pinned
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(sources::known_size);
        let bytes = sizes.sum::<u64>();
        vec![Download {
            from,
            files,
            bytes: (bytes > 0).then_some(bytes),
        }]
    }

    /// Refuses a single local source that does not have `names`.
    pub(super) fn check(&self, names: &[&str]) -> Result<()> {
        let [(source, span)] = self.0.as_slice() else {
            return Ok(());
        };
        let missing = names.iter().find_map(|name| {
            let path = inside(source, name).local_path()?.to_path_buf();
            (!path.exists()).then_some(path)
        });
        match missing {
            Some(path) => {
                Err(Error::usage(format!("`{}` does not exist", path.display())).at(span, ""))
            }
            None => Ok(()),
        }
    }

    /// Fetches the file `name` (`""` for the source itself) to `dest` from the first source that has it, and tells why
    /// others were passed over.
    pub(super) fn fetch(
        &self,
        transfer: &Transfer<'_>,
        name: &str,
        dest: &Path,
        pinned: Option<&Sha256>,
    ) -> Result<Fetched> {
        let mut errors = Vec::new();
        for (source, _) in &self.0 {
            let source = inside(source, name);
            match source.fetch(transfer, dest, pinned) {
                Ok(fetched) => {
                    for error in errors.iter().map(one_line) {
                        transfer.notice_once(&error, || format!("{error}; using {source}"));
                    }
                    return Ok(fetched);
                }
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                Err(error) => errors.push(error),
            }
        }
        if errors.len() == 1 {
            return Err(errors.remove(0));
        }
        let what = if name.is_empty() {
            "the file"
        } else {
            &format!("`{name}`")
        };
        let none = Error::stage(format!("none of the {} sources gives {what}", errors.len()));
        let none = errors
            .iter()
            .fold(none, |none, error| none.cause(one_line(error)));
        let none = self
            .0
            .iter()
            .fold(none, |none, (_, span)| none.at(span, ""));
        Err(match errors.iter().find_map(Error::help_text) {
            Some(help) => none.help(help),
            None => none,
        })
    }
}

fn inside(source: &Source, name: &str) -> Source {
    if name.is_empty() {
        source.clone()
    } else {
        source.join(name)
    }
}

/// The message and its causes without the place.
fn one_line(error: &Error) -> String {
    let parts = std::iter::once(error.message()).chain(error.causes().iter().map(String::as_str));
    parts.collect::<Vec<_>>().join(": ")
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a source or an array of sources")
            }

            fn visit_str<E>(self, text: &str) -> Result<Written, E> {
                Ok(Written(vec![Spanned {
                    value: text.into(),
                    span: None,
                }]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Written, A::Error> {
                let mut mirrors = Vec::new();
                while let Some(mirror) = items.next_element()? {
                    mirrors.push(mirror);
                }
                Ok(Written(mirrors))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for Written {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Written".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
        })
    }
}
