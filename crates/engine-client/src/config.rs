//! Where the engine is, and how much it is trusted with.

use std::{fmt, time::Duration};

use reqwest::header::HeaderValue;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::{breaker::BreakerConfig, dialect::Dialect, error::ConfigError};

/// A secret sent as `Authorization: Bearer`. It has no serialization, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a key.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

/// Which of the two OpenAI routes is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`: the engine wraps the prompt in the model's chat template.
    #[default]
    Chat,
    /// `POST /v1/completions`: the prompt reaches the model as it stands.
    Completions,
}

impl Endpoint {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
        }
    }
}

/// How the client reaches and spares an engine. Plain data; [`Client::new`](crate::Client::new)
/// checks it.
#[derive(Debug, Clone)]
pub struct Config {
    /// The engine's address, with or without the trailing `/v1`. An `https` one is checked against
    /// the system's certificate authorities, or those in the file that `SSL_CERT_FILE` names.
    pub base_url: String,
    /// Sent with every request, and shown nowhere.
    pub api_key: Option<ApiKey>,
    /// The model's name. `None` takes the first that `GET /v1/models` lists.
    pub model: Option<String>,
    /// The engine's kind. `None` finds it out.
    pub dialect: Option<Dialect>,
    /// Chat or plain completion.
    pub endpoint: Endpoint,
    /// The system message, with [`Endpoint::Chat`] only.
    pub system_prompt: Option<String>,
    /// `reasoning_effort`, for models that otherwise think aloud or give no log-probabilities
    /// (`"none"`). Not sent when `None`, since other models refuse the field.
    pub reasoning_effort: Option<String>,
    /// Fields added to every body, in place of the client's own of the same name; a `null` takes
    /// a field away.
    pub extra: Map<String, Value>,
    /// Asks for a stream, so that the verdict is known before the rest is written.
    pub stream: bool,
    /// How many alternatives to ask for at each token, 0 to 20. 0 asks for no log-probabilities.
    pub top_logprobs: u8,
    /// The most requests under way at once.
    pub max_concurrency: usize,
    /// The most requests that wait for one of them to end.
    pub max_waiting: usize,
    /// What an overloaded caller is told to wait, when the engine itself names no time.
    pub overload_retry_after: Duration,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The most times that one request is sent. At least 1.
    pub attempts: u32,
    /// The longest wait before the second attempt; it doubles with each further one.
    pub backoff_base: Duration,
    /// The longest wait before any attempt.
    pub backoff_max: Duration,
    /// When the engine is left alone.
    pub breaker: BreakerConfig,
    /// The longest answer, in bytes on the wire. Log-probabilities take about 2 kB a token.
    pub max_response_bytes: usize,
    /// Reaches the engine through the proxy that the environment names.
    pub use_environment_proxy: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8000".into(),
            api_key: None,
            model: None,
            dialect: None,
            endpoint: Endpoint::Chat,
            system_prompt: None,
            reasoning_effort: None,
            extra: Map::new(),
            stream: true,
            top_logprobs: 20,
            max_concurrency: 16,
            max_waiting: 64,
            overload_retry_after: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(2),
            attempts: 3,
            backoff_base: Duration::from_millis(100),
            backoff_max: Duration::from_secs(2),
            breaker: BreakerConfig::default(),
            max_response_bytes: 2 * 1024 * 1024,
            use_environment_proxy: false,
        }
    }
}

impl Config {
    /// Whether the settings make sense, without opening anything.
    ///
    /// # Errors
    /// When they do not; the message names the setting, never its value.
    pub fn check(&self) -> Result<(), ConfigError> {
        let breaker = &self.breaker;
        let rules = [
            (self.max_concurrency >= 1, "max_concurrency is at least 1"),
            (
                self.max_concurrency.saturating_add(self.max_waiting) <= Semaphore::MAX_PERMITS,
                "max_concurrency and max_waiting are too large",
            ),
            (self.attempts >= 1, "attempts is at least 1"),
            (self.top_logprobs <= 20, "top_logprobs is at most 20"),
            (self.max_response_bytes >= 1024, "max_response_bytes is at least 1024"),
            (breaker.minimum_calls >= 1, "the breaker's minimum_calls is at least 1"),
            (breaker.trial_calls >= 1, "the breaker's trial_calls is at least 1"),
            (
                breaker.failure_ratio > 0.0 && breaker.failure_ratio <= 1.0,
                "the breaker's failure_ratio is above 0 and at most 1",
            ),
        ];
        if let Some((_, rule)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(setting(rule));
        }
        self.url()?;
        self.authorization()?;
        Ok(())
    }

    /// The root's address.
    pub(crate) fn url(&self) -> Result<reqwest::Url, ConfigError> {
        let url = reqwest::Url::parse(root(&self.base_url));
        let url = url.map_err(|_| setting("base_url is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(setting("base_url is an http or https address"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(setting("base_url holds no credentials: use the API key"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(setting("base_url is an address alone, without a query"));
        }
        Ok(url)
    }

    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, ConfigError> {
        let Some(key) = &self.api_key else { return Ok(None) };
        let mut value = HeaderValue::try_from(key.bearer())
            .map_err(|_| setting("the API key is not a header value"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn setting(what: &str) -> ConfigError {
    ConfigError::Setting(what.into())
}

/// The root under which `/v1` lies.
pub(crate) fn root(base_url: &str) -> &str {
    let trimmed = base_url.trim_end_matches('/');
    trimmed.strip_suffix("/v1").unwrap_or(trimmed).trim_end_matches('/')
}
