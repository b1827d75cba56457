//! Python packages: `pip:name==version#path/in/the/wheel`, by the user's own pip.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use super::archive::{Archive, Format};
use super::package::{Client, Package, only_file, run};
use super::{Location, Scheme, Transfer};
use crate::error::{Error, Result};

/// `pip:…`
#[derive(Debug)]
pub(super) struct Pip;

impl Scheme for Pip {
    fn name(&self) -> &'static str {
        "pip"
    }

    fn form(&self) -> &'static str {
        "pip:name==version#path/in/the/wheel"
    }

    fn parse(&self, rest: &str) -> Result<Box<dyn Location>> {
        // PEP 508's names; one that begins with a dash would be an option.
        let is_name = |name: &str| {
            name.starts_with(|first: char| first.is_ascii_alphanumeric())
                && name
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
        };
        Ok(Box::new(Package::parse(&Self, rest, self.form(), is_name)?))
    }
}

impl Client for Pip {
    fn scheme(&self) -> &'static str {
        "pip"
    }

    fn separator(&self) -> &'static str {
        "=="
    }

    fn download(
        &self,
        transfer: &Transfer<'_>,
        requirement: &str,
        folder: &Path,
    ) -> Result<Archive> {
        let python = &transfer.environment.python;
        let mut command = Command::new(python);
        command
            .args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--no-input",
                "--quiet",
            ])
            .args(["--disable-pip-version-check", "--progress-bar", "off"])
            // Looking into a source archive would run its code.
            .args(["--only-binary", ":all:", "--dest"])
            .arg(folder)
            .arg(requirement);
        let activity = format!("pip download {requirement}");
        let cannot = || Error::stage(format!("cannot fetch `pip:{requirement}`"));
        let ended = match run(transfer, &mut command, &activity, &folder.join("log"))? {
            Ok(ended) => ended,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(cannot().cause(format!("there is no `{python}`")).help(
                    "`pip:` sources need Python with pip; install it, or use another source",
                ));
            }
            Err(error) => return Err(cannot().because(&error)),
        };
        if ended.status.success() {
            return Ok(Archive {
                path: only_file(folder, ".whl")?,
                format: Format::Zip,
                strip: 0,
            });
        }
        if ended.stderr.contains("No module named pip") {
            return Err(cannot()
                .cause(format!("`{python}` has no pip"))
                .help("install pip (`python3 -m ensurepip`), or use another source"));
        }
        let mut error =
            cannot().help("check name and version, and pip's own settings for an index or a proxy");
        let lines = ended
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("ERROR: "));
        for line in lines.take(3) {
            error = error.cause(format!("pip: {line}"));
        }
        if error.causes().is_empty() {
            let last = ended.stderr.lines().last().unwrap_or("no message");
            error = error.cause(format!("pip ended with {}: {last}", ended.status));
        }
        Err(error)
    }
}
