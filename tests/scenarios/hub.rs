//! A stand-in for the Hugging Face Hub and for any web server, on loopback: real HTTP, with the faults that real servers
//! have. Used by the scenarios (`HF_ENDPOINT=hub.url()`) and by the unit tests of `sources`.
//!
//! It answers what `huggingface_hub` asks for: `/api/{models,datasets}/ID[/revision/REV]`, `…/tree/REV`, HEAD and GET of
//! `/[datasets/]ID/resolve/REV/FILE` with `ETag`, `X-Repo-Commit`, `Range` and `If-None-Match`. Large files are
//! redirected to a second port with `X-Linked-Size` and `X-Linked-ETag`. Errors carry `X-Error-Code`. Plain files are
//! at `/files/NAME`.

#![allow(dead_code, reason = "each of its users needs a part of it")]

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// The commit that every repository is at; `main` and `v1.0` name it too.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Files of at least this size are large: they are redirected.
pub(crate) const LARGE: usize = 1000;

/// When every file was last changed.
const MODIFIED: &str = "Mon, 02 Nov 2026 10:00:00 GMT";

/// What goes wrong with one answer that would carry a file.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The whole file comes although a part was asked for.
    IgnoreRange,
    /// A web page with this status comes instead.
    WebPage(u16),
    /// This status comes without the file, and with `Retry-After: 0`.
    Status(u16),
    /// Nothing comes.
    Silence,
    /// The file comes without an entity tag, in chunks of unknown total.
    Unmarked,
    /// The same, but the connection ends before the last chunk.
    UnmarkedCut,
    /// Other bytes of the same length come under the same entity tag.
    Corrupt,
    /// The part that was asked for comes whatever `If-Range` says, with these headers in place of its own; an empty
    /// one is left out.
    AnyPart(&'static [(&'static str, &'static str)]),
    /// A complete copy is said to be still right, whatever its entity tag.
    NeverModified,
}

/// What a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `GET` or `HEAD`.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Name in lower case → value.
    pub(crate) headers: BTreeMap<String, String>,
    /// Whether it came to the second port.
    pub(crate) to_content_host: bool,
}

impl Request {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

#[derive(Default)]
struct Repository {
    files: BTreeMap<String, Vec<u8>>,
    gated: bool,
    private: bool,
}

#[derive(Default)]
struct State {
    /// `org/name` or `datasets/org/name` → the repository.
    repositories: BTreeMap<String, Repository>,
    plain: BTreeMap<String, Vec<u8>>,
    redirects: BTreeMap<String, String>,
    faults: VecDeque<Fault>,
    refusal: Option<(u16, &'static str)>,
    requests: Vec<Request>,
    content_host: String,
}

/// A running server. Its threads end with the process.
pub(crate) struct Hub {
    url: String,
    content_host: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// Starts one on two free ports.
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let url = listen(&state, false);
        let content_host = listen(&state, true);
        lock(&state).content_host.clone_from(&content_host);
        Self {
            url,
            content_host,
            state,
        }
    }

    /// Its address, for `HF_ENDPOINT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The address of the plain file `name`.
    pub(crate) fn file_url(&self, name: &str) -> String {
        format!("{}/files/{name}", self.url)
    }

    /// Puts a file into the repository `org/name` or `datasets/org/name`.
    pub(crate) fn put(&self, repository: &str, file: &str, bytes: impl Into<Vec<u8>>) -> &Self {
        let mut state = lock(&self.state);
        let repository = state.repositories.entry(repository.into()).or_default();
        repository.files.insert(file.into(), bytes.into());
        drop(state);
        self
    }

    /// Puts a plain file at `/files/NAME`.
    pub(crate) fn put_file(&self, name: &str, bytes: impl Into<Vec<u8>>) -> &Self {
        lock(&self.state).plain.insert(name.into(), bytes.into());
        self
    }

    /// Redirects `/files/NAME` to an address; `{content}` in it becomes the second port's.
    pub(crate) fn redirect(&self, name: &str, to: &str) -> &Self {
        let to = to.replace("{content}", &self.content_host);
        lock(&self.state).redirects.insert(name.into(), to);
        self
    }

    /// Makes a repository gated: it wants any token.
    pub(crate) fn gate(&self, repository: &str) -> &Self {
        let mut state = lock(&self.state);
        state
            .repositories
            .entry(repository.into())
            .or_default()
            .gated = true;
        drop(state);
        self
    }

    /// Makes a repository private: without a token it does not exist.
    pub(crate) fn hide(&self, repository: &str) -> &Self {
        let mut state = lock(&self.state);
        state
            .repositories
            .entry(repository.into())
            .or_default()
            .private = true;
        drop(state);
        self
    }

    /// Refuses all tokens with a status and a message.
    pub(crate) fn refuse_tokens(&self, status: u16, message: &'static str) -> &Self {
        lock(&self.state).refusal = Some((status, message));
        self
    }

    /// Lets the next answer with a file go wrong; may be called several times.
    pub(crate) fn fail(&self, fault: Fault) -> &Self {
        lock(&self.state).faults.push_back(fault);
        self
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.state).requests.clone()
    }
}

/// A panicking test must not make the others fail.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(state: &Arc<Mutex<State>>, is_content_host: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            // A client that hangs up is no failure.
            std::thread::spawn(move || drop(serve(&state, stream, is_content_host)));
        }
    });
    format!("http://{address}")
}

fn serve(
    state: &Mutex<State>,
    mut stream: TcpStream,
    to_content_host: bool,
) -> std::io::Result<()> {
    let Some(request) = read(&stream, to_content_host)? else {
        return Ok(());
    };
    let (answer, fault) = {
        let mut state = lock(state);
        state.requests.push(request.clone());
        let answer = state.answer(&request);
        let carries_file = request.method == "GET" && answer.file.is_some();
        let fault = carries_file.then(|| state.faults.pop_front()).flatten();
        (answer, fault)
    };
    answer.write(&request, fault.as_ref(), &mut stream)
}

fn read(stream: &TcpStream, to_content_host: bool) -> std::io::Result<Option<Request>> {
    let mut lines = BufReader::new(stream.take(1 << 16)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(String::from);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        match line.split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_string()),
            None => break,
        };
    }
    Ok(Some(Request {
        method,
        path,
        headers,
        to_content_host,
    }))
}

/// An answer before faults and ranges.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The entity tag, if the body is a file.
    file: Option<String>,
}

impl Answer {
    fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            file: None,
        }
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        let mut answer = Self::status(status);
        answer.headers.push(("X-Error-Code", code.into()));
        answer.headers.push(("X-Error-Message", message.into()));
        answer
    }

    fn json(value: &serde_json::Value) -> Self {
        let mut answer = Self::status(200);
        answer
            .headers
            .push(("Content-Type", "application/json".into()));
        answer.body = value.to_string().into_bytes();
        answer
    }

    fn file(bytes: &[u8]) -> Self {
        let mut answer = Self::status(200);
        answer.file = Some(format!("\"{}\"", &sha256(bytes)[..40]));
        answer.body = bytes.to_vec();
        answer
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn write(
        mut self,
        request: &Request,
        fault: Option<&Fault>,
        stream: &mut TcpStream,
    ) -> std::io::Result<()> {
        let mut cut = usize::MAX;
        let mut is_chunked = false;
        let mut takes_ranges = true;
        match fault {
            Some(Fault::Cut(bytes)) => cut = *bytes,
            Some(Fault::IgnoreRange) => takes_ranges = false,
            Some(Fault::WebPage(status)) => {
                self = Self::status(*status).with("Content-Type", "text/html; charset=utf-8");
                self.body = b"<!doctype html><title>Please log in</title>".to_vec();
            }
            Some(Fault::Status(status)) => self = Self::status(*status).with("Retry-After", "0"),
            Some(Fault::Silence) => {
                std::thread::sleep(Duration::from_secs(5));
                return Ok(());
            }
            Some(Fault::Unmarked | Fault::UnmarkedCut) => {
                is_chunked = true;
                takes_ranges = false;
                self.file = None;
            }
            Some(Fault::Corrupt) => self.body.iter_mut().for_each(|byte| *byte ^= 1),
            Some(Fault::AnyPart(_) | Fault::NeverModified) | None => {}
        }
        if let Some(etag) = self.file.take() {
            self.mark(request, &etag, takes_ranges, fault);
        }
        if let Some(Fault::AnyPart(headers)) = fault {
            self.headers
                .retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
            let stated = headers.iter().filter(|(_, value)| !value.is_empty());
            self.headers
                .extend(stated.map(|(name, value)| (*name, (*value).to_string())));
        }
        let mut head = format!("HTTP/1.1 {} Whatever\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").expect("a string");
        }
        if is_chunked {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            for chunk in self.body.chunks(700) {
                write!(stream, "{:x}\r\n", chunk.len())?;
                stream.write_all(chunk)?;
                stream.write_all(b"\r\n")?;
            }
            let is_cut = matches!(fault, Some(Fault::UnmarkedCut));
            return stream.write_all(if is_cut { b"" } else { b"0\r\n\r\n" });
        }
        if self.status != 304 {
            write!(head, "Content-Length: {}\r\n", self.body.len()).expect("a string");
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        if request.method != "HEAD" {
            stream.write_all(&self.body[..cut.min(self.body.len())])?;
        }
        Ok(())
    }

    /// Adds the entity tag of a file, and answers `If-None-Match`, `Range` and `If-Range`.
    fn mark(&mut self, request: &Request, etag: &str, takes_ranges: bool, fault: Option<&Fault>) {
        self.headers.push(("ETag", etag.into()));
        self.headers.push(("Last-Modified", MODIFIED.into()));
        self.headers.push(("Accept-Ranges", "bytes".into()));
        let known = request.header("if-none-match");
        if known == Some(etag) || matches!(fault, Some(Fault::NeverModified)) {
            self.status = 304;
            self.body.clear();
            return;
        }
        let start = request
            .header("range")
            .filter(|_| takes_ranges)
            .filter(|_| {
                let tag = request.header("if-range");
                tag.is_none_or(|tag| tag == etag) || matches!(fault, Some(Fault::AnyPart(_)))
            })
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse::<usize>()
                    .ok()
            });
        let total = self.body.len();
        match start {
            Some(start) if start >= total => {
                self.status = 416;
                self.headers
                    .push(("Content-Range", format!("bytes */{total}")));
                self.body.clear();
            }
            Some(start) => {
                self.status = 206;
                let range = format!("bytes {start}-{}/{total}", total - 1);
                self.headers.push(("Content-Range", range));
                self.body.drain(..start);
            }
            None => {}
        }
    }
}

impl State {
    fn answer(&self, request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        let path = decoded(path);
        if let Some(name) = path.strip_prefix("/files/") {
            return match (self.redirects.get(name), self.plain.get(name)) {
                (Some(to), _) => Answer::status(302).with("Location", to),
                (_, Some(bytes)) => Answer::file(bytes),
                _ => Answer::status(404),
            };
        }
        if let Some(digest) = path.strip_prefix("/content/") {
            let mut files = self
                .repositories
                .values()
                .flat_map(|repository| repository.files.values());
            return match files.find(|bytes| sha256(bytes) == digest) {
                Some(bytes) => Answer::file(bytes),
                None => Answer::status(403),
            };
        }
        if let Some(rest) = path.strip_prefix("/api/") {
            return self.describe(rest.strip_prefix("models/").unwrap_or(rest));
        }
        let path = path.trim_start_matches('/');
        match path.split_once("/resolve/") {
            Some((id, rest)) => match rest.split_once('/') {
                Some((revision, file)) => self.resolve(request, id, revision, file),
                None => Answer::status(404),
            },
            None => Answer::status(404),
        }
    }

    /// `/[datasets/]ID/resolve/REVISION/FILE`
    fn resolve(&self, request: &Request, id: &str, revision: &str, file: &str) -> Answer {
        let has_token = request
            .header("authorization")
            .is_some_and(|value| value.starts_with("Bearer "));
        if let Some((status, message)) = self.refusal.filter(|_| has_token) {
            return Answer::status(status).with("X-Error-Message", message);
        }
        let Some(repository) = self
            .repositories
            .get(id)
            .filter(|it| has_token || !it.private)
        else {
            return Answer::error(401, "RepoNotFound", "Repository not found");
        };
        if repository.gated && !has_token {
            return Answer::error(401, "GatedRepo", "Access to this model is restricted");
        }
        if !is_revision(revision) {
            return Answer::error(404, "RevisionNotFound", "Invalid rev id");
        }
        let Some(bytes) = repository.files.get(file) else {
            return Answer::error(404, "EntryNotFound", "Entry not found")
                .with("X-Repo-Commit", COMMIT);
        };
        if bytes.len() < LARGE {
            return Answer::file(bytes).with("X-Repo-Commit", COMMIT);
        }
        let digest = sha256(bytes);
        Answer::status(302)
            .with("X-Repo-Commit", COMMIT)
            .with("X-Linked-Size", bytes.len().to_string())
            .with("X-Linked-ETag", format!("\"{digest}\""))
            .with(
                "Location",
                format!("{}/content/{digest}", self.content_host),
            )
    }

    /// `ID[/revision/REVISION]` and `ID/tree/REVISION`
    fn describe(&self, path: &str) -> Answer {
        let (id, revision) = path
            .split_once("/revision/")
            .or_else(|| path.split_once("/tree/"))
            .unwrap_or((path, "main"));
        let Some(repository) = self.repositories.get(id) else {
            return Answer::error(404, "RepoNotFound", "Repository not found");
        };
        if !is_revision(revision) {
            return Answer::error(404, "RevisionNotFound", "Invalid rev id");
        }
        let files = repository.files.iter();
        if path.contains("/tree/") {
            let entry = |(name, bytes): (&String, &Vec<u8>)| {
                let oid = &sha256(bytes)[..40];
                serde_json::json!({"type": "file", "path": name, "size": bytes.len(), "oid": oid})
            };
            return Answer::json(&files.map(entry).collect());
        }
        let siblings: Vec<_> = files
            .map(|(name, _)| serde_json::json!({"rfilename": name}))
            .collect();
        let id = id.trim_start_matches("datasets/");
        Answer::json(&serde_json::json!({"id": id, "sha": COMMIT, "siblings": siblings}))
    }
}

/// `path` without percent-encoding.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2.min(part.len()));
        bytes.push(u8::from_str_radix(code, 16).unwrap_or(b'?'));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_revision(revision: &str) -> bool {
    ["main", "v1.0", COMMIT].contains(&revision)
}

/// The digest of `bytes` as 64 hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string");
            hex
        })
}
