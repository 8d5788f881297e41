//! llama.cpp's server, and how it is asked for reports.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::closed::{Measured, Tokens, Window, closed_loop};
use crate::tier1::process::Server;

/// How long a report may take before the measurement fails.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// The settings that are tried to find its best.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The `.gguf` file.
    pub model: PathBuf,
    /// Requests that it runs at once; it batches them by itself.
    pub slots: usize,
    /// Tokens that a slot can hold.
    pub slot_tokens: usize,
    /// Threads for prompts and for steps.
    pub threads: usize,
    /// Whether attention is one fused operator.
    pub flash_attention: bool,
    /// Tokens of a logical and of a physical batch.
    pub batch: [usize; 2],
    /// One cache for all slots in place of one each.
    pub unified_cache: bool,
    /// Type of keys and values: `f16`, `f32`, `q8_0`.
    pub cache_type: &'static str,
}

impl Settings {
    /// The defaults of the server itself, but for the number of slots and threads.
    #[must_use]
    pub fn new(model: &Path, slots: usize, slot_tokens: usize, threads: usize) -> Self {
        Self {
            model: model.to_owned(),
            slots,
            slot_tokens,
            threads,
            flash_attention: true,
            batch: [2048, 512],
            unified_cache: false,
            cache_type: "f16",
        }
    }

    /// In words, for tables.
    #[must_use]
    pub fn describe(&self) -> String {
        let [logical, physical] = self.batch;
        format!(
            "-np {} -t {} -fa {} -b {logical} -ub {physical} -ctk {}{}",
            self.slots,
            self.threads,
            if self.flash_attention { "on" } else { "off" },
            self.cache_type,
            if self.unified_cache { " -kvu" } else { "" },
        )
    }

    fn command(&self, binary: &Path, port: u16) -> Command {
        let mut command = Command::new(binary);
        let [logical, physical] = self.batch.map(|tokens| tokens.to_string());
        let threads = self.threads.to_string();
        let context = (self.slots * self.slot_tokens).to_string();
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("-m").arg(&self.model);
        command.args(["-np", &self.slots.to_string(), "-c", &context, "-cb", "--no-ui"]);
        command.args(["-t", &threads, "-tb", &threads, "-b", &logical, "-ub", &physical]);
        command.args(["-fa", if self.flash_attention { "on" } else { "off" }]);
        command.args(["-ctk", self.cache_type, "-ctv", self.cache_type]);
        command.arg(if self.unified_cache { "-kvu" } else { "-no-kvu" });
        command
    }
}

/// How a report is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Tokens written at most.
    pub written: usize,
    /// Write on behind the end of an answer, so that all have the same length.
    pub ignore_end: bool,
    /// Take the start of a prompt from what the slot computed before.
    pub cache_prompt: bool,
    /// The schema of the answer.
    pub schema: Option<Value>,
}

/// What is sent: tokens leave nothing to the server's own tokenizer.
#[derive(Debug, Clone)]
pub enum Prompt {
    /// Token ids, the first of a text included.
    Tokens(Vec<u32>),
    /// Text, which the server encodes.
    Text(String),
}

/// Where it listens and how it is reached.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its address, without a slash at the end.
    pub base: String,
    /// Keeps connections.
    pub client: reqwest::Client,
}

/// Starts the server and waits until the model is loaded. It ends when dropped.
///
/// # Errors
/// When it cannot be started or never answers.
pub async fn start(
    binary: &Path,
    settings: &Settings,
    client: &reqwest::Client,
) -> anyhow::Result<(Server, Endpoint)> {
    let launch = |port, _: &Path| settings.command(binary, port);
    let mut server = Server::start("llama-server", launch)?;
    server.wait(client.get(format!("{}/health", server.base))).await?;
    let endpoint = Endpoint { base: server.base.clone(), client: client.clone() };
    Ok((server, endpoint))
}

/// What of an answer is read.
#[derive(Debug, Deserialize)]
struct Answer {
    timings: Timings,
}

/// The server's own count of tokens.
#[derive(Debug, Deserialize)]
struct Timings {
    cache_n: u64,
    prompt_n: u64,
    predicted_n: u64,
}

fn body(prompt: &Prompt, options: &Options) -> Value {
    let mut body = json!({
        "prompt": match prompt {
            Prompt::Tokens(ids) => json!(ids),
            Prompt::Text(text) => json!(text),
        },
        "n_predict": options.written,
        "temperature": 0.0,
        "ignore_eos": options.ignore_end,
        "cache_prompt": options.cache_prompt,
    });
    if let Some(schema) = &options.schema {
        body["json_schema"] = schema.clone();
    }
    body
}

async fn ask(endpoint: &Endpoint, body: Value) -> anyhow::Result<Tokens> {
    let url = format!("{}/completion", endpoint.base);
    let sent = endpoint.client.post(url).timeout(ANSWER_MAX).json(&body).send().await?;
    let (status, text) = (sent.status(), sent.text().await?);
    ensure!(status.is_success(), "llama-server answers {status}: {text}");
    let Answer { timings } = serde_json::from_str(&text).context("llama-server's answer")?;
    Ok(Tokens { read: timings.prompt_n, cached: timings.cache_n, written: timings.predicted_n })
}

/// Reports written in a second while `window.callers` ask at once, each prompt in turn.
///
/// # Errors
/// When there is no prompt, or a request fails.
pub async fn reports_per_second(
    endpoint: &Endpoint,
    prompts: &[Prompt],
    window: Window,
    options: &Options,
) -> anyhow::Result<Measured> {
    ensure!(!prompts.is_empty(), "no prompt");
    let bodies: Arc<[Value]> = prompts.iter().map(|prompt| body(prompt, options)).collect();
    let endpoint = endpoint.clone();
    closed_loop(window, move |number| {
        let (endpoint, bodies) = (endpoint.clone(), Arc::clone(&bodies));
        async move { ask(&endpoint, bodies[number % bodies.len()].clone()).await }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_sent_only_when_there_is_one() {
        let prompt = Prompt::Tokens(vec![1, 2]);
        let free = body(&prompt, &Options { written: 80, ..Options::default() });
        assert_eq!(free["prompt"], json!([1, 2]));
        assert!(free.get("json_schema").is_none());
        let schema = Some(json!({"type": "object"}));
        let bound = body(&prompt, &Options { schema, ..Options::default() });
        assert_eq!(bound["json_schema"]["type"], "object");
    }
}
