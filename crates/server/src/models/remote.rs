//! Tier 2: an engine with OpenAI's API, somewhere else.
//!
//! The package gives what the engine has not: the prompt's template and the calibration. Its graph
//! is not opened. An engine that is down when Weir starts does not keep it from starting: decisions
//! get the policy's fallback until it answers.

use std::{fs, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use domain::{PackageRef, Score, Verdict};
use engine_client::{
    ApiKey, BreakerConfig, Client, ClientError, Config, Deadlines, Dialect, Endpoint, Form,
    LogProbs, Metrics, Request,
};
use package::{Calibration, Package};
use screening::{
    Analysing, AnalysisModel, Basis, Case, Extent, Judgement, ModelTimings, PendingReport,
    REPORT_PREFIX, TierError, Written, report_schema, verdict_words,
};
use serde_json::{Value, json};
use tokio::{runtime::Handle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{analysis::margin, reference};
use crate::settings::{Engine, EngineEndpoint, locate};

/// How long one probe of the engine may take.
const PROBE_MAX: Duration = Duration::from_secs(30);
/// How long to wait before an engine that did not answer is probed again.
const PROBE_AGAIN: Duration = Duration::from_secs(15);
/// Enough for a verdict alone.
const VERDICT_TOKENS: u32 = 24;

/// Tier 2 as the cascade sees it.
pub(super) struct RemoteTier {
    package: PackageRef,
    client: Client,
    report: Form,
    verdict: Form,
    calibration: Calibration,
    max_tokens: u32,
}

/// The task that finds out what the engine can do.
pub(super) struct Probing {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Makes the client, and begins to probe the engine. Opens no connection by itself.
pub(super) fn start(
    package: &Package,
    settings: &Engine,
    metrics: Metrics,
) -> anyhow::Result<(RemoteTier, Probing)> {
    let client = Client::with_metrics(config(settings)?, metrics)?;
    let words = verdict_words();
    let report = Form::new(report_schema(), REPORT_PREFIX, &words)?;
    let verdict = Form::new(verdict_schema(), REPORT_PREFIX, &words)?;
    let calibration = package.manifest().map(|manifest| manifest.calibration).unwrap_or_default();
    let model = settings.model.as_deref().unwrap_or("default");
    let package = PackageRef {
        version: format!("{}@{}/{model}", package.version(), host(&settings.url)),
        ..reference(package)
    };
    let probing = Probing::start(client.clone());
    let max_tokens = settings.max_tokens;
    Ok((RemoteTier { package, client, report, verdict, calibration, max_tokens }, probing))
}

/// The settings as the client wants them. The key is read from its file, and kept nowhere else.
fn config(settings: &Engine) -> anyhow::Result<Config> {
    let api_key = match &settings.api_key_file {
        Some(file) => {
            let path = locate(file);
            let key = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Some(ApiKey::new(key.trim()))
        }
        None => None,
    };
    Ok(Config {
        base_url: settings.url.clone(),
        api_key,
        model: settings.model.clone(),
        dialect: dialect(&settings.dialect)?,
        endpoint: match settings.endpoint {
            EngineEndpoint::Chat => Endpoint::Chat,
            EngineEndpoint::Completions => Endpoint::Completions,
        },
        max_concurrency: settings.max_concurrency,
        max_waiting: settings.max_waiting,
        connect_timeout: Duration::from_millis(settings.connect_timeout_ms),
        attempts: settings.attempts,
        breaker: BreakerConfig {
            window: Duration::from_millis(settings.breaker_window_ms),
            open_for: Duration::from_millis(settings.breaker_open_ms),
            ..BreakerConfig::default()
        },
        ..Config::default()
    })
}

fn dialect(name: &str) -> anyhow::Result<Option<Dialect>> {
    if name == "auto" {
        return Ok(None);
    }
    let found = Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == name);
    found.map(Some).context("engine.dialect")
}

/// The names that `engine.dialect` may have.
pub(crate) fn dialects() -> impl Iterator<Item = &'static str> {
    ["auto"].into_iter().chain(Dialect::ALL.into_iter().map(Dialect::as_str))
}

/// The address without scheme and path, for records.
fn host(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let authority = behind.split('/').next().unwrap_or(behind);
    // Whoever puts a name and a password into an address finds neither in a record.
    authority.rsplit('@').next().unwrap_or(authority)
}

/// The report's schema, cut to the verdict.
fn verdict_schema() -> Value {
    let verdict = report_schema()["properties"]["verdict"].clone();
    json!({
        "type": "object",
        "properties": { "verdict": verdict },
        "required": ["verdict"],
        "additionalProperties": false,
    })
}

impl Probing {
    fn start(client: Client) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        // Without a runtime the first request finds out the same.
        if Handle::try_current().is_ok() {
            let stopped = stop.clone();
            tasks.spawn(async move { stopped.run_until_cancelled(probe(client)).await });
        }
        tasks.close();
        Self { tasks, stop }
    }

    /// Ends the probing. Blocks for a moment.
    pub(super) fn stop(self) {
        self.stop.cancel();
        drop(self.tasks);
    }
}

/// Probes until the engine answers.
async fn probe(client: Client) {
    loop {
        match client.probe(Instant::now() + PROBE_MAX).await {
            Ok(found) => {
                tracing::info!(?found, "the engine of tier 2 answers");
                if !found.honours_schema {
                    tracing::warn!("the engine ignores the schema: reports may be refused");
                }
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "the engine of tier 2 does not answer yet");
                tokio::time::sleep(PROBE_AGAIN).await;
            }
        }
    }
}

#[async_trait]
impl AnalysisModel for RemoteTier {
    fn package(&self) -> &PackageRef {
        &self.package
    }

    async fn analyse(&self, case: Case) -> Result<Analysing, TierError> {
        let (form, max_tokens) = match case.extent {
            Extent::Verdict => (&self.verdict, VERDICT_TOKENS),
            Extent::Report => (&self.report, self.max_tokens),
        };
        let request = Request { prompt: case.prompt, form: form.clone(), max_tokens };
        let deadlines = Deadlines { verdict: case.verdict_by, rest: case.report_by };
        let answer = self.client.generate(request, deadlines).await.map_err(tier_error)?;
        let run = answer.to_verdict.saturating_sub(answer.waited);
        let timings = ModelTimings { encode: Duration::ZERO, queue: answer.waited, run };
        let (word, log_probs) = (answer.choice.word.as_str(), answer.choice.log_probs.as_ref());
        let judgement = self.judgement(word, log_probs, timings)?;
        // A verdict alone is over here; dropping the rest ends the request.
        let rest = (case.extent == Extent::Report).then_some(answer.rest);
        let report = rest.map(|rest| {
            let waited = answer.waited;
            Box::pin(async move {
                let written = rest.written().await.map_err(tier_error)?;
                let run = written.elapsed.saturating_sub(waited);
                Ok(Written { text: written.text, run })
            }) as PendingReport
        });
        Ok(Analysing { judgement, report })
    }
}

impl RemoteTier {
    fn judgement(
        &self,
        word: &str,
        log_probs: Option<&LogProbs>,
        timings: ModelTimings,
    ) -> Result<Judgement, TierError> {
        let stated: Verdict = word.parse().map_err(TierError::Failed)?;
        let (verdict, probability, basis) = match log_probs {
            Some(log_probs) => {
                let named = log_probs.probabilities();
                let probability = self.calibration.probability(margin(&named));
                (stated, probability, Basis::Calibrated)
            }
            None => (stated, stated_probability(stated), Basis::Stated),
        };
        let score = Score::new(probability).map_err(TierError::Failed)?;
        Ok(Judgement { verdict, score, basis, timings })
    }
}

/// What a bare word is taken for. Each lies inside one band of the shipped policy: decline, review,
/// approve.
fn stated_probability(verdict: Verdict) -> f64 {
    match verdict {
        Verdict::Fraud => 0.9,
        Verdict::Suspicious => 0.5,
        Verdict::Legitimate => 0.05,
    }
}

fn tier_error(error: ClientError) -> TierError {
    match error {
        ClientError::Overloaded { retry_after } => TierError::Overloaded { retry_after },
        ClientError::Deadline => TierError::Deadline,
        ClientError::Input(detail) => TierError::Input(detail),
        ClientError::Unavailable { .. } | ClientError::Malformed(_) | ClientError::Failed(_) => {
            TierError::Failed(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_name_the_engine_without_its_credentials() {
        for (url, expected) in [
            ("http://127.0.0.1:8000/v1", "127.0.0.1:8000"),
            ("https://user:secret@engine.example/v1", "engine.example"),
            ("engine:9", "engine:9"),
        ] {
            assert_eq!(host(url), expected);
        }
    }

    #[test]
    fn a_bare_word_falls_into_the_band_of_its_name() {
        use domain::Outcome;
        let policy = screening::Policy::parse(screening::Policy::DEFAULT).unwrap();
        let outcome = |verdict| {
            let score = Score::new(stated_probability(verdict)).unwrap();
            policy.with_analysis(Score::new(0.1).unwrap(), score)
        };
        assert_eq!(outcome(Verdict::Fraud), Outcome::Decline);
        assert_eq!(outcome(Verdict::Suspicious), Outcome::Review);
        assert_eq!(outcome(Verdict::Legitimate), Outcome::Approve);
    }

    #[test]
    fn every_dialect_has_a_name_of_its_own() {
        for name in dialects().filter(|name| *name != "auto") {
            assert_eq!(dialect(name).unwrap().unwrap().as_str(), name);
        }
        assert!(dialect("auto").unwrap().is_none() && dialect("mine").is_err());
    }
}
