//! A report that is written after its decision was answered.

use domain::{Analysis, Decision, ReportStatus};
use jiff::Timestamp;
use ledger::{Ledger, NewCompletion};
use serde::{Deserialize, Serialize};

use crate::{analyst::read_report, facts::Facts, metrics::ScreeningMetrics, tiers::PendingReport};

/// What the ledger keeps of a report that came after its decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionRecord {
    /// The report as tier 2 wrote it, before any check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_text: Option<String>,
    /// Why there is no usable report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_error: Option<String>,
}

/// Everything that is needed once the report is there.
pub(crate) struct Completion {
    pub(crate) pending: PendingReport,
    pub(crate) decision: Decision,
    pub(crate) facts: Facts,
    pub(crate) prompt: String,
    pub(crate) ledger: Ledger,
    pub(crate) metrics: ScreeningMetrics,
}

impl Completion {
    /// Waits for the report and adds it to the decision, or says that there will be none.
    /// Outcome and score stay as they were answered.
    pub(crate) async fn run(self) {
        let Self { pending, mut decision, facts, prompt, ledger, metrics } = self;
        let Some(verdict) = decision.analysis.take() else { return };
        let written = pending.await;
        let mut record = CompletionRecord { analysis_text: None, analysis_error: None };
        let read = match written {
            Ok(written) => {
                let read = read_report(&metrics, &facts, &prompt, &written.text, verdict.clone());
                record.analysis_text = Some(written.text);
                read
            }
            Err(error) => {
                metrics.report(ReportStatus::Failed);
                Err(error.to_string())
            }
        };
        let analysis = read.unwrap_or_else(|error| {
            tracing::warn!(error, "no report came after the verdict");
            record.analysis_error = Some(error);
            Analysis { report: ReportStatus::Failed, ..verdict }
        });
        decision.analysis = Some(analysis);
        let decision_id = decision.decision_id;
        let (Ok(record), Ok(response)) =
            (serde_json::to_string(&record), serde_json::to_string(&decision))
        else {
            return;
        };
        let completed_at = Timestamp::now();
        let entry = NewCompletion { decision_id, completed_at, record, response };
        if let Err(error) = ledger.append_completion(entry).await {
            tracing::error!(%error, decision = %decision_id, "a report could not be recorded");
        }
    }
}
