//! Python packages: `pip:name==version#path/in/the/wheel`, by the user's own pip.

use std::ffi::OsString;
use std::path::Path;

use super::archive::Format;
use super::environment::Environment;
use super::package::{Client, Package};
use super::{Location, Scheme};
use crate::error::Result;

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

    fn program<'a>(&self, environment: &'a Environment) -> &'a str {
        &environment.python
    }

    fn needs(&self) -> &'static str {
        "Python with pip"
    }

    /// PEP 440's versions without a wildcard. They begin with a digit, or a `v` that does not count.
    fn is_exact(&self, version: &str) -> bool {
        let digits = version.strip_prefix(['v', 'V']).unwrap_or(version);
        digits.starts_with(|first: char| first.is_ascii_digit())
            && digits
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || ".!+-_".contains(letter))
    }

    fn arguments(&self, requirement: &str, folder: &Path, _: &Path) -> Vec<OsString> {
        let arguments = [
            // Isolated: neither the folder that it starts in nor PYTHONPATH holds its code.
            "-I",
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--no-input",
            "--quiet",
            "--disable-pip-version-check",
            "--progress-bar=off",
            // Looking into a source archive would run its code.
            "--only-binary=:all:",
            "--dest",
        ];
        let arguments = arguments.into_iter().map(OsString::from);
        arguments
            .chain([folder.into(), requirement.into()])
            .collect()
    }

    fn leaves(&self) -> (&'static str, Format, usize) {
        (".whl", Format::Zip, 0)
    }

    fn complaint<'a>(&self, line: &'a str) -> Option<&'a str> {
        line.strip_prefix("ERROR: ")
    }
}
