//! One HTTP GET with its redirects: cancellable at any moment, and careful with the token.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};

use super::address::{self, Origin};
use super::environment::Environment;
use super::transfer::Transfer;
use crate::error::{Error, Result};
use crate::threads;

const REDIRECTS: usize = 10;
const PIECE: usize = 256 << 10;
/// How long a cancellation may go unnoticed.
const TICK: Duration = Duration::from_millis(100);

/// Why there is no answer, and whether asking again may help.
pub(super) enum Failure {
    /// It will fail again.
    Stop(Error),
    /// The server is there, but something went wrong on the way; it may say how long to wait.
    Again(Error, Option<Duration>),
    /// Nobody answers at that host.
    Unreachable(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Stop(error)
    }
}

/// The head of an answer, and its body as it arrives.
pub(super) struct Answer {
    /// The status after all redirects.
    pub(super) status: StatusCode,
    /// The headers after all redirects.
    headers: HeaderMap,
    /// The headers of the redirects.
    on_the_way: Vec<HeaderMap>,
    /// Whether the server that answers got the token.
    pub(super) got_token: bool,
    pieces: Receiver<Piece>,
}

enum Piece {
    Head(StatusCode, HeaderMap),
    Bytes(Vec<u8>),
    End,
    Failed(ureq::Error),
}

/// The agent for all requests of a [`Transfer`]: proxies from the environment, the system's certificates.
pub(super) fn agent(environment: &Environment) -> ureq::Agent {
    let patience = Some(environment.patience);
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("refire/", env!("CARGO_PKG_VERSION")))
        // Lengths, ranges and digests are those of the bytes as they are sent.
        .accept_encoding("identity")
        .timeout_connect(Some(environment.patience.min(Duration::from_secs(15))))
        .timeout_recv_response(patience)
        .timeout_per_read(patience)
        .build()
        .new_agent()
}

/// Asks for `url` and follows redirects. `token` goes to the origin of `url` only.
pub(super) fn get(
    transfer: &Transfer<'_>,
    url: &str,
    headers: &[(&'static str, String)],
    token: Option<&str>,
) -> Result<Answer, Failure> {
    let home = address::check(url)?;
    let mut url = url.to_string();
    let mut on_the_way = Vec::new();
    for _ in 0..=REDIRECTS {
        let origin = address::check(&url)?;
        let mut headers = headers.to_vec();
        let token = token.filter(|_| origin == home);
        if let Some(token) = token {
            headers.push(("authorization", format!("Bearer {token}")));
        }
        let pieces = send(transfer.agent(), &url, headers, origin.is_loopback())?;
        let (status, headers) = match next(transfer, &pieces)? {
            Piece::Head(status, headers) => (status, headers),
            Piece::Failed(error) => return Err(no_answer(&error, &url, &origin)),
            Piece::Bytes(_) | Piece::End => unreachable!("a body before its head"),
        };
        match headers.get("location").and_then(|to| to.to_str().ok()) {
            Some(to) if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                url = address::redirect(&url, to);
                on_the_way.push(headers);
            }
            _ => {
                return Ok(Answer {
                    status,
                    headers,
                    on_the_way,
                    got_token: token.is_some(),
                    pieces,
                });
            }
        }
    }
    Err(Error::stage(format!("`{url}` redirects in a cycle")).into())
}

impl Answer {
    /// A header of the final answer.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A header of the final answer or else of a redirect on the way to it.
    pub(super) fn header_on_the_way(&self, name: &str) -> Option<&str> {
        self.header(name).or_else(|| {
            self.on_the_way
                .iter()
                .find_map(|headers| headers.get(name)?.to_str().ok())
        })
    }

    /// The next piece of the body; none at its end, whether or not it is whole.
    ///
    /// # Errors
    /// A connection that broke, an idle server, and a cancellation.
    pub(super) fn next_piece(&self, transfer: &Transfer<'_>) -> Result<Option<Vec<u8>>, Failure> {
        match next(transfer, &self.pieces)? {
            Piece::Bytes(bytes) => Ok(Some(bytes)),
            Piece::End | Piece::Head(..) => Ok(None),
            Piece::Failed(error) => {
                let broken = Error::stage("the connection broke").because(&error);
                Err(Failure::Again(broken, None))
            }
        }
    }
}

/// Sends one request on a thread of its own, because a blocked read cannot be cancelled.
/// The thread ends when the body does, or when the receiver is dropped.
fn send(
    agent: &ureq::Agent,
    url: &str,
    headers: Vec<(&'static str, String)>,
    loopback: bool,
) -> Result<Receiver<Piece>> {
    let mut request = agent.get(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if loopback {
        request = request.config().proxy(None).build();
    }
    let (sender, receiver) = sync_channel(4);
    threads::start("download", move || match request.call() {
        Ok(response) => pump(response, &sender),
        // Nobody listens after a cancellation.
        Err(error) => drop(sender.send(Piece::Failed(error))),
    })?;
    Ok(receiver)
}

fn pump(response: ureq::http::Response<ureq::Body>, sender: &SyncSender<Piece>) {
    let (head, body) = response.into_parts();
    let mut body = body.into_reader();
    let mut piece = Piece::Head(head.status, head.headers);
    loop {
        let last = matches!(piece, Piece::End | Piece::Failed(_));
        if sender.send(piece).is_err() || last {
            return;
        }
        let mut bytes = vec![0; PIECE];
        piece = match body.read(&mut bytes) {
            Ok(0) => Piece::End,
            Ok(read) => {
                bytes.truncate(read);
                Piece::Bytes(bytes)
            }
            Err(error) => Piece::Failed(error.into()),
        };
    }
}

fn next(transfer: &Transfer<'_>, pieces: &Receiver<Piece>) -> Result<Piece> {
    loop {
        transfer.observer.check_cancelled()?;
        match pieces.recv_timeout(TICK) {
            Ok(piece) => return Ok(piece),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::stage("the download's thread ended early"));
            }
        }
    }
}

fn no_answer(error: &ureq::Error, url: &str, origin: &Origin) -> Failure {
    use std::io::ErrorKind;
    use ureq::{Error as E, Timeout};
    let host = origin.host();
    match error {
        E::HostNotFound
        | E::ConnectionFailed
        | E::ConnectProxyFailed(_)
        | E::Tls(_)
        | E::Rustls(_)
        | E::Timeout(Timeout::Resolve | Timeout::Connect) => {}
        E::Io(io)
            if matches!(
                io.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::HostUnreachable
                    | ErrorKind::AddrNotAvailable
            ) => {}
        E::Io(_) | E::Timeout(_) | E::Protocol(_) => {
            let broken = Error::stage(format!("no answer to `{url}`")).because(error);
            return Failure::Again(broken, None);
        }
        _ => {
            return Failure::Stop(Error::stage(format!("cannot ask for `{url}`")).because(error));
        }
    }
    let unreachable = Error::stage(format!("cannot reach `{host}`"))
        .because(error)
        .help("check the network, and HTTPS_PROXY if there is a proxy");
    Failure::Unreachable(unreachable)
}
