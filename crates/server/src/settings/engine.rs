//! The `[engine]` section: where a remote engine is, and how much it is trusted with.

use std::{fs, path::PathBuf, time::Duration};

use engine_client::{ApiKey, BreakerConfig, Config, Dialect, Endpoint};
use serde::{Deserialize, Serialize};

use super::locate;

/// The kind of engine behind the address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineDialect {
    /// Found out by asking.
    #[default]
    Auto,
    /// Anything with OpenAI's API.
    Generic,
    /// OpenAI itself.
    #[serde(rename = "openai")]
    OpenAi,
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// llama.cpp's server.
    LlamaServer,
    /// llama-cpp-python's server.
    LlamaCppPython,
    /// Ollama.
    Ollama,
}

impl EngineDialect {
    fn known(self) -> Option<Dialect> {
        match self {
            Self::Auto => None,
            Self::Generic => Some(Dialect::Generic),
            Self::OpenAi => Some(Dialect::OpenAi),
            Self::Vllm => Some(Dialect::Vllm),
            Self::Sglang => Some(Dialect::Sglang),
            Self::LlamaServer => Some(Dialect::LlamaCpp),
            Self::LlamaCppPython => Some(Dialect::LlamaCppPython),
            Self::Ollama => Some(Dialect::Ollama),
        }
    }
}

/// Which route is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineEndpoint {
    /// `/v1/chat/completions`: the engine wraps the prompt in the model's chat template.
    #[default]
    Chat,
    /// `/v1/completions`: the model reads the prompt as it stands.
    Completions,
}

/// The engine of `analysis.engine = "openai"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// The address, with or without `/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The model's name; the first that the engine lists without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The kind of engine.
    pub dialect: EngineDialect,
    /// Which route is asked.
    pub endpoint: EngineEndpoint,
    /// A file that holds the API key and nothing else. The key itself is no setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_file: Option<PathBuf>,
    /// `reasoning_effort`, for models that think aloud otherwise; not sent without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Most tokens of one report.
    pub max_tokens: u32,
    /// Most analyses under way at once.
    pub max_concurrency: usize,
    /// Most analyses that wait for one of them to end; more get the policy's fallback.
    pub max_waiting: usize,
    /// Most times that one question is sent.
    pub attempts: u32,
    /// How long a connection may take.
    pub connect_timeout_ms: u64,
    /// Over how long the circuit breaker counts failures.
    pub breaker_window_ms: u64,
    /// How many calls it must have seen before it judges.
    pub breaker_minimum_calls: u32,
    /// The share of failed calls at which it opens, in percent.
    pub breaker_failure_percent: u32,
    /// How long it stays open the first time.
    pub breaker_open_ms: u64,
    /// How long it stays open at most.
    pub breaker_open_max_ms: u64,
    /// How many trial calls must succeed before it closes.
    pub breaker_trial_calls: u32,
    /// A passed deadline counts as a failure from this time on.
    pub breaker_patience_ms: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            url: None,
            model: None,
            dialect: EngineDialect::default(),
            endpoint: EngineEndpoint::default(),
            api_key_file: None,
            reasoning_effort: None,
            max_tokens: 256,
            max_concurrency: 16,
            max_waiting: 64,
            attempts: 3,
            connect_timeout_ms: 2_000,
            breaker_window_ms: 30_000,
            breaker_minimum_calls: 10,
            breaker_failure_percent: 50,
            breaker_open_ms: 5_000,
            breaker_open_max_ms: 60_000,
            breaker_trial_calls: 2,
            breaker_patience_ms: 1_000,
        }
    }
}

impl Engine {
    /// The client's settings, the key read from its file.
    ///
    /// # Errors
    /// When there is no address, the key cannot be read, or the client refuses a setting. No
    /// message holds the key.
    pub fn client_config(&self) -> Result<Config, String> {
        let Some(url) = self.url.clone().filter(|url| !url.is_empty()) else {
            return Err("engine.url is needed with analysis.engine = \"openai\"".into());
        };
        let config = Config {
            base_url: url,
            api_key: self.api_key()?,
            model: self.model.clone(),
            dialect: self.dialect.known(),
            endpoint: match self.endpoint {
                EngineEndpoint::Chat => Endpoint::Chat,
                EngineEndpoint::Completions => Endpoint::Completions,
            },
            reasoning_effort: self.reasoning_effort.clone(),
            max_concurrency: self.max_concurrency,
            max_waiting: self.max_waiting,
            attempts: self.attempts,
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            breaker: self.breaker(),
            ..Config::default()
        };
        config.check().map_err(|error| format!("engine: {error}"))?;
        Ok(config)
    }

    fn breaker(&self) -> BreakerConfig {
        BreakerConfig {
            window: Duration::from_millis(self.breaker_window_ms),
            minimum_calls: self.breaker_minimum_calls,
            failure_ratio: f64::from(self.breaker_failure_percent) / 100.0,
            open_for: Duration::from_millis(self.breaker_open_ms),
            open_for_max: Duration::from_millis(self.breaker_open_max_ms),
            trial_calls: self.breaker_trial_calls,
            patience: Duration::from_millis(self.breaker_patience_ms),
        }
    }

    fn api_key(&self) -> Result<Option<ApiKey>, String> {
        let Some(file) = &self.api_key_file else { return Ok(None) };
        let path = locate(file);
        let failed = |what: &str| format!("engine.api_key_file: {}: {what}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| failed(&error.to_string()))?;
        match text.trim() {
            "" => Err(failed("is empty")),
            key => Ok(Some(ApiKey::new(key))),
        }
    }
}
