//! HTTP: one pool of connections, every body bounded.

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::{
    Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER},
};
use serde_json::Value;

use crate::{
    config::{Config, root},
    error::ConfigError,
    redact::presentable,
    retry::{Failure, retry_after},
    wire::complaint,
};

/// How long an idle connection is kept: shorter than the 5 s after which uvicorn, in front of
/// vLLM, SGLang and llama-cpp-python, closes one, so that a request is not sent into a close.
const IDLE: Duration = Duration::from_secs(4);
/// The longest error body or list of models read.
const SMALL_BODY: usize = 256 * 1024;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("more than {0} bytes")]
    TooLong(usize),
    #[error("{0}")]
    Broken(String),
}

pub(crate) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// A response with a success status.
pub(crate) struct Opened {
    pub(crate) is_event_stream: bool,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    root: String,
    max_response_bytes: usize,
}

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let root = root(&config.base_url);
        let url = config.url()?;
        let mut headers = HeaderMap::new();
        if let Some(value) = config.authorization()? {
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(config.max_concurrency)
            .pool_idle_timeout(IDLE)
            // A redirect would carry the prompt to somewhere that nobody configured.
            .redirect(reqwest::redirect::Policy::none());
        if !config.use_environment_proxy {
            builder = builder.no_proxy();
            if url.scheme() == "http" {
                // No TLS: a machine without certificate authorities will do.
                builder = builder.tls_certs_only([]);
            }
        }
        let http = builder.build().map_err(|error| ConfigError::Http(cause(&error)))?;
        Ok(Self { http, root: root.into(), max_response_bytes: config.max_response_bytes })
    }

    pub(crate) fn host_is(&self, host: &str) -> bool {
        reqwest::Url::parse(&self.root).is_ok_and(|url| url.host_str() == Some(host))
    }

    /// Sends a question. `prompt` is what no error may repeat.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &Value,
        prompt: &str,
    ) -> Result<Opened, Failure> {
        let request = self.http.post(format!("{}{path}", self.root)).json(body);
        let response = request.send().await.map_err(unsent)?;
        let status = response.status();
        if !status.is_success() {
            return Err(refused(response, prompt).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_event_stream = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        Ok(Opened { is_event_stream, body: bounded(response, self.max_response_bytes) })
    }

    /// The JSON behind a path, `None` when there is none (a 404, another success, not JSON).
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>, Failure> {
        let response =
            self.http.get(format!("{}{path}", self.root)).send().await.map_err(unsent)?;
        match response.status() {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return Ok(None),
            _ => return Err(refused(response, "").await),
        }
        let body = collect(&mut bounded(response, SMALL_BODY)).await;
        let body = body.map_err(|error| Failure::Reset(error.to_string()))?;
        Ok(serde_json::from_slice(&body).ok())
    }
}

/// Reads a body to its end.
pub(crate) async fn collect(body: &mut Body) -> Result<Vec<u8>, BodyError> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}

fn bounded(response: Response, limit: usize) -> Body {
    let mut read = 0_usize;
    Box::pin(response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|error| BodyError::Broken(cause(&error)))?;
        read = read.saturating_add(chunk.len());
        if read > limit { Err(BodyError::TooLong(limit)) } else { Ok(chunk) }
    }))
}

fn unsent(error: reqwest::Error) -> Failure {
    let detail = cause(&error);
    if error.is_connect() {
        Failure::Connect(format!("no connection: {detail}"))
    } else {
        Failure::Reset(format!("the connection broke: {detail}"))
    }
}

/// The innermost reason, which names no URL.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if inner.is::<reqwest::Error>() { "broken off".into() } else { inner.to_string() }
}

async fn refused(response: Response, prompt: &str) -> Failure {
    let status = response.status();
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|value| retry_after(value, SystemTime::now()));
    let code = status.as_u16();
    // Whoever refuses credentials may quote them.
    let message = if matches!(code, 401 | 403) {
        "credentials refused".into()
    } else {
        let body = collect(&mut bounded(response, SMALL_BODY)).await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        complaint(&body).map(|text| presentable(text, prompt)).unwrap_or_default()
    };
    Failure::Status { code, retry_after, message }
}
