//! The Hugging Face Hub: `hf:org/name@revision#file` for models, `hf:datasets/org/name@revision#file` for data sets.
//!
//! A file of a repository is at `ENDPOINT/[datasets/]ID/resolve/REVISION/FILE`; large files are redirected to another
//! host, errors are told apart by the header `X-Error-Code`
//! (`huggingface_hub`: `file_download.py`, `utils/_http.py`).

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

mod list;

use super::checksum::Sha256;
use super::download::Download;
use super::environment::Token;
use super::exchange::Answer;
use super::path::copy;
use super::{Listing, Location, Scheme, Transfer, address, archive, web};
use crate::error::{Error, Result, closest, suggestion};
use crate::names;

/// The longest description of a repository that is read, in bytes.
const LONGEST_DESCRIPTION: u64 = 16 << 20;

/// `hf:…`
pub(super) struct Hub;

impl Scheme for Hub {
    fn name(&self) -> &'static str {
        "hf"
    }

    fn form(&self) -> &'static str {
        "hf:org/name@revision#file, hf:datasets/org/name#file"
    }

    fn parse(&self, rest: &str) -> Result<Box<dyn Location>> {
        let (repository, file) = match rest.split_once('#') {
            Some((repository, file)) => (repository, file),
            None => (rest, ""),
        };
        let (id, revision) = repository.split_once('@').unwrap_or((repository, "main"));
        let (kind, id) = match id.split_once('/') {
            Some(("datasets", id)) => (Kind::Dataset, id),
            Some(("models", id)) => (Kind::Model, id),
            _ => (Kind::Model, id),
        };
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(['.', '-'])
                && name
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
        };
        if id.split('/').count() > 2 || !id.split('/').all(is_name) {
            return Err(
                Error::usage(format!("`{id}` is not the name of a repository on the Hub"))
                    .help(format!("a source on the Hub looks like {}", self.form())),
            );
        }
        if names::flaw(revision).is_some() || revision.contains(char::is_whitespace) {
            return Err(
                Error::usage(format!("`@{revision}` is not a revision")).help(
                    "write a branch, a tag or a commit after the @, or leave it out for `main`",
                ),
            );
        }
        if !file.is_empty() {
            archive::check_member(file)?;
        }
        Ok(Box::new(Repository {
            kind,
            id: id.into(),
            revision: revision.into(),
            file: file.into(),
        }))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Model,
    Dataset,
}

impl Kind {
    /// The Hub's word for it.
    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        }
    }

    /// What stands in front of the repository's name in an address.
    fn prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => "datasets/",
        }
    }
}

/// A repository on the Hub, or a folder or file of one.
#[derive(Debug)]
struct Repository {
    kind: Kind,
    id: String,
    revision: String,
    /// Empty for the whole repository.
    file: String,
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}{}", self.kind.prefix(), self.id)?;
        if self.revision != "main" {
            write!(f, "@{}", self.revision)?;
        }
        if !self.file.is_empty() {
            write!(f, "#{}", self.file)?;
        }
        Ok(())
    }
}

impl Location for Repository {
    fn join(&self, file: &str) -> Box<dyn Location> {
        Box::new(Self {
            kind: self.kind,
            id: self.id.clone(),
            revision: self.revision.clone(),
            file: archive::join(&self.file, file),
        })
    }

    fn check_file(&self) -> Result<()> {
        if self.file.is_empty() {
            return Err(
                Error::usage(format!("`{self}` is a repository, not a file"))
                    .help(format!("add `#` and a file of it: {self}#data.csv")),
            );
        }
        Ok(())
    }

    fn is_listed(&self) -> bool {
        self.kind == Kind::Model
    }

    fn list(&self, transfer: &Transfer<'_>) -> Result<Listing> {
        self.look_through(transfer)
    }

    fn fetch(&self, transfer: &Transfer<'_>, dest: &Path, pinned: Option<&Sha256>) -> Result<()> {
        let is_offline = transfer.offline || transfer.environment.hub_offline;
        let missing = match self.cached(transfer, pinned, is_offline)? {
            Ok(cached) => return copy(&cached, dest),
            Err(missing) => missing,
        };
        if is_offline {
            let help = if transfer.offline {
                "run once without `--offline`, or add a local path to the stage's sources"
            } else {
                "HF_HUB_OFFLINE is set: run once without it, or add another source"
            };
            let error = transfer.not_at_hand(&self.to_string()).help(help);
            return Err(error.cause(missing));
        }
        let hub = &transfer.environment.hub;
        let url = format!(
            "{hub}/{}{}/resolve/{}/{}",
            self.kind.prefix(),
            self.id,
            address::encode(&self.revision, false),
            address::encode(&self.file, true),
        );
        let token = transfer.environment.token.as_ref();
        Download {
            url: &url,
            token: token.map(|token| token.secret.as_str()),
            pinned,
            explain: &|answer| {
                let error = self.explain(hub, &url, token, answer);
                if answer.header_on_the_way("x-error-code") == Some("EntryNotFound") {
                    self.propose(transfer, error)
                } else {
                    error
                }
            },
        }
        .run(transfer, dest)
    }
}

impl Repository {
    /// The folder of the repository in the official client's `cache`.
    fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}s/{}", self.kind.name(), self.id).replace('/', "--"))
    }

    /// Where the files of the revision are in that folder, if they are there.
    fn snapshot_in(&self, folder: &Path) -> PathBuf {
        let commit = std::fs::read_to_string(folder.join("refs").join(&self.revision));
        let commit = commit.map_or(self.revision.clone(), |commit| commit.trim().into());
        folder.join("snapshots").join(commit)
    }

    /// The same for the client's cache that the environment names.
    fn snapshot(&self, transfer: &Transfer<'_>) -> Option<PathBuf> {
        let cache = transfer.environment.hub_cache.as_ref()?;
        Some(self.snapshot_in(&self.folder(cache)))
    }

    /// The file in the official client's own cache: if it is what is pinned, or if there is no other way; else, in
    /// words, what is missing there.
    ///
    /// `refs/REVISION` there holds a commit, `snapshots/COMMIT/FILE` is the file.
    fn cached(
        &self,
        transfer: &Transfer<'_>,
        pinned: Option<&Sha256>,
        is_offline: bool,
    ) -> Result<Result<PathBuf, String>> {
        let Some(cache) = &transfer.environment.hub_cache else {
            return Ok(Err("HF_HOME names no folder of the Hub's client".into()));
        };
        let folder = self.folder(cache);
        let reference = folder.join("refs").join(&self.revision);
        let snapshot = self.snapshot_in(&folder);
        let path = snapshot.join(&self.file);
        if path.is_file() {
            let is_wanted = match pinned {
                Some(pinned) => {
                    Sha256::of_file(&path, &|| transfer.observer.check_cancelled())? == *pinned
                }
                None => is_offline,
            };
            let other = format!("`{}` has another digest than is pinned", path.display());
            return Ok(if is_wanted { Ok(path) } else { Err(other) });
        }
        // The first step on the way to the file that is not there.
        let missing = if !folder.exists() {
            folder
        } else if snapshot.exists() {
            path
        } else if reference.exists() {
            snapshot
        } else {
            reference
        };
        Ok(Err(format!("there is no `{}`", missing.display())))
    }

    /// What an answer means that is not the file.
    fn explain(&self, hub: &str, url: &str, token: Option<&Token>, answer: &Answer) -> Error {
        let Self {
            id, revision, file, ..
        } = self;
        let page = format!("{hub}/{}{id}", self.kind.prefix());
        let token = token.filter(|_| answer.got_token);
        let error = match (answer.header_on_the_way("x-error-code"), token) {
            (Some("RepoNotFound"), Some(Token { from, .. })) => {
                Error::stage(format!("there is no `{id}` on {hub}")).help(format!(
                    "check its name; if it is private, the token of `{from}` may not read it"
                ))
            }
            (Some("RepoNotFound"), None) => Error::stage(format!("there is no `{id}` on {hub}"))
                .help("check its name; if it is private, set HF_TOKEN to a token that may read it"),
            (Some("GatedRepo"), Some(Token { from, .. })) => Error::stage(format!(
                "`{id}` is gated, and the token of `{from}` belongs to somebody who has no access"
            ))
            .help(format!("ask for access at {page}")),
            (Some("GatedRepo"), None) => Error::stage(format!("`{id}` is gated"))
                .help(format!("accept its terms at {page}, then set HF_TOKEN")),
            (Some("RevisionNotFound"), _) => {
                Error::stage(format!("`{id}` has no revision `{revision}`")).help(format!(
                    "its branches, tags and commits: {page}/commits/main"
                ))
            }
            (Some("EntryNotFound"), _) => Error::stage(format!("`{id}` has no file `{file}`"))
                .help(format!("its files: {page}/tree/{revision}")),
            (Some("DisabledRepo"), _) => Error::stage(format!("the Hub has disabled `{id}`")),
            (_, token) => refusal(hub, token, answer).unwrap_or_else(|| web::explain(url, answer)),
        };
        match answer.header_on_the_way("x-error-message") {
            Some(words) => error.note(format!("the Hub says: {words}")),
            None => error,
        }
    }

    /// Proposes the file that may be meant, if the Hub tells which there are.
    fn propose(&self, transfer: &Transfer<'_>, error: Error) -> Error {
        let whole = Self {
            kind: self.kind,
            id: self.id.clone(),
            revision: self.revision.clone(),
            file: String::new(),
        };
        let names = whole.look_through(transfer);
        let names = names.map_or_else(|_| BTreeSet::new(), |listing| listing.files);
        let same_name = names
            .iter()
            .find(|name| name.rsplit('/').next() == self.file.rsplit('/').next());
        let near = closest(&self.file, names.iter().map(String::as_str));
        match near.or(same_name.map(String::as_str)) {
            Some(near) => error.help(suggestion(&self.file, near)),
            None => error,
        }
    }
}

/// The Hub's refusal of who asks, if `answer` is one; a web page is rather a proxy's.
fn refusal(hub: &str, token: Option<&Token>, answer: &Answer) -> Option<Error> {
    let kind = answer.header("content-type").unwrap_or_default();
    let status = answer.status.as_u16();
    if !matches!(status, 401 | 403) || kind.starts_with("text/html") {
        return None;
    }
    let host = hub.split_once("://").map_or(hub, |(_, host)| host);
    let error = match token {
        None if status == 401 => Error::stage(format!("{host} wants to know who asks"))
            .help("set HF_TOKEN to a token that may read the repository"),
        None => return None,
        Some(Token { from, .. }) => {
            let error = Error::stage(format!("{host} refuses the token of `{from}`"));
            if status == 401 {
                error.help(format!(
                    "it may be mistyped, expired or revoked: make a new one at {hub}/settings/tokens; \
                     what is public needs none"
                ))
            } else {
                error.help(format!(
                    "see what it may read at {hub}/settings/tokens, or use another one"
                ))
            }
        }
    };
    Some(error.cause(format!("it answered {}", answer.status)))
}
