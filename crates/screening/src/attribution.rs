//! Why tier 1 gave its score: the score it gives once a part of the facts is left out.
//!
//! Leave-one-out over the fields that a template may show (Lei et al. 2018, "Distribution-free
//! predictive inference for regression", section 6, with prediction in the place of residuals).
//! It tells what this model made of this transaction, not what causes fraud, and parts that say
//! the same thing hide each other.

use domain::{DecisionId, PackageRef, Score};
use futures::future::try_join_all;
use jiff::Timestamp;
use ledger::{NewNote, NoteKind};
use serde::Serialize;
use tokio::time::Instant;
use velocity::{EntityFacts, FraudFacts, Novelty};

use crate::{
    facts::Facts,
    screener::{ScreenError, Screener},
    tiers::{Priority, TierError},
};

/// What one part of the facts contributes to the score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// The part, as a path into the transaction or the velocity facts.
    pub part: &'static str,
    /// The score without it.
    pub score_without: Score,
    /// Log-odds with it less log-odds without it: above zero, it speaks for fraud.
    pub effect: f64,
}

/// The score of one transaction, taken apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribution {
    /// The score of the whole.
    pub score: Score,
    /// Which package scores.
    pub package: PackageRef,
    /// The parts that are there and that the template shows, the strongest first.
    pub effects: Vec<Effect>,
}

impl Screener {
    /// Takes tier 1's score of a decided transaction apart, with the package in use, and adds that
    /// to the record.
    ///
    /// # Errors
    /// When tier 1 has no room for all of it, or failed.
    pub async fn attribute(
        &self,
        id: DecisionId,
        facts: &Facts,
        deadline: Instant,
    ) -> Result<Attribution, ScreenError> {
        let seen = Facts { screening_score: None, ..facts.clone() };
        let whole = self.parts.renderer.screening_text(&seen)?;
        let mut texts = vec![("", whole)];
        for (part, masked) in without_each(&seen) {
            // A template that cannot do without a part says so by failing.
            let Ok(text) = self.parts.renderer.screening_text(&masked) else { continue };
            // What the template does not show cannot have moved the score.
            if texts.first().is_some_and(|(_, whole)| *whole != text) {
                texts.push((part, text));
            }
        }
        let places: Result<Vec<_>, TierError> =
            texts.iter().map(|_| self.parts.screening.reserve(Priority::Bulk, deadline)).collect();
        let scored = places?.into_iter().zip(&texts).map(|(place, (_, text))| place.score(text));
        let scores = try_join_all(scored).await?;
        let mut scores = texts.iter().map(|(part, _)| *part).zip(scores.iter().map(|s| s.score));
        let Some((_, score)) = scores.next() else {
            return Err(ScreenError::Screening("no score".into()));
        };
        let effect = |(part, without)| {
            let effect = log_odds(score) - log_odds(without);
            Effect { part, score_without: without, effect }
        };
        let mut effects: Vec<_> = scores.map(effect).collect();
        effects.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
        let package = self.parts.screening.package().clone();
        let attribution = Attribution { score, package, effects };
        if let Some(ledger) = &self.parts.ledger {
            let record = serde_json::to_string(&attribution)?;
            let (kind, recorded_at) = (NoteKind::Attribution, Timestamp::now());
            ledger.append_note(NewNote { decision_id: id, kind, recorded_at, record }).await?;
        }
        Ok(attribution)
    }
}

type Mask = fn(&mut Facts);

/// Each part, and how to leave it out: as if the caller had not sent it, or as if the store had
/// seen nothing.
const PARTS: &[(&str, Mask)] = &[
    ("transaction.amount", |facts| usual_amount(facts)),
    ("transaction.timestamp", |facts| facts.derived.hour = 12),
    ("transaction.type", |facts| facts.transaction.kind = None),
    ("transaction.channel", |facts| facts.transaction.channel = None),
    ("transaction.memo", |facts| facts.transaction.memo = None),
    ("transaction.attributes", |facts| facts.transaction.attributes.clear()),
    ("transaction.account.opened_at", |facts| {
        facts.transaction.account.opened_at = None;
        facts.derived.account_age_days = None;
    }),
    ("transaction.account.country", |facts| {
        facts.transaction.account.country = None;
        facts.derived.foreign_counterparty = None;
        facts.derived.foreign_network = None;
    }),
    ("transaction.card.entry_mode", |facts| {
        if let Some(card) = &mut facts.transaction.card {
            card.entry_mode = None;
        }
    }),
    ("transaction.counterparty.name", |facts| {
        if let Some(counterparty) = &mut facts.transaction.counterparty {
            counterparty.name = None;
        }
    }),
    ("transaction.counterparty.kind", |facts| {
        if let Some(counterparty) = &mut facts.transaction.counterparty {
            counterparty.kind = None;
        }
    }),
    ("transaction.counterparty.mcc", |facts| {
        if let Some(counterparty) = &mut facts.transaction.counterparty {
            counterparty.mcc = None;
        }
    }),
    ("transaction.counterparty.country", |facts| {
        if let Some(counterparty) = &mut facts.transaction.counterparty {
            counterparty.country = None;
        }
        facts.derived.foreign_counterparty = None;
    }),
    ("transaction.counterparty.first_seen", |facts| {
        if let Some(counterparty) = &mut facts.transaction.counterparty {
            counterparty.first_seen = None;
        }
        facts.derived.counterparty_age_days = None;
    }),
    ("transaction.device.ip_country", |facts| {
        if let Some(device) = &mut facts.transaction.device {
            device.ip_country = None;
        }
        facts.derived.foreign_network = None;
    }),
    ("velocity.account", |facts| {
        let account = std::mem::take(&mut facts.velocity.account);
        let EntityFacts { confirmed_fraud, labels, .. } = account;
        facts.velocity.account = EntityFacts { confirmed_fraud, labels, ..EntityFacts::default() };
    }),
    ("velocity.account.confirmed_fraud", |facts| forgive(Some(&mut facts.velocity.account))),
    ("velocity.card", |facts| facts.velocity.card = None),
    ("velocity.card.confirmed_fraud", |facts| forgive(facts.velocity.card.as_mut())),
    ("velocity.device", |facts| facts.velocity.device = None),
    ("velocity.counterparty", |facts| facts.velocity.counterparty = None),
    ("velocity.counterparty.confirmed_fraud", |facts| {
        forgive(facts.velocity.counterparty.as_mut());
    }),
    ("velocity.terminal", |facts| facts.velocity.terminal = None),
    ("velocity.terminal.confirmed_fraud", |facts| forgive(facts.velocity.terminal.as_mut())),
    ("velocity.novelty", |facts| facts.velocity.novelty = familiar(&facts.velocity.novelty)),
];

/// The facts without each of the parts that are there.
pub(crate) fn without_each(facts: &Facts) -> Vec<(&'static str, Facts)> {
    let masked = PARTS.iter().map(|(part, mask)| {
        let mut masked = facts.clone();
        mask(&mut masked);
        (*part, masked)
    });
    masked.filter(|(_, masked)| masked != facts).collect()
}

/// Natural; probabilities are kept a millionth away from 0 and 1.
fn log_odds(score: Score) -> f64 {
    let p = score.value().clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

/// An amount cannot be left out: the account's mean stands in its place, where there is one.
fn usual_amount(facts: &mut Facts) {
    let mean = facts.velocity.account.d30.mean;
    if mean <= 0.0 || facts.derived.amount <= 0.0 {
        return;
    }
    let scale = mean / facts.derived.amount;
    facts.derived.amount = mean;
    let velocity = &mut facts.velocity;
    let seen = [&mut velocity.card, &mut velocity.device, &mut velocity.counterparty];
    let entities = seen.into_iter().chain([&mut velocity.terminal]).filter_map(Option::as_mut);
    for entity in entities.chain([&mut velocity.account]) {
        entity.amount_ratio = entity.amount_ratio.map(|ratio| ratio * scale);
        entity.amount_deviation = None;
    }
}

fn forgive(entity: Option<&mut EntityFacts>) {
    if let Some(entity) = entity {
        entity.confirmed_fraud = FraudFacts::default();
        entity.labels.retain(|label| !label.fraud);
    }
}

/// Nothing about the transaction is new to the account.
fn familiar(novelty: &Novelty) -> Novelty {
    Novelty {
        counterparty_count_d30: novelty.counterparty_count_d30.map(|count| count.max(5)),
        device_count_d30: novelty.device_count_d30.map(|count| count.max(5)),
        counterparty_new: novelty.counterparty_new.map(|_| false),
        device_new: novelty.device_new.map(|_| false),
        country_new: novelty.country_new.map(|_| false),
        terminal_new: novelty.terminal_new.map(|_| false),
        small_h1: 0,
        refunds_d30: 0,
        first_time_payers_d7: novelty.first_time_payers_d7.map(|_| 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_odds_stay_finite() {
        let score = |p: f64| Score::new(p).unwrap();
        assert!(log_odds(score(0.5)).abs() < 1e-12);
        assert!((log_odds(score(0.9)) - 9.0_f64.ln()).abs() < 1e-9);
        assert!(log_odds(score(1.0)).is_finite() && log_odds(score(0.0)).is_finite());
    }
}
