//! Introduces the ledger's deliveries to the webhooks: completed decisions are announced in the
//! commit that completes them, and sent from there.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Decision, DecisionStatus};
use jiff::Timestamp;
use ledger::{Ledger, NewDelivery};
use screening::Announcer;
use serde_json::value::RawValue;
use uuid::Uuid;
use webhooks::{Due, Endpoint, Nudge, Outbox, OutboxError};

/// A provisional decision has become final.
pub(crate) const DECISION_FINAL: &str = "decision.final";
/// The report of a decision that stands has come.
pub(crate) const DECISION_REPORTED: &str = "decision.reported";

/// Who wants to hear of completed decisions.
pub struct Announcements {
    endpoints: Vec<Endpoint>,
    nudge: Nudge,
}

impl Announcements {
    /// Announces to these endpoints, and wakes who delivers.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, nudge: Nudge) -> Self {
        Self { endpoints, nudge }
    }
}

impl Announcer for Announcements {
    fn announce(&self, decision: &Decision, response: &str) -> Vec<NewDelivery> {
        let event = match (decision.provisional, decision.status) {
            (Some(_), _) | (_, DecisionStatus::Provisional) => DECISION_FINAL,
            (None, DecisionStatus::Final) => DECISION_REPORTED,
        };
        let wanting = self.endpoints.iter().filter(|endpoint| endpoint.wants(event));
        let mut deliveries = Vec::new();
        for endpoint in wanting {
            // The response as it is recorded, to the byte.
            let body = RawValue::from_string(response.to_owned())
                .and_then(|data| webhooks::body(event, Timestamp::now(), &data));
            let Ok(body) = body else { continue };
            deliveries.push(NewDelivery {
                id: Uuid::now_v7(),
                endpoint: endpoint.name().to_owned(),
                event: event.to_owned(),
                body,
            });
        }
        deliveries
    }

    fn announced(&self) {
        self.nudge.nudge_all();
    }
}

/// The ledger as webhooks see it.
pub(crate) struct LedgerOutbox(pub(crate) Ledger);

impl LedgerOutbox {
    pub(crate) fn shared(ledger: &Ledger) -> Arc<dyn Outbox> {
        Arc::new(Self(ledger.clone()))
    }
}

#[async_trait]
impl Outbox for LedgerOutbox {
    async fn claim(&self, endpoint: &str, limit: usize) -> Result<Vec<Due>, OutboxError> {
        let claimed = self.0.claim_deliveries(endpoint, limit).await.map_err(failed)?;
        let due = claimed.into_iter().map(|delivery| Due {
            id: delivery.id,
            endpoint: delivery.endpoint,
            body: delivery.body,
            attempts: delivery.attempts,
        });
        Ok(due.collect())
    }

    async fn delivered(&self, id: Uuid) -> Result<(), OutboxError> {
        self.0.delivered(id).await.map_err(failed)
    }

    async fn undelivered(
        &self,
        id: Uuid,
        error: String,
        next: Option<Timestamp>,
    ) -> Result<(), OutboxError> {
        self.0.undelivered(id, error, next).await.map_err(failed)
    }

    async fn waiting(&self) -> Result<u64, OutboxError> {
        self.0.deliveries_waiting().await.map_err(failed)
    }
}

fn failed(error: ledger::LedgerError) -> OutboxError {
    OutboxError(error.to_string())
}
