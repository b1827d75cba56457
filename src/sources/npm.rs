//! JavaScript packages: `npm:name@version#path/in/the/package`, by the user's own npm.

use std::ffi::OsString;
use std::path::Path;

use super::archive::Format;
use super::environment::Environment;
use super::package::{Client, Package};
use super::{Location, Scheme};
use crate::error::Result;

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

/// What is in front of the first `mark`, and what is behind it if it is there.
fn split(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

impl Client for Npm {
    fn scheme(&self) -> &'static str {
        "npm"
    }

    fn separator(&self) -> &'static str {
        "@"
    }

    fn program<'a>(&self, environment: &'a Environment) -> &'a str {
        &environment.npm
    }

    fn needs(&self) -> &'static str {
        "npm"
    }

    /// Semantic Versioning's versions: three numbers, and what follows them. Everything else is a tag or a range.
    fn is_exact(&self, version: &str) -> bool {
        let (version, build) = split(version, '+');
        let (core, pre) = split(version, '-');
        let numbers: Vec<&str> = core.split('.').collect();
        let is_number =
            |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_rest = |rest: Option<&str>| {
            rest.is_none_or(|rest| {
                rest.split('.').all(|part| {
                    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                    !part.is_empty() && part.bytes().all(letter)
                })
            })
        };
        numbers.len() == 3 && numbers.iter().all(is_number) && is_rest(pre) && is_rest(build)
    }

    fn arguments(&self, requirement: &str, folder: &Path, here: &Path) -> Vec<OsString> {
        let arguments = [
            "pack",
            "--ignore-scripts",
            "--loglevel=error",
            // Else the settings of a project are looked for in all folders above.
            "--prefix",
        ];
        let arguments = arguments.into_iter().map(OsString::from);
        let folders = [here.into(), "--pack-destination".into(), folder.into()];
        let what = ["--".into(), requirement.into()];
        arguments.chain(folders).chain(what).collect()
    }

    /// All files of the package are in one folder, `package` by habit.
    fn leaves(&self) -> (&'static str, Format, usize) {
        (".tgz", Format::TarGzip, 1)
    }

    fn complaint<'a>(&self, line: &'a str) -> Option<&'a str> {
        let words = line.strip_prefix("npm error ")?;
        (!words.is_empty() && !words.starts_with("A complete log")).then_some(words)
    }
}
