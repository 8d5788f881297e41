//! Everything kept for one account, card, device, counterparty or terminal.

use std::collections::VecDeque;

use crate::{
    config::Config,
    facts::{EntityFacts, Novelty, RecentTransaction, WindowFacts},
    fraud::Frauds,
    habits::{self, Detail},
    kind::Mark,
    labels::Labels,
    window::{Bounds, DAY, Event, HOUR, SECOND, Timeline, Totals, WINDOWS},
};

/// Minor units of one major unit, as in `domain::Amount::minor_units`.
const MINOR_UNITS: f64 = 10_000.0;

/// Fewer earlier amounts say nothing of their spread.
const DEVIATION_COUNT_MIN: u32 = 3;

/// Minor units in major units: the one place where exactness ends.
pub(crate) fn major(minor: i128) -> f64 {
    minor as f64 / MINOR_UNITS
}

/// One entity's windows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entity {
    timeline: Timeline,
    /// In step with the timeline for accounts, empty for all others.
    details: VecDeque<Detail>,
    pub(crate) frauds: Frauds,
    pub(crate) labels: Labels,
    /// The earliest transaction ever counted; it stays when its event is dropped.
    first: Option<First>,
    /// Taken out of the store: whoever waited for its lock must look it up again.
    evicted: bool,
}

#[derive(Debug, Clone, Copy)]
struct First {
    at: i64,
    transaction: Mark,
}

/// What counting a transaction did to the number of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Events more than before; may be negative.
    pub(crate) growth: i64,
    /// Events missing from the windows now though they are young enough.
    pub(crate) dropped: u64,
}

impl Entity {
    pub(crate) fn len(&self) -> usize {
        self.timeline.len()
    }

    /// When it was last seen, in event time.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.timeline.newest()
    }

    /// Empties it for good; whoever still points here holds a shell.
    pub(crate) fn retire(&mut self) {
        *self = Self { evicted: true, ..Self::default() };
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted
    }

    /// Counts a transaction.
    pub(crate) fn count(
        &mut self,
        event: Event,
        detail: Option<Detail>,
        config: &Config,
    ) -> Counted {
        if self.first.is_none_or(|first| event.at < first.at) {
            self.first = Some(First { at: event.at, transaction: event.transaction });
        }
        let keep = WINDOWS[3] + i64::from(config.lateness_hours) * HOUR;
        let Some(placed) = self.timeline.insert(event, keep, config.max_events_per_entity) else {
            return Counted { growth: 0, dropped: 1 };
        };
        let gone = placed.expired + placed.crowded_out;
        if let Some(detail) = detail {
            self.details.insert(placed.position, detail);
            self.details.drain(..gone);
        }
        Counted { growth: 1 - gone as i64, dropped: placed.crowded_out as u64 }
    }

    /// The same entity as if it had never counted the transaction; `None` when it has not.
    pub(crate) fn without(&self, transaction: Mark) -> Option<Self> {
        let position = self.timeline.position_of(transaction)?;
        let mut other = self.clone();
        other.timeline.remove(position);
        other.details.remove(position);
        if other.first.is_some_and(|first| first.transaction == transaction) {
            let oldest = other.timeline.oldest();
            other.first =
                oldest.map(|event| First { at: event.at, transaction: event.transaction });
        }
        Some(other)
    }

    /// What is known just before a transaction of this time and amount.
    pub(crate) fn facts(&self, at: i64, minor: i64, except: Mark) -> EntityFacts {
        let bounds = self.timeline.bounds(at);
        let mut facts = EntityFacts::default();
        let mut totals = Totals::default();
        let mut end = bounds.end;
        let windows = [&mut facts.h1, &mut facts.h24, &mut facts.d7, &mut facts.d30];
        let mut previous = (bounds.end, 0);
        for (window, start) in windows.into_iter().zip(bounds.starts) {
            totals.add(self.timeline.totals(start..end));
            end = start;
            if start != previous.0 {
                previous = (start, self.timeline.newcomers(start..bounds.end, start));
            }
            *window = window_facts((bounds.end - start) as u32, &totals, previous.1);
        }
        let latest =
            bounds.end.checked_sub(1).and_then(|last| self.timeline.events(last..last + 1).next());
        facts.seconds_since_last = latest.map(|latest| (at - latest.at) / SECOND);
        facts.amount_ratio = ratio(minor, facts.d30.count, &totals);
        facts.amount_deviation = deviation(minor, facts.d30.count, &totals);
        let first = self.first.filter(|first| first.at <= at);
        facts.days_known = first.map(|first| (at - first.at) as f64 / DAY as f64);
        facts.confirmed_fraud = self.frauds.facts(at, except, facts.d30.count);
        facts.labels = self.labels.facts(at, except);
        facts
    }

    /// What of the transaction is new to this account.
    pub(crate) fn novelty(&self, at: i64, counterparty: Mark, current: &Detail) -> Novelty {
        let bounds = self.timeline.bounds(at);
        habits::novelty(&self.timeline, &self.details, &bounds, counterparty, current)
    }

    /// This account's latest transactions, newest first.
    pub(crate) fn recent(&self, at: i64) -> Vec<RecentTransaction> {
        let Bounds { end, .. } = self.timeline.bounds(at);
        habits::recent(&self.timeline, &self.details, end, at)
    }

    /// Distinct peers whose first event within 30 days lies in the last 7.
    pub(crate) fn first_timers(&self, at: i64) -> u32 {
        let bounds = self.timeline.bounds(at);
        self.timeline.newcomers(bounds.d30(), bounds.starts[2])
    }
}

fn window_facts(count: u32, totals: &Totals, distinct_peers: u32) -> WindowFacts {
    let sum = major(totals.sum);
    let mean = if count == 0 { 0.0 } else { sum / f64::from(count) };
    WindowFacts { count, sum, mean, max: major(i128::from(totals.max)), distinct_peers }
}

fn ratio(minor: i64, count: u32, totals: &Totals) -> Option<f64> {
    (count > 0).then(|| minor as f64 * f64::from(count) / totals.sum as f64)
}

/// `(amount - mean) / std`, both sides multiplied by the count so that integers stay exact.
fn deviation(minor: i64, count: u32, totals: &Totals) -> Option<f64> {
    if count < DEVIATION_COUNT_MIN {
        return None;
    }
    let n = i128::from(count);
    let spread = match (totals.squares.checked_mul(n), totals.sum.checked_mul(totals.sum)) {
        (Some(squares), Some(square)) => (squares - square) as f64,
        // Only amounts near the largest allowed come here; floating point must do.
        (None, _) | (_, None) => {
            totals.squares as f64 * f64::from(count) - totals.sum as f64 * totals.sum as f64
        }
    };
    let above = (i128::from(minor) * n - totals.sum) as f64;
    (spread > 0.0).then(|| above / spread.sqrt())
}
