//! Packages from the registries of languages, fetched by the user's own client with its configured mirror, so that it
//! works behind a company proxy. `pip` and `npm` say how their client is called.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::archive::{self, Archive, Format};
use super::checksum::Sha256;
use super::environment::Environment;
use super::{Location, Transfer};
use crate::error::{Context, Error, Result};
use crate::{processes, threads};

/// How one registry's client is called, and what it leaves.
pub(super) trait Client: fmt::Debug + Sync + Send {
    /// The scheme: `pip`.
    fn scheme(&self) -> &'static str;

    /// What stands between name and version: `==`.
    fn separator(&self) -> &'static str;

    /// The program, for messages: `python3`.
    fn program<'a>(&self, environment: &'a Environment) -> &'a str;

    /// What the user has to install: `Python with pip`.
    fn needs(&self) -> &'static str;

    /// Whether `version` names one version, always the same, in the form of the registry.
    fn is_exact(&self, version: &str) -> bool;

    /// The arguments that put the package `requirement` (`name==version`) into `folder`. The client starts in the empty folder
    /// `here`.
    fn arguments(&self, requirement: &str, folder: &Path, here: &Path) -> Vec<OsString>;

    /// How the package that it leaves is packed: the ending of its name, the format, and how many folders to leave out
    /// in front of the names inside.
    fn leaves(&self) -> (&'static str, Format, usize);

    /// The words of a line on standard error that tell what went wrong, if it is such a line.
    fn complaint<'a>(&self, line: &'a str) -> Option<&'a str>;
}

/// A package, or a file or folder in it.
#[derive(Debug)]
pub(super) struct Package {
    client: &'static dyn Client,
    /// `name==version`.
    requirement: String,
    /// Empty for the whole package.
    member: String,
}

impl Package {
    /// Reads `name==version#path/inside`.
    pub(super) fn parse(
        client: &'static dyn Client,
        text: &str,
        form: &str,
        is_name: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let (requirement, member) = text.split_once('#').unwrap_or((text, ""));
        let refuse = |message: String| {
            Err(Error::usage(message).help(format!("write {form}, with an exact version")))
        };
        // From the right: npm's scopes begin with an @ too.
        let Some((name, version)) = requirement.rsplit_once(client.separator()) else {
            return refuse(format!("`{requirement}` has no version"));
        };
        if !is_name(name) {
            return refuse(format!("`{name}` is not the name of a package"));
        }
        if !client.is_exact(version) {
            return refuse(format!("`{version}` is not an exact version"));
        }
        if !member.is_empty() {
            archive::check_member(member)?;
        }
        Ok(Self {
            client,
            requirement: requirement.into(),
            member: member.into(),
        })
    }

    /// Lets the client put the package into `folder`. It starts in an empty folder, so that nothing in the project, which may
    /// be somebody else's, is taken for its code or its settings.
    fn download(&self, transfer: &Transfer<'_>, folder: &Path) -> Result<Archive> {
        let client = self.client;
        let program = client.program(&transfer.environment);
        let missing = |message: String| {
            Error::stage(message).help(format!(
                "`{}:` sources need {}; install it, or use another source",
                client.scheme(),
                client.needs()
            ))
        };
        let here = folder.join("here");
        std::fs::create_dir(&here).or_stage(|| format!("cannot make `{}`", here.display()))?;
        let mut command = Command::new(program);
        command
            .args(client.arguments(&self.requirement, folder, &here))
            .current_dir(&here);
        let activity = format!("{} {}", client.scheme(), self.requirement);
        let ended = match run(transfer, &mut command, &activity, &folder.join("log"))? {
            Ok(ended) => ended,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(missing(format!("there is no `{program}`")));
            }
            Err(error) => {
                let cannot = Error::stage(format!("cannot run `{program}`")).because(&error);
                return Err(if threads::is_refusal(&error) {
                    cannot.help(threads::MORE)
                } else {
                    cannot
                });
            }
        };
        let (ending, format, strip) = client.leaves();
        if ended.status.success() {
            let path = only_file(folder, ending)?;
            return Ok(Archive {
                path,
                format,
                strip,
            });
        }
        let mut complaints = ended
            .stderr
            .lines()
            .filter_map(|line| client.complaint(line));
        let Some(first) = complaints.next() else {
            let last = ended.stderr.lines().last().unwrap_or("it said nothing");
            return Err(missing(format!(
                "`{program}` ended with {}: {last}",
                ended.status
            )));
        };
        let error = Error::stage(format!("{} says: {first}", client.scheme()));
        let error = complaints.take(2).fold(error, Error::cause);
        Err(error.help(format!(
            "check name and version, and the settings of {} for a mirror or a proxy",
            client.scheme()
        )))
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.client.scheme(), self.requirement)?;
        if !self.member.is_empty() {
            write!(f, "#{}", self.member)?;
        }
        Ok(())
    }
}

impl Location for Package {
    fn join(&self, file: &str) -> Box<dyn Location> {
        Box::new(Self {
            client: self.client,
            requirement: self.requirement.clone(),
            member: archive::join(&self.member, file),
        })
    }

    fn check_file(&self) -> Result<()> {
        if self.member.is_empty() {
            return Err(
                Error::usage(format!("`{self}` is a package, not a file")).help(format!(
                    "add `#` and a file in it: {self}#path/in/the/package.csv"
                )),
            );
        }
        Ok(())
    }

    fn fetch(&self, transfer: &Transfer<'_>, dest: &Path, _: Option<&Sha256>) -> Result<()> {
        let (archive, member) = self.archive(transfer)?;
        archive.extract(member, dest, transfer.observer)
    }

    fn archive(&self, transfer: &Transfer<'_>) -> Result<(Archive, &str)> {
        let name = format!("{}:{}", self.client.scheme(), self.requirement);
        let archive = transfer.package(&name, |folder| {
            transfer.require_network(&self.to_string())?;
            self.download(transfer, folder)
                .map_err(|error| error.wrap(format!("cannot fetch `{name}`")))
        })?;
        Ok((archive, &self.member))
    }
}

/// What a client that ended said.
struct Ended {
    status: ExitStatus,
    stderr: String,
}

/// Runs a client to its end, or kills it when the fetch is cancelled. The inner error is that of starting it.
fn run(
    transfer: &Transfer<'_>,
    command: &mut Command,
    activity: &str,
    log: &Path,
) -> Result<io::Result<Ended>> {
    let file = File::create(log).or_stage(|| format!("cannot write `{}`", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file);
    processes::lead_group(command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        match processes::ended_with_group(&mut child) {
            Err(error) => return Ok(Err(error)),
            Ok(Some(status)) => {
                let stderr = std::fs::read(log).unwrap_or_default();
                let stderr = String::from_utf8_lossy(&stderr).into_owned();
                return Ok(Ok(Ended { status, stderr }));
            }
            Ok(None) => {}
        }
        transfer.observer.progress(activity, 0, 0, "bytes");
        if let Err(error) = transfer.pause(Duration::from_millis(100)) {
            processes::kill_group(&mut child);
            // There is nothing more to be done if this fails.
            let _ = child.wait();
            return Err(error);
        }
    }
}

/// The one file in `folder` whose name ends in `ending`.
fn only_file(folder: &Path, ending: &str) -> Result<PathBuf> {
    let cannot = || format!("cannot read `{}`", folder.display());
    for entry in std::fs::read_dir(folder).or_stage(cannot)? {
        let path = entry.or_stage(cannot)?.path();
        if path.to_string_lossy().ends_with(ending) {
            return Ok(path);
        }
    }
    Err(Error::stage(format!("the client left no {ending} file")))
}
