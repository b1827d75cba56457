//! What a repository on the Hub has: its files, and the commit that its revision stands for now.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::{LONGEST_DESCRIPTION, Repository};
use crate::error::{Context, Error, Result};
use crate::sources::download::Download;
use crate::sources::{Listing, Transfer, address, archive};

/// The Hub's description of a repository.
#[derive(Deserialize)]
struct Description {
    /// The commit.
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Repository {
    /// The files of the repository, or of the folder of it that this is, at the commit that its revision stands for.
    pub(super) fn look_through(&self, transfer: &Transfer<'_>) -> Result<Listing> {
        if transfer.offline || transfer.environment.hub_offline {
            return self.look_through_cache(transfer);
        }
        let bytes = self.describe(transfer)?;
        let cannot = || format!("the Hub's description of `{self}` cannot be read");
        let description: Description = serde_json::from_slice(&bytes).or_stage(cannot)?;
        let names = description.siblings.into_iter();
        let names = names.map(|sibling| sibling.rfilename);
        self.listing(names.collect(), description.sha.as_deref())
    }

    /// The Hub's description of the repository, as JSON.
    pub(super) fn describe(&self, transfer: &Transfer<'_>) -> Result<Vec<u8>> {
        let hub = &transfer.environment.hub;
        let url = format!(
            "{hub}/api/{}s/{}/revision/{}",
            self.kind.name(),
            self.id,
            address::encode(&self.revision, false),
        );
        let token = transfer.environment.token.as_ref();
        let folder = tempfile::tempdir_in(&transfer.scratch)
            .or_stage(|| format!("cannot make a folder in `{}`", transfer.scratch.display()))?;
        let dest = folder.path().join("description.json");
        Download {
            url: &url,
            token: token.map(|token| token.secret.as_str()),
            pinned: None,
            explain: &|answer| self.explain(hub, &url, token, answer),
        }
        .run(transfer, &dest)?;
        let cannot = || format!("the Hub's description of `{self}` cannot be read");
        let length = dest.metadata().or_stage(cannot)?.len();
        if length > LONGEST_DESCRIPTION {
            return Err(Error::stage(cannot()).cause(format!("it has {length} bytes")));
        }
        std::fs::read(&dest).or_stage(cannot)
    }

    /// The same from the folder in which the official client keeps what it has downloaded.
    fn look_through_cache(&self, transfer: &Transfer<'_>) -> Result<Listing> {
        let missing = |what: String| {
            transfer
                .not_at_hand(&self.to_string())
                .cause(what)
                .help("run once with the network, or name the `files`")
        };
        let Some(snapshot) = self.snapshot(transfer) else {
            return Err(missing(
                "HF_HOME names no folder of the Hub's client".into(),
            ));
        };
        let mut names = Vec::new();
        files(&snapshot, "", DEEPEST, &mut names);
        if names.is_empty() {
            return Err(missing(format!("there is no `{}`", snapshot.display())));
        }
        let commit = snapshot.file_name().map(|name| name.to_string_lossy());
        self.listing(names, commit.as_deref())
    }

    /// `names` of all files, those of the folder that this is as they are called in there.
    fn listing(&self, names: Vec<String>, commit: Option<&str>) -> Result<Listing> {
        let is_commit = |commit: &&str| {
            commit.len() == 40 && commit.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        let names = names.into_iter().filter_map(|name| {
            let inside = match self.file.as_str() {
                "" => name.as_str(),
                folder => name.strip_prefix(folder)?.strip_prefix('/')?,
            };
            // What cannot be the name of a file is none that is wanted.
            archive::check_member(inside).ok()?;
            Some(inside.to_string())
        });
        let files: BTreeSet<String> = names.collect();
        if files.is_empty() {
            return Err(Error::stage(format!("`{self}` has no files")));
        }
        let commit = commit.filter(is_commit);
        Ok(Listing {
            files,
            at: Box::new(Self {
                kind: self.kind,
                id: self.id.clone(),
                revision: commit.unwrap_or(&self.revision).to_string(),
                file: self.file.clone(),
            }),
        })
    }
}

/// How deep in folders files are looked for.
const DEEPEST: usize = 4;

/// Adds the files in `folder` to `names`, each behind `prefix`.
fn files(folder: &Path, prefix: &str, deepest: usize, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = format!("{prefix}{}", name.to_string_lossy());
        if path.is_file() {
            names.push(name);
        } else if path.is_dir() && deepest > 0 {
            files(&path, &format!("{name}/"), deepest - 1, names);
        }
    }
}
