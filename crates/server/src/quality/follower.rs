//! Keeps a tally of the latest days: what was read is kept, what has come since is added.

use jiff::Timestamp;
use ledger::{Ledger, LedgerError, OutcomeRow, PAGE_LIMIT_MAX};

use super::{
    QualityError, QualityMetrics, days_before, estimate,
    source::Source,
    tally::{LeftOut, Tally},
};
use crate::settings;

/// Follows the ledger and shows Prometheus what it learns.
pub(crate) struct Follower {
    ledger: Ledger,
    settings: settings::Quality,
    metrics: QualityMetrics,
    source: Source,
    pub(super) tally: Tally,
    /// Decisions made before are not held.
    pub(super) since: Timestamp,
    /// The last entry up to which decisions, and up to which labels, were read.
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    decisions: i64,
    labels: i64,
}

impl Follower {
    pub(crate) fn new(
        ledger: Ledger,
        settings: settings::Quality,
        metrics: QualityMetrics,
    ) -> Self {
        Self {
            source: Source::new(ledger.clone()),
            ledger,
            settings,
            metrics,
            tally: Tally::default(),
            since: Timestamp::MIN,
            seen: None,
        }
    }

    /// Catches up with the ledger, and estimates.
    pub(crate) async fn publish(&mut self, now: Timestamp) -> Result<(), QualityError> {
        self.catch_up(now).await?;
        let estimate = estimate(&self.tally, now, &self.settings).await?;
        self.metrics.publish(&estimate.quality, estimate.left_out, self.since, now);
        let LeftOut { audited_blindly, .. } = estimate.left_out;
        if audited_blindly > 0 {
            tracing::warn!(audited_blindly, "audited decisions under policies that are not known");
        }
        Ok(())
    }

    /// What fails half-way goes on there the next time.
    pub(super) async fn catch_up(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        let since = days_before(now, self.settings.window_days).max(self.since);
        self.since = self.tally.forget(since);
        self.decisions().await?;
        self.labels().await?;
        for ids in self.tally.provisional().chunks(PAGE_LIMIT_MAX) {
            let held = held(self.since, self.seen);
            self.source.renew(ids, held, &mut self.tally).await?;
        }
        Ok(())
    }

    /// Looks less far back where labels are too many.
    fn bound(&mut self) {
        if let Some(since) = self.tally.shrink(self.settings.max_decisions) {
            tracing::warn!(%since, "too many labels to look back further");
            self.since = since;
        }
    }

    async fn decisions(&mut self) -> Result<(), LedgerError> {
        let mut walk = match self.seen {
            Some(seen) => self.ledger.outcomes_after(seen.decisions).await?,
            None => self.ledger.outcomes(self.since, Timestamp::MAX).await?,
        };
        // Labels up to here are found with their decisions.
        let labels = self.seen.map_or(walk.last(), |seen| seen.labels);
        loop {
            let mut page = walk.next_page().await?;
            let Some(last) = page.last().map(|row| row.seq) else { break };
            page.retain(|row| row.decided_at >= self.since);
            self.source.add(&page, &mut self.tally).await?;
            self.seen = Some(Seen { decisions: last, labels });
            self.bound();
        }
        self.seen = Some(Seen { decisions: walk.last(), labels });
        Ok(())
    }

    async fn labels(&mut self) -> Result<(), LedgerError> {
        while let Some(seen) = self.seen {
            let labelled = self.ledger.labelled_after(seen.labels).await?;
            let Some((last, _)) = labelled.last() else { break };
            let last = *last;
            let mut ids: Vec<_> = labelled.into_iter().map(|(_, id)| id).collect();
            ids.sort_unstable();
            ids.dedup();
            self.source.renew(&ids, held(self.since, self.seen), &mut self.tally).await?;
            self.seen = Some(Seen { labels: last, ..seen });
            self.bound();
        }
        Ok(())
    }
}

/// Whether the tally holds a decision.
fn held(since: Timestamp, seen: Option<Seen>) -> impl Fn(&OutcomeRow) -> bool {
    move |row| seen.is_some_and(|seen| row.seq <= seen.decisions) && row.decided_at >= since
}
