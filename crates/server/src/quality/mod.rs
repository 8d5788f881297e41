//! Precision and recall of live decisions, as far as labels and the audit sample tell.

mod follower;
mod metrics;
mod source;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use evaluation::{Maturity, Quality, QualityConfig, Watched, quality};
use jiff::{SignedDuration, Timestamp};
use ledger::{Ledger, LedgerError};
use serde::Serialize;
use tokio::sync::Semaphore;

pub(crate) use self::{follower::Follower, metrics::QualityMetrics};
use self::{
    source::Source,
    tally::{LeftOut, Tally},
};
use crate::settings;

/// Why there is no estimate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QualityError {
    /// The period holds more decisions than one estimate reads.
    #[error("the period holds more than {0} decisions; ask for a shorter one")]
    TooMany(usize),
    /// Another estimate is under way.
    #[error("another estimate is under way")]
    Busy,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The estimator refused.
    #[error("{0}")]
    Estimate(String),
}

/// What is known of decisions of a period.
#[derive(Debug, Serialize)]
pub(crate) struct Estimate {
    #[serde(flatten)]
    pub(crate) quality: Quality,
    pub(crate) left_out: LeftOut,
}

/// Estimates over the ledger, on demand.
pub(crate) struct QualityDesk {
    ledger: Ledger,
    settings: settings::Quality,
    /// Reading a long period is work: one at a time.
    asking: Semaphore,
}

/// Shared with the routes.
pub(crate) type SharedQuality = Arc<QualityDesk>;

impl QualityDesk {
    pub(crate) fn new(ledger: Ledger, settings: settings::Quality) -> Self {
        Self { ledger, settings, asking: Semaphore::new(1) }
    }

    /// When the period begins that is looked at unless told.
    pub(crate) fn since(&self, now: Timestamp) -> Timestamp {
        days_before(now, self.settings.window_days)
    }

    /// From which age in days a decision counts while labels are few.
    pub(crate) fn maturity_days(&self) -> u32 {
        self.settings.maturity_days
    }

    /// The quality of decisions of a period, by what is known at `now`.
    pub(crate) async fn estimate(
        &self,
        since: Timestamp,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Estimate, QualityError> {
        let _place = self.asking.try_acquire().map_err(|_| QualityError::Busy)?;
        estimate(&self.read(since, until).await?, now, &self.settings).await
    }

    async fn read(&self, since: Timestamp, until: Timestamp) -> Result<Tally, QualityError> {
        let (mut source, mut tally) = (Source::new(self.ledger.clone()), Tally::default());
        let mut walk = self.ledger.outcomes(since, until).await?;
        let mut read = 0;
        loop {
            let page = walk.next_page().await?;
            if page.is_empty() {
                return Ok(tally);
            }
            read += page.len();
            if read > self.settings.max_decisions {
                return Err(QualityError::TooMany(self.settings.max_decisions));
            }
            source.add(&page, &mut tally).await?;
        }
    }
}

async fn estimate(
    tally: &Tally,
    now: Timestamp,
    settings: &settings::Quality,
) -> Result<Estimate, QualityError> {
    let (watched, left_out) = (tally.watched(now), tally.left_out());
    let config = config(settings);
    // It sorts all labels, which is too long for a thread that answers callers.
    let computed = tokio::task::spawn_blocking(move || compute(&watched, now, &config)).await;
    let quality = computed.map_err(|error| QualityError::Estimate(error.to_string()))??;
    Ok(Estimate { quality, left_out })
}

fn compute(
    watched: &[Watched],
    now: Timestamp,
    config: &QualityConfig,
) -> Result<Quality, QualityError> {
    quality(watched, now, config).map_err(|error| QualityError::Estimate(error.to_string()))
}

fn config(settings: &settings::Quality) -> QualityConfig {
    let otherwise = SignedDuration::from_hours(i64::from(settings.maturity_days) * 24);
    let maturity = Maturity::DelayQuantile { share: 0.9, otherwise };
    QualityConfig { maturity, ..QualityConfig::default() }
}

/// So many days earlier.
fn days_before(now: Timestamp, days: u32) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(i64::from(days) * 24)).unwrap_or(Timestamp::MIN)
}
