//! JavaScript packages: `npm:name@version#path/in/the/package`, by the user's own npm.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use super::archive::{Archive, Format};
use super::package::{Client, Package, only_file, run};
use super::{Location, Scheme, Transfer};
use crate::error::{Error, Result};

/// `npm:…`
#[derive(Debug)]
pub(super) struct Npm;

impl Scheme for Npm {
    fn name(&self) -> &'static str {
        "npm"
    }

    fn form(&self) -> &'static str {
        "npm:name@version#path/in/the/package"
    }

    fn parse(&self, rest: &str) -> Result<Box<dyn Location>> {
        let is_part = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_alphanumeric())
                && part
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "-_.~".contains(letter))
        };
        let is_name = |name: &str| match name.strip_prefix('@') {
            Some(scoped) => scoped
                .split_once('/')
                .is_some_and(|(scope, name)| is_part(scope) && is_part(name)),
            None => is_part(name),
        };
        Ok(Box::new(Package::parse(&Self, rest, self.form(), is_name)?))
    }
}

impl Client for Npm {
    fn scheme(&self) -> &'static str {
        "npm"
    }

    fn separator(&self) -> &'static str {
        "@"
    }

    fn download(
        &self,
        transfer: &Transfer<'_>,
        requirement: &str,
        folder: &Path,
    ) -> Result<Archive> {
        let npm = &transfer.environment.npm;
        let mut command = Command::new(npm);
        command
            .args([
                "pack",
                "--ignore-scripts",
                "--loglevel",
                "error",
                "--pack-destination",
            ])
            .arg(folder)
            .arg("--")
            .arg(requirement);
        let activity = format!("npm pack {requirement}");
        let cannot = || Error::stage(format!("cannot fetch `npm:{requirement}`"));
        let ended = match run(transfer, &mut command, &activity, &folder.join("log"))? {
            Ok(ended) => ended,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(cannot()
                    .cause(format!("there is no `{npm}`"))
                    .help("`npm:` sources need npm; install it, or use another source"));
            }
            Err(error) => return Err(cannot().because(&error)),
        };
        if ended.status.success() {
            return Ok(Archive {
                path: only_file(folder, ".tgz")?,
                format: Format::TarGzip,
                strip: 1,
            });
        }
        let lines = ended
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("npm error "));
        let lines = lines.filter(|line| !line.starts_with("A complete log") && !line.is_empty());
        let mut error = cannot()
            .help("check name and version, and npm's own settings for a registry or a proxy");
        for line in lines.take(3) {
            error = error.cause(format!("npm: {line}"));
        }
        if error.causes().is_empty() {
            error = error.cause(format!("npm ended with {}", ended.status));
        }
        Err(error)
    }
}
