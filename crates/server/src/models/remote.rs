//! Tier 2 behind an engine with OpenAI's API: vLLM, SGLang, llama.cpp's server, and their like.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use domain::{PackageRef, Score, Verdict};
use engine_client::{Answer, Choice, Client, ClientError, Deadlines, Form, Metrics, Request, Rest};
use package::{Calibration, Package};
use screening::{
    Analysing, AnalysisModel, Basis, Case, Extent, Judgement, ModelTimings, PendingReport,
    REPORT_PREFIX, TierError, Written, report_schema, verdict_words,
};
use serde_json::json;

use super::{
    acquaintance::{Acquaintance, Introduction},
    analysis::log_odds,
};
use crate::settings::Engine;

/// Enough for the verdict's object in any tokens, white space between them included.
const VERDICT_TOKENS: u32 = 32;

/// Tier 2 as the cascade sees it.
pub(super) struct RemoteTier {
    client: Client,
    acquaintance: Arc<Acquaintance>,
    report: Form,
    /// The schema cut to the verdict. To ask for the report and hang up would be no cheaper: an
    /// engine that does not stream writes all of it first, some go on writing when nobody
    /// listens, and every case would cost a connection.
    verdict: Form,
    calibration: Calibration,
    max_tokens: u32,
}

/// Prepares the tier and begins to look for its engine, which may be down.
pub(super) fn start(
    package: &Package,
    settings: &Engine,
    metrics: Metrics,
) -> anyhow::Result<(RemoteTier, Introduction)> {
    let config = settings.client_config().map_err(anyhow::Error::msg)?;
    let stated = (config.model.clone(), config.dialect);
    let client = Client::with_metrics(config, metrics)?;
    let acquaintance = Arc::new(Acquaintance::new(super::reference(package), stated));
    let introduction = Introduction::begin(client.clone(), Arc::clone(&acquaintance))?;
    let schema = report_schema();
    let verdict = json!({
        "type": "object",
        "properties": { "verdict": schema["properties"]["verdict"] },
        "required": ["verdict"],
        "additionalProperties": false,
    });
    let words = verdict_words();
    let tier = RemoteTier {
        client,
        acquaintance,
        report: Form::new(schema, REPORT_PREFIX, &words).context("the report's schema")?,
        verdict: Form::new(verdict, REPORT_PREFIX, &words).context("the verdict's schema")?,
        calibration: package
            .manifest()
            .map(|manifest| manifest.calibration.clone())
            .unwrap_or_default(),
        max_tokens: settings.max_tokens,
    };
    Ok((tier, introduction))
}

#[async_trait]
impl AnalysisModel for RemoteTier {
    fn package(&self) -> &PackageRef {
        self.acquaintance.package()
    }

    async fn analyse(&self, case: Case) -> Result<Analysing, TierError> {
        self.acquaintance.check().map_err(TierError::Failed)?;
        let wants_report = case.extent == Extent::Report;
        let (form, max_tokens) = match case.extent {
            Extent::Report => (&self.report, self.max_tokens),
            Extent::Verdict => (&self.verdict, VERDICT_TOKENS),
        };
        let request = Request { prompt: case.prompt, form: form.clone(), max_tokens };
        let deadlines = Deadlines { verdict: case.verdict_by, rest: case.report_by };
        let answer = self.client.generate(request, deadlines).await.map_err(|error| {
            if matches!(error, ClientError::Failed(_) | ClientError::Unavailable { .. }) {
                self.acquaintance.doubt();
            }
            tier_error(error)
        })?;
        let judgement = self.judgement(&answer)?;
        let report = if wants_report {
            let waited = answer.waited;
            let written = async move {
                let written = answer.rest.written().await.map_err(tier_error)?;
                let tokens = written
                    .usage
                    .and_then(|usage| u32::try_from(usage.completion_tokens).ok())
                    .filter(|tokens| *tokens > 0);
                let run = written.elapsed.saturating_sub(waited);
                Ok(Written { text: written.text, tokens, run, ..Written::default() })
            };
            Some(Box::pin(written) as PendingReport)
        } else {
            close(answer.rest).await?;
            None
        };
        Ok(Analysing { judgement, report })
    }
}

/// The verdict is out and a token or two are left; read, they leave the connection for the next.
async fn close(rest: Rest) -> Result<(), TierError> {
    rest.written().await.map(|_| ()).map_err(tier_error)
}

impl RemoteTier {
    fn judgement(&self, answer: &Answer) -> Result<Judgement, TierError> {
        let verdict = verdict(&answer.choice)?;
        let (probability, basis) = match &answer.choice.log_probs {
            Some(found) => {
                let margin = log_odds(&found.probabilities());
                (self.calibration.probability(margin), Basis::Calibrated)
            }
            None => (stated_score(verdict), Basis::Stated),
        };
        let run = answer.to_verdict.saturating_sub(answer.waited);
        Ok(Judgement {
            verdict,
            score: Score::new(probability).map_err(TierError::Failed)?,
            basis,
            // Told with the last token, if at all.
            prompt_tokens: None,
            timings: ModelTimings { queue: answer.waited, run, ..ModelTimings::default() },
        })
    }
}

fn verdict(choice: &Choice) -> Result<Verdict, TierError> {
    let found = Verdict::ALL.iter().find(|verdict| verdict.as_str() == choice.word);
    found.copied().ok_or_else(|| TierError::Failed("a verdict of no known word".into()))
}

/// The score of a verdict whose probability nobody tells: one inside each of the built-in policy's
/// bands for tier 2 (approve below 0.15, review from 0.35, decline from 0.80). Chosen, not measured.
fn stated_score(verdict: Verdict) -> f64 {
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
        error @ (ClientError::Unavailable { .. }
        | ClientError::Malformed(_)
        | ClientError::Failed(_)) => TierError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use policy::Policy;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stated_score_leads_to_its_words_outcome_under_the_built_in_policy() {
        let policy = Policy::parse(Policy::DEFAULT).unwrap();
        let value = json!({
            "id": "t", "timestamp": "2026-03-01T12:00:00Z", "amount": "1", "currency": "EUR",
            "account": {"id": "a"},
        });
        let context = domain::ParseContext { now: "2026-03-01T12:00:00Z".parse().unwrap() };
        let transaction = domain::Transaction::parse(&value, &context).unwrap();
        let screening = Score::new(0.1).unwrap();
        let facts = json!({});
        let subject = policy::Subject {
            transaction: &transaction,
            facts: &facts,
            screening,
            instructed: false,
        };
        let assessment = policy.assess(&subject, policy::Shift::ZERO);
        let outcome = |verdict| {
            let stated = Score::new(stated_score(verdict)).unwrap();
            assessment.conclude(screening, Some(stated)).outcome
        };
        assert_eq!(outcome(Verdict::Fraud), domain::Outcome::Decline);
        assert_eq!(outcome(Verdict::Suspicious), domain::Outcome::Review);
        assert_eq!(outcome(Verdict::Legitimate), domain::Outcome::Approve);
    }
}
