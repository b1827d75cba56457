//! A page that stays fresh, for a browser on this machine: on the loopback device alone, and nothing but the page.
//!
//! A site that somebody visits could have its name lead to this machine and read the page through the browser (DNS rebinding), so a
//! request has to name the loopback device as its host.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::gather;
use crate::config::Overrides;
use crate::error::{Context, Result};
use crate::page::{self, Keeping};
use crate::run::Project;
use crate::threads;

/// The longest request that is read, in bytes; browsers send a tenth of it.
const LONGEST: u64 = 16 << 10;

/// Who says nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many are answered at once.
const MOST: usize = 16;

/// A page that is served as long as the process lives.
#[derive(Clone)]
pub struct Served(Arc<Shared>);

struct Shared {
    pipeline: PathBuf,
    overrides: Overrides,
    port: u16,
    /// How often something has happened that the page shows.
    version: AtomicUsize,
    /// How many are being answered.
    open: AtomicUsize,
}

/// What is answered.
struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Served {
    /// Serves the page of the pipeline at `pipeline` on `port` of the loopback device; 0 for any that is free.
    ///
    /// # Errors
    /// A port that is taken or not allowed; a system that gives no thread.
    pub fn start(pipeline: PathBuf, overrides: Overrides, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .and_then(|listener| Ok((listener.local_addr()?.port(), listener)))
            .or_usage(|| format!("cannot serve the report on port {port}"));
        let (port, listener) = listener.map_err(|error| {
            error.help("name another port, as in `--report=8000`, or none for any that is free")
        })?;
        let served = Self(Arc::new(Shared {
            pipeline,
            overrides,
            port,
            version: AtomicUsize::new(1),
            open: AtomicUsize::new(0),
        }));
        let serving = served.clone();
        threads::start("report", move || serving.listen(&listener))?;
        Ok(served)
    }

    /// Where a browser finds it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.0.port)
    }

    /// Something has happened: open pages load anew.
    pub fn changed(&self) {
        self.0.version.fetch_add(1, Ordering::Relaxed);
    }

    fn listen(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            // One that broke off, or the system has no more files to open: the next may do.
            let Ok(stream) = stream else {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            if self.0.open.fetch_add(1, Ordering::Relaxed) >= MOST {
                self.0.open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let served = self.clone();
            let started = threads::start("report", move || {
                let _ = served.answer(stream);
                served.0.open.fetch_sub(1, Ordering::Relaxed);
            });
            if started.is_err() {
                self.0.open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Some(head) = head(&stream)? else {
            return Ok(());
        };
        let Answer { status, kind, body } = self.to(&head);
        let length = body.len();
        let without_body = head.starts_with("HEAD ");
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nX-Frame-Options: DENY\r\n\r\n"
        )?;
        if !without_body {
            stream.write_all(body.as_bytes())?;
        }
        stream.flush()
    }

    /// What is answered to a request with this head.
    fn to(&self, head: &str) -> Answer {
        let plain = |status, body: &str| Answer {
            status,
            kind: "text/plain",
            body: format!("{body}\n"),
        };
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let host = lines.filter_map(|line| line.split_once(':'));
        let mut hosts = host
            .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
            .map(|(_, host)| host.trim());
        let port = self.0.port;
        let is_ours =
            |host: &str| host == format!("127.0.0.1:{port}") || host == format!("localhost:{port}");
        if !(hosts.next().is_some_and(is_ours) && hosts.next().is_none()) {
            return plain(
                "403 Forbidden",
                "this page is for a browser on the same machine",
            );
        }
        if !matches!(method, "GET" | "HEAD") {
            return plain("405 Method Not Allowed", "this page can only be read");
        }
        match path {
            "/version" => plain(
                "200 OK",
                &self.0.version.load(Ordering::Relaxed).to_string(),
            ),
            "/" => self.page(),
            _ => plain("404 Not Found", "there is one page here: /"),
        }
    }

    fn page(&self) -> Answer {
        let Shared {
            pipeline,
            overrides,
            ..
        } = &*self.0;
        let found =
            Project::open(pipeline, overrides).and_then(|project| gather(&project, overrides));
        match found {
            Ok(found) => Answer {
                status: "200 OK",
                kind: "text/html",
                body: page::render(&found, Keeping::Fresh),
            },
            Err(error) => Answer {
                status: "200 OK",
                kind: "text/html",
                body: page::render_error(&error.to_string()),
            },
        }
    }
}

/// The head of a request; none if it breaks off, or does not end.
fn head(stream: &TcpStream) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    let mut stream = stream.take(LONGEST);
    loop {
        let read = stream.read(&mut piece)?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece[..read]);
        if bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}
