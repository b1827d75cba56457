//! Downloads: complete and right, or an error. They resume where an earlier try or an earlier run broke off.

use std::path::Path;
use std::time::{Duration, Instant};

use ureq::http::StatusCode;

use super::checksum::Sha256;
use super::exchange::{self, Answer, Failure};
use super::partial::{Partial, Version};
use super::transfer::Transfer;
use crate::error::{Error, Result};

/// Tries in a row that bring less than [`PROGRESS`].
const TRIES: u32 = 5;
/// The same for a host that nobody answers at.
const TRIES_UNREACHABLE: u32 = 2;
const PROGRESS: u64 = 1 << 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What to download.
pub(super) struct Download<'a> {
    /// The address.
    pub(super) url: &'a str,
    /// A token for the origin of the address.
    pub(super) token: Option<&'a str>,
    /// The digest that the pipeline pins.
    pub(super) pinned: Option<&'a Sha256>,
    /// Turns an answer that is not the file into an error.
    pub(super) explain: &'a dyn Fn(&Answer) -> Error,
}

impl Download<'_> {
    /// Downloads to `dest`.
    ///
    /// # Errors
    /// No connection, a refusal, a file that is cut short again and again, and a cancellation.
    pub(super) fn run(&self, transfer: &Transfer<'_>, dest: &Path) -> Result<()> {
        transfer.require_network(self.url)?;
        let host = super::address::check(self.url)?.host();
        transfer.check_reachable(&host)?;
        let mut partial = Partial::open(&transfer.downloads, self.url)?;
        if partial.is_damaged() {
            transfer.observer.notice(format!(
                "what an interrupted download of `{}` left is damaged: it begins anew",
                self.url
            ));
        }
        match self.complete(transfer, &mut partial, &host) {
            Ok(()) => partial.finish(dest),
            Err(error) => {
                if partial.len() == 0 {
                    partial.discard()?;
                }
                Err(error)
            }
        }
    }

    /// Fills `partial` with the right bytes; once from the beginning if they were pieced together and do not fit.
    fn complete(&self, transfer: &Transfer<'_>, partial: &mut Partial, host: &str) -> Result<()> {
        loop {
            let promised = self.persist(transfer, partial, host)?;
            let pieced = partial.is_pieced();
            let expected = match self.pinned {
                // The caller compares it anyway.
                Some(pinned) => Some(*pinned).filter(|_| pieced),
                None => promised,
            };
            let tick = || transfer.observer.check_cancelled();
            match expected {
                Some(expected) if partial.sha256(&tick)? != expected => partial.forget()?,
                _ => return Ok(()),
            }
            if !pieced {
                return Err(self.wrong(promised));
            }
        }
    }

    /// Asks until all bytes are there, or until it is no use. Returns the digest that the server promises.
    fn persist(
        &self,
        transfer: &Transfer<'_>,
        partial: &mut Partial,
        host: &str,
    ) -> Result<Option<Sha256>> {
        let mut failures = 0;
        loop {
            let before = partial.len();
            let (error, wait, is_reachable) = match self.attempt(transfer, partial) {
                Ok(promised) => return Ok(promised),
                Err(Failure::Stop(error)) => return Err(error),
                Err(Failure::Again(error, wait)) => (error, wait, true),
                Err(Failure::Unreachable(error)) => (error, None, false),
            };
            if partial.len() >= before + PROGRESS {
                failures = 0;
            }
            failures += 1;
            if failures >= TRIES || !is_reachable && failures >= TRIES_UNREACHABLE {
                let error = error.note(format!("tried {failures} times"));
                if !is_reachable {
                    transfer.mark_unreachable(host, error.clone());
                }
                return Err(error);
            }
            let pause = transfer.environment.pause * 2_u32.pow(failures - 1);
            transfer.pause(wait.unwrap_or(pause).min(LONGEST_PAUSE))?;
        }
    }

    /// One request; `partial` is complete when it succeeds. Returns the digest that the server promises.
    fn attempt(
        &self,
        transfer: &Transfer<'_>,
        partial: &mut Partial,
    ) -> Result<Option<Sha256>, Failure> {
        let asked = Ask::of(partial, self.pinned.is_some());
        if asked == Ask::Nothing {
            return Ok(None);
        }
        let answer = exchange::get(transfer, self.url, &asked.headers(partial), self.token)?;
        let promised = linked_digest(&answer);
        if let (Some(pinned), Some(promised)) = (self.pinned, promised)
            && *pinned != promised
        {
            return Err(self.wrong(Some(promised)).into());
        }
        let offered = version(self.url, &answer);
        match answer.status {
            StatusCode::NOT_MODIFIED
                if asked == Ask::Whether && !differs(&offered, partial.version()) =>
            {
                return Ok(promised);
            }
            StatusCode::OK => partial.start(offered)?,
            StatusCode::PARTIAL_CONTENT => {
                match continues(&answer, &offered, partial, self.pinned.is_some()) {
                    Some(total) => partial.resume(total),
                    None => return Err(self.moved(partial)),
                }
            }
            StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(self.moved(partial));
            }
            status if is_passing(status) => {
                let wait = answer
                    .header("retry-after")
                    .and_then(|text| text.parse().ok());
                return Err(Failure::Again(
                    (self.explain)(&answer),
                    wait.map(Duration::from_secs),
                ));
            }
            _ => return Err((self.explain)(&answer).into()),
        }
        self.receive(transfer, &answer, partial)?;
        Ok(promised)
    }

    /// Writes the body to `partial` and checks that it is all there.
    fn receive(
        &self,
        transfer: &Transfer<'_>,
        answer: &Answer,
        partial: &mut Partial,
    ) -> Result<(), Failure> {
        let name = super::address::path(self.url)
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let activity = format!("download {name}");
        let total = partial.version().total;
        let mut shown: Option<Instant> = None;
        loop {
            let got = partial.len();
            if shown.is_none_or(|at| at.elapsed() >= Duration::from_millis(100)) {
                transfer
                    .observer
                    .progress(&activity, got, total.unwrap_or(0), "bytes");
                shown = Some(Instant::now());
            }
            match answer.next_piece(transfer) {
                Ok(Some(piece)) => {
                    if got == 0 {
                        self.refuse_web_page(answer, &piece)?;
                    }
                    partial.add(&piece)?;
                }
                Ok(None) if total.is_none_or(|total| got == total) => {
                    transfer.observer.progress(&activity, got, got, "bytes");
                    return Ok(());
                }
                Ok(None) => return Err(Failure::Again(self.cut(got, total), None)),
                Err(Failure::Again(error, wait)) => {
                    let cause = error.causes().first().cloned().unwrap_or_default();
                    return Err(Failure::Again(self.cut(got, total).cause(cause), wait));
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// A login page or a proxy's message must not be taken for the file.
    fn refuse_web_page(&self, answer: &Answer, start: &[u8]) -> Result<()> {
        let kind = answer.header("content-type").unwrap_or_default();
        let path = Path::new(super::address::path(self.url));
        let is_wanted = path.extension().is_some_and(|ending| {
            ending.eq_ignore_ascii_case("html") || ending.eq_ignore_ascii_case("htm")
        });
        let start = String::from_utf8_lossy(&start[..start.len().min(100)]).to_lowercase();
        let is_page = ["<!doctype html", "<html"]
            .iter()
            .any(|tag| start.trim_start().starts_with(tag));
        if kind.starts_with("text/html") && is_page && !is_wanted {
            let message = format!("`{}` answers with a web page instead of the file", self.url);
            return Err(Error::stage(message)
                .help("open the address in a browser: a login or a proxy may be in the way"));
        }
        Ok(())
    }

    /// Forgets the bytes, because the server does not say that the rest belongs to them.
    fn moved(&self, partial: &mut Partial) -> Failure {
        match partial.forget() {
            Ok(()) => {
                let moved = Error::stage(format!("`{}` changed during the download", self.url));
                Failure::Again(moved, Some(Duration::ZERO))
            }
            Err(error) => error.into(),
        }
    }

    fn cut(&self, got: u64, total: Option<u64>) -> Error {
        let total = total.map_or(String::new(), |total| format!(" of {total}"));
        Error::stage(format!(
            "the download of `{}` broke off: got {got}{total} bytes",
            self.url
        ))
        .help("run again: it goes on where it broke off")
    }

    fn wrong(&self, promised: Option<Sha256>) -> Error {
        let error = Error::stage(match self.pinned {
            Some(_) => format!("`{}` is not the file that the pipeline pins", self.url),
            None => format!("`{}` arrived with other bytes than announced", self.url),
        });
        match (self.pinned, promised) {
            (Some(pinned), Some(promised)) => error
                .note(format!("expected {pinned}"))
                .note(format!("offered  {promised}")),
            _ => error,
        }
    }
}

/// What is asked of the server, given what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// Nothing: all bytes are there, and a digest tells whether they are right.
    Nothing,
    /// Whether the complete bytes are still right.
    Whether,
    /// What is missing.
    Rest,
    /// The whole file.
    All,
}

impl Ask {
    fn of(partial: &Partial, pinned: bool) -> Self {
        let version = partial.version();
        let complete = version.total == Some(partial.len());
        match (partial.len(), pinned, &version.etag) {
            (0, ..) | (_, false, None) => Self::All,
            (_, true, _) if complete => Self::Nothing,
            (_, false, Some(_)) if complete => Self::Whether,
            _ => Self::Rest,
        }
    }

    fn headers(self, partial: &Partial) -> Vec<(&'static str, String)> {
        let etag = partial.version().etag.clone();
        match self {
            Self::Nothing | Self::All => Vec::new(),
            Self::Whether => etag
                .map(|etag| ("if-none-match", etag))
                .into_iter()
                .collect(),
            Self::Rest => etag
                .map(|etag| ("if-range", etag))
                .into_iter()
                .chain([("range", format!("bytes={}-", partial.len()))])
                .collect(),
        }
    }
}

/// The version that an answer brings: of the whole file, unless it is a part.
fn version(url: &str, answer: &Answer) -> Version {
    let plain = is_plain(answer);
    let strong = |etag: &&str| plain && !etag.starts_with("W/");
    Version {
        url: url.into(),
        etag: answer.header("etag").filter(strong).map(Into::into),
        modified: answer.header("last-modified").map(Into::into),
        total: answer
            .header("content-length")
            .filter(|_| plain)
            .and_then(|length| length.parse().ok()),
    }
}

/// Whether the bytes arrive as they are stored. Lengths say nothing about those that ureq has unpacked.
fn is_plain(answer: &Answer) -> bool {
    let coding = answer.header("content-encoding");
    coding.is_none_or(|coding| coding == "identity")
}

/// The size of the whole file, if a partial answer goes on exactly where `partial` ends, in the same version.
///
/// Some servers and caches send a part whatever `If-Range` says. So the answer has to name the version itself, as
/// RFC 9110 (15.3.7) demands of it; for bytes that a digest checks it is enough that it names no other.
fn continues(
    answer: &Answer,
    offered: &Version,
    partial: &Partial,
    is_pinned: bool,
) -> Option<u64> {
    let known = partial.version();
    let is_named = offered.etag.is_some() || is_pinned;
    if !is_plain(answer) || !is_named || differs(offered, known) {
        return None;
    }
    let range = answer.header("content-range")?.strip_prefix("bytes ")?;
    let (range, total) = range.split_once('/')?;
    let start: u64 = range.split('-').next()?.parse().ok()?;
    let total: Option<u64> = total.parse().ok();
    let is_same = total.is_none() || known.total.is_none() || total == known.total;
    (start == partial.len() && is_same).then_some(known.total.or(total)?)
}

/// Whether an answer speaks of another version than the one that is known; what either leaves open cannot differ.
fn differs(offered: &Version, known: &Version) -> bool {
    let differ = |ours: &Option<String>, theirs: &Option<String>| {
        ours.is_some() && theirs.is_some() && ours != theirs
    };
    differ(&offered.etag, &known.etag) || differ(&offered.modified, &known.modified)
}

/// The digest that the Hub gives for a large file.
fn linked_digest(answer: &Answer) -> Option<Sha256> {
    let tag = answer.header_on_the_way("x-linked-etag")?.trim_matches('"');
    tag.parse().ok()
}

/// Whether asking again later may help.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}
