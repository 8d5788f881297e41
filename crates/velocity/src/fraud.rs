//! One entity's confirmed frauds.

use crate::{
    facts::FraudFacts,
    kind::Mark,
    window::{DAY, WINDOWS},
};

/// A transaction confirmed as fraud.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fraud {
    /// When it happened, in milliseconds.
    pub(crate) at: i64,
    /// From when on this was known, in milliseconds.
    pub(crate) effective: i64,
    pub(crate) transaction: Mark,
}

/// Confirmed frauds ordered by when they happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frauds {
    dated: Vec<Fraud>,
    /// Frauds too many to be dated; they only count towards the total.
    undated: u32,
}

impl Frauds {
    /// Records a fraud not recorded yet.
    pub(crate) fn record(&mut self, fraud: Fraud, max_dated: usize) {
        let position = self.dated.partition_point(|known| known.at <= fraud.at);
        self.dated.insert(position, fraud);
        let excess = self.dated.len().saturating_sub(max_dated);
        self.dated.drain(..excess);
        self.undated += excess as u32;
    }

    /// Makes a recorded fraud known from another instant on.
    pub(crate) fn advance(&mut self, transaction: Mark, effective: i64) {
        let same = |known: &&mut Fraud| known.transaction == transaction;
        if let Some(fraud) = self.dated.iter_mut().find(same) {
            fraud.effective = effective;
        }
    }

    /// Takes a recorded fraud back.
    pub(crate) fn withdraw(&mut self, transaction: Mark) {
        let before = self.dated.len();
        self.dated.retain(|known| known.transaction != transaction);
        if self.dated.len() == before {
            // Recorded once, so it must be among the undated.
            self.undated = self.undated.saturating_sub(1);
        }
    }

    /// What was known at `at`, one transaction left out.
    pub(crate) fn facts(&self, at: i64, except: Mark, count_d30: u32) -> FraudFacts {
        let known =
            |fraud: &&Fraud| fraud.at <= at && fraud.effective <= at && fraud.transaction != except;
        let mut facts = FraudFacts { total: self.undated, ..FraudFacts::default() };
        let mut spell: Option<(i64, i64)> = None;
        for fraud in self.dated.iter().filter(known) {
            facts.total += 1;
            facts.d7 += u32::from(fraud.at > at - WINDOWS[2]);
            facts.d30 += u32::from(fraud.at > at - WINDOWS[3]);
            let goes_on = |latest: i64| fraud.at - latest <= FraudFacts::SPELL_GAP_DAYS * DAY;
            let first = spell.filter(|(_, latest)| goes_on(*latest)).map_or(fraud.at, |(f, _)| f);
            spell = Some((first, fraud.at));
        }
        if count_d30 > 0 {
            facts.rate_d30 = (f64::from(facts.d30) / f64::from(count_d30)).min(1.0);
        }
        let days = |then: i64| (at - then) as f64 / DAY as f64;
        facts.days_since_last = spell.map(|(_, latest)| days(latest));
        facts.days_since_first = spell.map(|(first, _)| days(first));
        facts
    }
}
