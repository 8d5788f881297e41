//! A report that is written after its decision was answered.

use std::sync::Arc;

use domain::{Analysis, Decision, DecisionId, PackageRef, ReportStatus};
use jiff::Timestamp;
use ledger::{Ledger, LedgerError, NewCompletion};
use tokio::sync::broadcast;

use crate::{
    analyst::read_report,
    announce::Announcer,
    facts::Facts,
    metrics::ScreeningMetrics,
    record::{AnalysisRecord, CompletionRecord, response_json},
    tiers::PendingReport,
};

/// Everything that is needed once the report is there.
pub(crate) struct Completion {
    pub(crate) pending: PendingReport,
    pub(crate) decision: Decision,
    pub(crate) facts: Facts,
    pub(crate) record: AnalysisRecord,
    pub(crate) package: Option<PackageRef>,
    pub(crate) ledger: Ledger,
    pub(crate) metrics: ScreeningMetrics,
    pub(crate) announcer: Arc<dyn Announcer>,
    pub(crate) completed: broadcast::Sender<DecisionId>,
}

impl Completion {
    /// Waits for the report and adds it to the decision, or says that there will be none.
    /// Outcome and score stay as they were answered.
    pub(crate) async fn run(self) {
        let Self { pending, mut decision, facts, mut record, package, .. } = self;
        let Some(verdict) = decision.analysis.take() else { return };
        let read = match pending.await {
            Ok(written) => {
                let prompt = record.analysis_prompt.as_deref().unwrap_or_default();
                let read =
                    read_report(&self.metrics, &facts, prompt, &written.text, verdict.clone());
                record.keep(written);
                read
            }
            Err(error) => {
                self.metrics.report(ReportStatus::Failed);
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
        let record = CompletionRecord { analysis: record, analysis_package: package };
        match append(&self.ledger, &*self.announcer, decision, &record).await {
            Ok(()) => {
                // Nobody may be listening.
                let _ = self.completed.send(decision_id);
            }
            // It stays owed, and is written again by whoever takes it up.
            Err(error) => {
                tracing::error!(%error, decision = %decision_id, "a report could not be recorded");
            }
        }
    }
}

/// Records what a decision has become, with all that is to be delivered of it.
pub(crate) async fn append(
    ledger: &Ledger,
    announcer: &dyn Announcer,
    decision: Decision,
    record: &CompletionRecord,
) -> Result<(), LedgerError> {
    let unwritable = |error: serde_json::Error| LedgerError::Corrupt {
        what: format!("a completion cannot be serialised: {error}"),
        source: None,
    };
    let response = response_json(&decision).map_err(unwritable)?;
    let deliveries = announcer.announce(&decision, &response);
    let record = serde_json::to_string(record).map_err(unwritable)?;
    let completed_at = Timestamp::now();
    let completion = NewCompletion { decision, completed_at, record, response, deliveries };
    ledger.append_completion(completion).await?;
    announcer.announced();
    Ok(())
}
