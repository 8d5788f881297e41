//! One attempt, over HTTP.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use uuid::Uuid;

use crate::{config::Config, endpoint::Endpoint, error::ConfigError};

/// Longer than the waits of nobody, shorter than what servers commonly keep: a request is not sent
/// into a close.
const IDLE: Duration = Duration::from_secs(4);
/// What is read of an answer, so that its connection can be used again. Larger ones are dropped.
const ANSWER_MAX: usize = 16 * 1024;
/// How long that may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `webhook-id`: the same with each attempt.
    pub id: Uuid,
    /// `webhook-timestamp`: when this attempt is made.
    pub timestamp: Timestamp,
    /// JSON.
    pub body: String,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The endpoint answered 2xx.
    Delivered,
    /// Anything else.
    Failed {
        /// Why, without anything that the endpoint wrote.
        detail: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The endpoint answered 410: it wants no more messages.
    Gone,
}

/// Sends to one endpoint.
#[derive(Debug)]
pub struct Sender {
    endpoint: Endpoint,
    http: reqwest::Client,
}

impl Sender {
    /// Opens nothing.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(endpoint: Endpoint, config: &Config) -> Result<Self, ConfigError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .pool_max_idle_per_host(config.max_concurrency_per_endpoint)
            .pool_idle_timeout(IDLE)
            // A redirect would carry the message to somewhere that nobody configured.
            .redirect(reqwest::redirect::Policy::none());
        if !config.use_environment_proxy {
            builder = builder.no_proxy();
            if !endpoint.is_encrypted() {
                // No TLS: a machine without certificate authorities will do.
                builder = builder.tls_certs_only([]);
            }
        }
        let http = builder.build().map_err(|error| ConfigError::Http(cause(&error)))?;
        Ok(Self { endpoint, http })
    }

    /// Where it sends to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Makes one attempt. Ends within [`Config::timeout`] and a second.
    pub async fn send(&self, message: &Message) -> Sent {
        let timestamp = message.timestamp.as_second();
        let sign = |secret: &crate::Secret| secret.sign(message.id, timestamp, &message.body);
        let signatures: Result<Vec<String>, _> = self.endpoint.secrets().iter().map(sign).collect();
        let signatures = match signatures {
            Ok(signatures) => signatures.join(" "),
            Err(error) => return failed(error.to_string()),
        };
        let request = self
            .http
            .post(self.endpoint.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id.to_string())
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures)
            .body(message.body.clone());
        match request.send().await {
            Ok(response) => judge(response).await,
            Err(error) if error.is_timeout() && error.is_connect() => {
                failed("no connection in time".into())
            }
            Err(error) if error.is_timeout() => failed("no answer in time".into()),
            Err(error) if error.is_connect() => failed(format!("no connection: {}", cause(&error))),
            Err(error) => failed(format!("the connection broke: {}", cause(&error))),
        }
    }
}

async fn judge(response: Response) -> Sent {
    let status = response.status();
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|value| retry_after(value, SystemTime::now()));
    // The status has decided; a body that never ends changes nothing.
    let _ = tokio::time::timeout(ANSWER_PATIENCE, drain(response)).await;
    match status {
        status if status.is_success() => Sent::Delivered,
        StatusCode::GONE => Sent::Gone,
        status if status.is_redirection() => Sent::Failed {
            detail: format!("{} (redirects are not followed)", status.as_u16()),
            retry_after,
        },
        status => Sent::Failed { detail: status.as_u16().to_string(), retry_after },
    }
}

async fn drain(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > ANSWER_MAX {
            return;
        }
    }
}

fn failed(detail: String) -> Sent {
    Sent::Failed { detail, retry_after: None }
}

/// Reads `Retry-After`: seconds, or an HTTP date.
fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The innermost reason, which names no URL.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if inner.is::<reqwest::Error>() { "broken off".into() } else { inner.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        let date = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
