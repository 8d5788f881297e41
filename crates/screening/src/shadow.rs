//! A policy and a package that are tried beside the live ones: what they would have done is
//! recorded, and nothing else happens. They never move velocity, never delay an answer, and give
//! way when there is no room.

use std::{sync::Arc, time::Duration};

use domain::{Outcome, PackageRef, PolicyRef, Score};
use jiff::Timestamp;
use ledger::{Ledger, NewNote, NoteKind};
use policy::Policy;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    comparison::{Projection, project},
    desk::InForce,
    facts::Facts,
    metrics::Shadowed,
    record::Record,
    render::Renderer,
    screener::Screener,
    tiers::{Priority, ScreeningModel},
};

/// How long a shadow package may take for a transaction.
const PATIENCE: Duration = Duration::from_secs(10);

/// A package tried on live traffic.
#[derive(Clone)]
pub struct ShadowScreening {
    /// Scores.
    pub model: Arc<dyn ScreeningModel>,
    /// Its own template.
    pub renderer: Renderer,
}

/// What is tried.
#[derive(Clone)]
pub struct Shadow {
    policy: Option<Arc<Policy>>,
    screening: Option<ShadowScreening>,
    room: Arc<Semaphore>,
}

/// What a shadow policy would have done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowPolicy {
    /// Which policy.
    pub policy: PolicyRef,
    /// Where it leads.
    #[serde(flatten)]
    pub projection: Projection,
}

/// What a shadow package would have scored, and where that would have led.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowScore {
    /// Which package.
    pub package: PackageRef,
    /// Its score.
    pub score: Score,
    /// Where it leads under the shadow policy or, without one, the live policy.
    #[serde(flatten)]
    pub projection: Projection,
}

/// What the ledger keeps of a shadow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowRecord {
    /// What was decided.
    pub outcome: Outcome,
    /// Whether tier 2 was asked.
    pub escalated: bool,
    /// The live score of tier 1.
    pub score: Score,
    /// In major units.
    pub amount: f64,
    /// The policy tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ShadowPolicy>,
    /// The package tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screening: Option<ShadowScore>,
}

impl Shadow {
    /// Tries a policy, a package, or both; `room` bounds how many transactions at once. `None`
    /// when there is nothing to try.
    #[must_use]
    pub fn new(
        policy: Option<Arc<Policy>>,
        screening: Option<ShadowScreening>,
        room: usize,
    ) -> Option<Self> {
        let tried = policy.is_some() || screening.is_some();
        tried.then(|| Self { policy, screening, room: Arc::new(Semaphore::new(room)) })
    }

    /// Follows one decision, in the background.
    pub(crate) fn follow(&self, screener: &Screener, in_force: &InForce, record: &Record) {
        let Some(ledger) = screener.parts.ledger.clone() else { return };
        let metrics = screener.parts.metrics.clone();
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            metrics.shadowed(Shadowed::Dropped);
            return;
        };
        let (shadow, in_force, record) = (self.clone(), in_force.clone(), record.clone());
        screener.background.spawn(async move {
            let _room = room;
            let kept = shadow.keep(&ledger, &in_force, &record).await;
            metrics.shadowed(if kept { Shadowed::Recorded } else { Shadowed::Failed });
        });
    }

    async fn keep(&self, ledger: &Ledger, in_force: &InForce, record: &Record) -> bool {
        let tried = match self.try_on(in_force, record).await {
            Ok(tried) => tried,
            Err(error) => {
                tracing::warn!(error, "a shadow could not follow");
                return false;
            }
        };
        let Ok(json) = serde_json::to_string(&tried) else { return false };
        let note = NewNote {
            decision_id: record.decision.decision_id,
            kind: NoteKind::Shadow,
            recorded_at: Timestamp::now(),
            record: json,
        };
        ledger.append_note(note).await.is_ok()
    }

    async fn try_on(&self, in_force: &InForce, record: &Record) -> Result<ShadowRecord, String> {
        let decision = &record.decision;
        let live = decision.screening.score;
        let led = |policy: &Policy, score: Score| {
            project(policy, &record.facts, score, in_force.shift(), decision)
        };
        let policy = self.policy.as_ref().map(|policy| ShadowPolicy {
            policy: policy.reference().clone(),
            projection: led(policy, live),
        });
        let screening = match &self.screening {
            Some(tried) => {
                let score = score(tried, &record.facts).await?;
                let policy = self.policy.as_ref().unwrap_or(in_force.policy());
                let package = tried.model.package().clone();
                Some(ShadowScore { package, score, projection: led(policy, score) })
            }
            None => None,
        };
        Ok(ShadowRecord {
            outcome: decision.outcome,
            escalated: decision.escalated.is_some(),
            score: live,
            amount: record.facts.derived.amount,
            policy,
            screening,
        })
    }
}

async fn score(tried: &ShadowScreening, facts: &Facts) -> Result<Score, String> {
    let seen = Facts { screening_score: None, ..facts.clone() };
    let text = tried.renderer.screening_text(&seen).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PATIENCE;
    let place = tried.model.reserve(Priority::Bulk, deadline).map_err(|error| error.to_string())?;
    Ok(place.score(&text).await.map_err(|error| error.to_string())?.score)
}
