//! Labels to a running service.

use std::{cell::RefCell, str::FromStr, time::Duration};

use anyhow::{Context, bail};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{
    input::Given,
    tally::{Group, Tally},
};

/// How often one label is sent. To send it again is safe: said twice, it means the same.
const ATTEMPTS: u32 = 5;
/// The wait before the second attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait before an attempt, whatever the service asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer read, in bytes.
const ANSWER_MAX: usize = 64 << 10;

/// Where a service is, such as `http://127.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceUrl(Url);

impl FromStr for ServiceUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut url =
            Url::parse(text).map_err(|_| "must be a URL such as http://127.0.0.1:8080")?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("must be an http or https address".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must hold no credentials".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must be an address alone, without a query".into());
        }
        let mut path = url.path_segments_mut().map_err(|()| "must be an address".to_owned())?;
        path.pop_if_empty().extend(["v1", "labels"]);
        drop(path);
        Ok(Self(url))
    }
}

pub(super) struct Service {
    http: Client,
    url: Url,
}

/// What the service said of a label.
enum Answer {
    Recorded,
    Strange,
    Refused(String),
    /// Not now, or not at all: why, and how long it asks to be left alone.
    Later(String, Option<Duration>),
}

impl Service {
    /// Opens nothing.
    pub(super) fn new(ServiceUrl(url): ServiceUrl) -> anyhow::Result<Self> {
        let mut builder = Client::builder()
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .no_proxy()
            // A redirect would carry labels to somewhere that nobody named.
            .redirect(reqwest::redirect::Policy::none());
        if url.scheme() == "http" {
            // No TLS: a machine without certificate authorities will do.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { http: builder.build()?, url })
    }

    /// Sends the labels of one transaction in their order.
    pub(super) async fn take(&self, group: Group, tally: &RefCell<Tally>) -> anyhow::Result<()> {
        for given in &group.labels {
            match self.send(given).await? {
                Answer::Recorded => tally.borrow_mut().recorded += 1,
                Answer::Strange => tally.borrow_mut().strange(given),
                Answer::Refused(detail) => {
                    tally.borrow_mut().bad(format!("{}: {detail}", given.place));
                }
                Answer::Later(detail, _) => bail!("{}: {detail}", self.url),
            }
        }
        Ok(())
    }

    /// Sends a label until there is an answer, or until it was sent often enough.
    async fn send(&self, given: &Given) -> anyhow::Result<Answer> {
        let mut body = serde_json::to_value(given.label)?;
        body["transaction_id"] = json!(given.transaction_id);
        let mut tried = 0;
        loop {
            let answer = self.attempt(&body).await?;
            tried += 1;
            let Answer::Later(_, asked) = &answer else { return Ok(answer) };
            let Some(wait) = wait(tried, *asked) else { return Ok(answer) };
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, body: &Value) -> anyhow::Result<Answer> {
        let response = match self.http.post(self.url.clone()).json(body).send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => return Err(error.into()),
            Err(error) => return Ok(Answer::Later(cause(&error), None)),
        };
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // Some other server has no /v1/labels either, and its 404 says nothing of a transaction.
        let is_ours = kind.is_some_and(|kind| kind.starts_with("application/problem+json"));
        match status {
            StatusCode::OK => Ok(Answer::Recorded),
            StatusCode::NOT_FOUND if is_ours => Ok(Answer::Strange),
            StatusCode::UNPROCESSABLE_ENTITY if is_ours => Ok(Answer::Refused(why(response).await)),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Ok(Answer::Later(format!("answers {status}"), asked))
            }
            status if is_ours => {
                bail!("{} answers {status}: {}", self.url, why(response).await)
            }
            status => bail!("{} answers {status}: it does not look like this service", self.url),
        }
    }
}

/// How long to wait after the `tried`-th attempt; `None` after the last one.
fn wait(tried: u32, asked: Option<Duration>) -> Option<Duration> {
    let own = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(tried.saturating_sub(1)));
    (tried < ATTEMPTS).then(|| own.max(asked.unwrap_or_default()).min(LONGEST_WAIT))
}

/// The detail of a problem, with what is wrong in the body.
async fn why(response: Response) -> String {
    let told = problem(response).await.unwrap_or_default();
    let detail = told["detail"].as_str().or_else(|| told["title"].as_str());
    let mut text = detail.unwrap_or("without saying why").to_owned();
    for violation in told["errors"].as_array().into_iter().flatten() {
        let part = |name: &str| violation[name].as_str().unwrap_or_default();
        text = format!("{text}; {} {}", part("pointer"), part("detail"));
    }
    text
}

async fn problem(mut response: Response) -> anyhow::Result<Value> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX {
            bail!("the answer is longer than {ANSWER_MAX} bytes");
        }
    }
    serde_json::from_slice(&body).context("the answer is not JSON")
}

/// The innermost reason; the outer ones only repeat the address.
fn cause(error: &reqwest::Error) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_its_address_alone() {
        let url = |text: &str| text.parse::<ServiceUrl>().map(|url| url.0.to_string());
        let plain = "http://127.0.0.1:8080/v1/labels";
        assert_eq!(url("http://127.0.0.1:8080").unwrap(), plain);
        assert_eq!(url("http://127.0.0.1:8080/").unwrap(), plain);
        assert_eq!(url("https://bank.test/weir/").unwrap(), "https://bank.test/weir/v1/labels");
        for wrong in ["127.0.0.1:8080", "ftp://a", "http://u:p@a", "http://a/?x=1", "file:///a", ""]
        {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn waits_double_follow_the_service_within_a_bound_and_end() {
        assert_eq!(wait(1, None), Some(FIRST_WAIT));
        assert_eq!(wait(3, None), Some(4 * FIRST_WAIT));
        assert_eq!(wait(1, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(wait(1, Some(Duration::from_secs(3600))), Some(LONGEST_WAIT));
        assert_eq!(wait(ATTEMPTS, Some(Duration::ZERO)), None);
    }
}
