//! `https:` addresses, and `http:` ones of this machine.

use std::fmt;
use std::path::Path;

use super::archive::{self, Archive, Format};
use super::checksum::Sha256;
use super::download::Download;
use super::exchange::Answer;
use super::{Location, Scheme, Transfer, address};
use crate::error::{Error, Result};

/// `https://…`
pub(super) struct Https;
/// `http://…`
pub(super) struct Http;

impl Scheme for Https {
    fn name(&self) -> &'static str {
        "https"
    }

    fn form(&self) -> &'static str {
        "https://host/file, https://host/archive.zip#file"
    }

    fn parse(&self, rest: &str) -> Result<Box<dyn Location>> {
        parse(format!("https:{rest}"))
    }
}

impl Scheme for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn form(&self) -> &'static str {
        "http://127.0.0.1/file"
    }

    fn parse(&self, rest: &str) -> Result<Box<dyn Location>> {
        parse(format!("http:{rest}"))
    }
}

fn parse(text: String) -> Result<Box<dyn Location>> {
    let (url, member) = match text.split_once('#') {
        Some((url, member)) => (url.to_string(), Some(member.to_string())),
        None => (text, None),
    };
    address::check(&url)?;
    if let Some(member) = &member {
        archive::check_member(member)?;
        if Format::of(address::path(&url)).is_none() {
            return Err(Error::usage(format!(
                "`#{member}` names a file inside an archive, but `{url}` is none"
            ))
            .help(archive::FORMATS));
        }
    }
    Ok(Box::new(Address { url, member }))
}

/// A file on the web, or one inside an archive on the web.
#[derive(Debug)]
struct Address {
    url: String,
    member: Option<String>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)?;
        self.member
            .iter()
            .try_for_each(|member| write!(f, "#{member}"))
    }
}

impl Location for Address {
    fn join(&self, file: &str) -> Box<dyn Location> {
        let joined = match &self.member {
            Some(member) => Self {
                url: self.url.clone(),
                member: Some(archive::join(member, file)),
            },
            None if Format::of(address::path(&self.url)).is_some() => Self {
                url: self.url.clone(),
                member: Some(file.into()),
            },
            None => Self {
                url: address::join(&self.url, file),
                member: None,
            },
        };
        Box::new(joined)
    }

    fn check_file(&self) -> Result<()> {
        if self.member.is_none() && matches!(address::path(&self.url), "" | "/") {
            return Err(Error::usage(format!("`{}` names no file", self.url)));
        }
        Ok(())
    }

    fn fetch(&self, transfer: &Transfer<'_>, dest: &Path, pinned: Option<&Sha256>) -> Result<()> {
        if self.member.is_none() {
            return self.download(transfer, dest, pinned);
        }
        let (archive, member) = self.archive(transfer)?;
        archive.extract(member, dest, transfer.observer)
    }

    fn archive(&self, transfer: &Transfer<'_>) -> Result<(Archive, &str)> {
        let path = address::path(&self.url);
        let format = Format::of(path).ok_or_else(|| {
            Error::stage(format!("`{}` is not an archive", self.url)).help(archive::FORMATS)
        })?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let archive = transfer.package(&self.url, |folder| {
            let path = folder.join(name);
            self.download(transfer, &path, None)?;
            Ok(Archive {
                path,
                format,
                strip: 0,
            })
        })?;
        Ok((archive, self.member.as_deref().unwrap_or_default()))
    }
}

impl Address {
    fn download(
        &self,
        transfer: &Transfer<'_>,
        dest: &Path,
        pinned: Option<&Sha256>,
    ) -> Result<()> {
        Download {
            url: &self.url,
            token: None,
            pinned,
            explain: &|answer| explain(&self.url, answer),
        }
        .run(transfer, dest)
    }
}

/// What an answer means that is not the file.
pub(super) fn explain(url: &str, answer: &Answer) -> Error {
    let status = answer.status;
    let reason = status.canonical_reason().unwrap_or("unknown status");
    let error = Error::stage(match status.as_u16() {
        404 | 410 => format!("`{url}` does not exist"),
        401 | 403 | 407 => format!("the server refuses `{url}`"),
        _ => format!("the server cannot give `{url}`"),
    })
    .cause(format!("it answered {} {reason}", status.as_u16()));
    match status.as_u16() {
        404 | 410 => {
            error.help("check the address for typing errors, and whether the file was moved")
        }
        401 | 403 => error.help("it may need a login, or a proxy may block it"),
        407 => error.help("give the proxy's user name and password in HTTPS_PROXY"),
        429 => error.help("the server gets too many requests: wait a while, then run again"),
        _ => error,
    }
}
