//! Requests to a tracker: JSON there, JSON back, and nothing that could hold a run up for long.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;
use ureq::tls::{RootCerts, TlsConfig};

use crate::error::{Context as _, Error, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a file may take on its way.
const OF_FILES: Duration = Duration::from_mins(10);

/// The longest answer that is read.
const LONGEST: u64 = 1 << 20;

/// A server, and what it is asked with.
pub(super) struct Server {
    /// Its address without a slash at its end.
    pub(super) address: String,
    agent: ureq::Agent,
    /// The value of `Authorization`, if it asks for one.
    authorization: Option<String>,
}

/// What a server says that does not do what it is asked.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: Error,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { status: 0, error }
    }
}

impl Server {
    pub(super) fn new(address: &str, authorization: Option<String>) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("refire/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(3)))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_recv_body(Some(PATIENCE))
            .timeout_global(Some(OF_FILES))
            .build()
            .new_agent();
        Self {
            address: address.trim_end_matches('/').into(),
            agent,
            authorization,
        }
    }

    /// What it says at `path`.
    pub(super) fn get(&self, path: &str) -> Result<Value, Refusal> {
        let url = format!("{}{path}", self.address);
        let mut request = self.agent.get(&url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.answer(request.call(), &url)
    }

    /// What it says to `body`.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        let url = format!("{}{path}", self.address);
        let mut request = self
            .agent
            .post(&url)
            .header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.answer(request.send(body.to_string()), &url)
    }

    /// Hands it a file.
    pub(super) fn put(&self, path: &str, body: impl ureq::AsSendBody) -> Result<(), Refusal> {
        let url = format!("{}{path}", self.address);
        let mut request = self
            .agent
            .put(&url)
            .header("content-type", "application/octet-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.send(body).map_err(|error| self.silent(&error))?;
        match answer.status().as_u16() {
            200..300 => Ok(()),
            status => Err(Self::refused(status, &url, "")),
        }
    }

    fn silent(&self, error: &ureq::Error) -> Refusal {
        Error::stage(format!("`{}` does not answer", self.address))
            .cause(error.to_string())
            .into()
    }

    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        url: &str,
    ) -> Result<Value, Refusal> {
        let mut answer = answer.map_err(|error| self.silent(&error))?;
        let status = answer.status().as_u16();
        let mut text = String::new();
        let body = answer.body_mut().as_reader().take(LONGEST);
        let read = { body }.read_to_string(&mut text);
        if !(200..300).contains(&status) {
            return Err(Self::refused(status, url, &text));
        }
        read.or_stage(|| format!("`{url}` breaks off"))?;
        let json = serde_json::from_str(&text).or_stage(|| format!("`{url}` answers with no JSON"));
        Ok(json?)
    }

    fn refused(status: u16, url: &str, text: &str) -> Refusal {
        let error = Error::stage(format!("`{url}` answers with status {status}"));
        let error = match status {
            401 | 403 => error.help(
                "it wants a login: set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            ),
            300..=399 => error.help("it redirects; write the address that it redirects to"),
            _ => {
                let json: Option<Value> = serde_json::from_str(text).ok();
                let message = json.as_ref().and_then(|json| json["message"].as_str());
                match message {
                    Some(message) => error.cause(message.chars().take(200).collect::<String>()),
                    None => error,
                }
            }
        };
        Refusal { status, error }
    }
}
