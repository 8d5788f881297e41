//! What has been read of a period: counts of the many decisions that say little, and each of the
//! few that are labelled.

use std::collections::BTreeMap;

use domain::{DecidedBy, DecisionStatus, Outcome, TransactionId};
use evaluation::{LabelSeen, Watched};
use jiff::Timestamp;
use ledger::OutcomeRow;
use serde::Serialize;

/// Decisions without a label are told apart by the hour.
const HOUR: i64 = 3_600;

/// What a decision is to an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Cleared by tier 1; the audit did not draw it.
    Cleared,
    /// Not approved, for the score's or a rule's sake.
    Flagged,
    /// The audit drew it, with a chance of these bits.
    Audited(u64),
    /// The audit drew it, nobody knows with which chance.
    AuditedBlindly,
    /// Cleared by a rule, by tier 2, or by the fallback: the audit does not draw there.
    BeyondAudit,
    /// Its account was erased, and its labels with it.
    Erased,
}

impl Class {
    /// `chance` is that of the audit under the decision's policy, if it is known.
    pub(super) fn of(row: &OutcomeRow, chance: Option<f64>) -> Self {
        match (row.audited, chance) {
            _ if row.transaction_id.is_none() => Self::Erased,
            // Drawn by chance, it is looked at for the draw's sake, whatever came of it.
            (true, Some(chance)) => Self::Audited(chance.to_bits()),
            (true, None) => Self::AuditedBlindly,
            (false, _) if row.outcome != Outcome::Approve => Self::Flagged,
            (false, _) if row.decided_by == DecidedBy::Screening => Self::Cleared,
            (false, _) => Self::BeyondAudit,
        }
    }

    /// Decisions of this class for the estimator; `None` for those that it must not see.
    fn watched(self, times: usize, at: Timestamp, label: Option<LabelSeen>) -> Option<Watched> {
        let blank = Watched {
            times,
            decided_at: at,
            flagged: false,
            audited: None,
            beyond_audit: false,
            label,
        };
        match self {
            Self::Cleared => Some(blank),
            Self::Flagged => Some(Watched { flagged: true, ..blank }),
            Self::Audited(chance) => {
                Some(Watched { audited: Some(f64::from_bits(chance)), ..blank })
            }
            Self::BeyondAudit => Some(Watched { beyond_audit: true, ..blank }),
            Self::AuditedBlindly | Self::Erased => None,
        }
    }
}

/// What an estimate could not take into account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LeftOut {
    /// Decisions that could still change.
    pub(crate) provisional: usize,
    /// Decisions whose account was erased.
    pub(crate) erased: usize,
    /// Audited decisions whose policy is not in the record, so that nobody knows the chance of the
    /// draw.
    pub(crate) audited_blindly: usize,
}

/// What has been read. Memory grows with the hours of the period and with its labels.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// Decisions without a label: how many of an hour, counted from 1970, and class.
    cells: BTreeMap<(i64, Class), usize>,
    /// Labelled decisions by their place.
    labelled: BTreeMap<i64, (Timestamp, Class, LabelSeen)>,
    /// Decisions that could still change by their place, with their transactions.
    provisional: BTreeMap<i64, (Timestamp, TransactionId)>,
}

impl Tally {
    /// Takes a decision that was not there yet.
    pub(super) fn add(&mut self, row: &OutcomeRow, class: Class, label: Option<LabelSeen>) {
        match (&row.transaction_id, label) {
            (Some(id), _) if row.status == DecisionStatus::Provisional => {
                self.provisional.insert(row.seq, (row.decided_at, id.clone()));
            }
            (Some(_), Some(label)) => {
                self.labelled.insert(row.seq, (row.decided_at, class, label));
            }
            (_, None) | (None, _) => {
                *self.cells.entry((hour(row.decided_at), class)).or_default() += 1;
            }
        }
    }

    /// Takes a decision that is there anew: it was labelled, or completed.
    pub(super) fn renew(&mut self, row: &OutcomeRow, class: Class, label: Option<LabelSeen>) {
        let apart =
            self.labelled.remove(&row.seq).is_some() || self.provisional.remove(&row.seq).is_some();
        if !apart {
            let cell = (hour(row.decided_at), class);
            match self.cells.get_mut(&cell) {
                Some(count) if *count > 1 => *count -= 1,
                Some(_) => drop(self.cells.remove(&cell)),
                None => {}
            }
        }
        self.add(row, class, label);
    }

    /// Forgets what was decided before the hour of `since`; answers when that began.
    pub(super) fn forget(&mut self, since: Timestamp) -> Timestamp {
        let first = hour(since);
        self.cells = self.cells.split_off(&(first, Class::Cleared));
        self.labelled.retain(|_, (at, _, _)| hour(*at) >= first);
        self.provisional.retain(|_, (at, _)| hour(*at) >= first);
        Timestamp::from_second(first * HOUR).unwrap_or(since)
    }

    /// Forgets the oldest until at most so many labelled decisions are left; answers since when all
    /// are here, if any had to go.
    pub(super) fn shrink(&mut self, max: usize) -> Option<Timestamp> {
        let excess = self.labelled.len().checked_sub(max + 1)?;
        let mut times: Vec<_> = self.labelled.values().map(|(at, _, _)| *at).collect();
        let (_, newest_to_go, _) = times.select_nth_unstable(excess);
        let next_hour = (hour(*newest_to_go) + 1) * HOUR;
        Some(self.forget(Timestamp::from_second(next_hour).unwrap_or(Timestamp::MAX)))
    }

    /// The transactions whose decisions could still change.
    pub(super) fn provisional(&self) -> Vec<TransactionId> {
        self.provisional.values().map(|(_, id)| id.clone()).collect()
    }

    /// For the estimator. Decisions without a label count as made at the end of their hour, so that
    /// none is mature too early.
    pub(super) fn watched(&self, now: Timestamp) -> Vec<Watched> {
        let counted = self.cells.iter().filter_map(|((hour, class), times)| {
            let end = Timestamp::from_second((hour + 1) * HOUR).unwrap_or(Timestamp::MAX);
            class.watched(*times, end.min(now), None)
        });
        let labelled = self.labelled.values();
        let labelled =
            labelled.filter_map(|(at, class, label)| class.watched(1, *at, Some(*label)));
        counted.chain(labelled).collect()
    }

    pub(super) fn left_out(&self) -> LeftOut {
        let of = |wanted: Class| {
            let counted = self.cells.iter().filter(|((_, class), _)| *class == wanted);
            let labelled = self.labelled.values().filter(|(_, class, _)| *class == wanted);
            counted.map(|(_, times)| times).sum::<usize>() + labelled.count()
        };
        LeftOut {
            provisional: self.provisional.len(),
            erased: of(Class::Erased),
            audited_blindly: of(Class::AuditedBlindly),
        }
    }
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(HOUR)
}

#[cfg(test)]
mod tests {
    use domain::DecisionId;
    use jiff::ToSpan;
    use uuid::Uuid;

    use super::*;

    fn start() -> Timestamp {
        "2026-03-01T00:00:00Z".parse().unwrap()
    }

    fn row(seq: i64) -> OutcomeRow {
        OutcomeRow {
            seq,
            decision_id: DecisionId(Uuid::from_u128(1)),
            transaction_id: Some(format!("t-{seq}").parse().unwrap()),
            decided_at: start() + seq.minutes(),
            outcome: Outcome::Approve,
            status: DecisionStatus::Final,
            decided_by: DecidedBy::Screening,
            audited: false,
            policy_sha256: None,
        }
    }

    fn fraud(seq: i64) -> Option<LabelSeen> {
        Some(LabelSeen { fraud: true, at: start() + seq.minutes() + 1.hours() })
    }

    fn count(tally: &Tally) -> (usize, usize) {
        let watched = tally.watched(start() + 1000.hours());
        let labelled = watched.iter().filter(|one| one.label.is_some()).count();
        (watched.iter().map(|one| one.times).sum(), labelled)
    }

    #[test]
    fn each_decision_has_one_class() {
        let flagged = OutcomeRow { outcome: Outcome::Review, ..row(1) };
        let audited = OutcomeRow { audited: true, ..flagged.clone() };
        let lowered = OutcomeRow { decided_by: DecidedBy::Analysis, ..row(1) };
        let erased = OutcomeRow { transaction_id: None, ..audited.clone() };
        assert_eq!(Class::of(&row(1), None), Class::Cleared);
        assert_eq!(Class::of(&flagged, None), Class::Flagged);
        assert_eq!(Class::of(&audited, Some(0.25)), Class::Audited(0.25_f64.to_bits()));
        assert_eq!(Class::of(&audited, None), Class::AuditedBlindly);
        assert_eq!(Class::of(&lowered, None), Class::BeyondAudit);
        assert_eq!(Class::of(&erased, Some(0.25)), Class::Erased);
    }

    #[test]
    fn a_label_moves_a_decision_and_its_reversal_moves_it_back() {
        let mut tally = Tally::default();
        for seq in 0..90 {
            tally.add(&row(seq), Class::Cleared, None);
        }
        assert_eq!((count(&tally), tally.cells.len()), ((90, 0), 2));
        tally.renew(&row(5), Class::Cleared, fraud(5));
        tally.renew(&row(5), Class::Cleared, fraud(5));
        assert_eq!(count(&tally), (90, 1));
        tally.renew(&row(5), Class::Cleared, None);
        assert_eq!(count(&tally), (90, 0));
    }

    #[test]
    fn a_provisional_decision_counts_once_it_is_final() {
        let mut tally = Tally::default();
        let owed = OutcomeRow { status: DecisionStatus::Provisional, ..row(1) };
        tally.add(&owed, Class::BeyondAudit, fraud(1));
        tally.renew(&owed, Class::BeyondAudit, fraud(1));
        assert_eq!((count(&tally), tally.left_out().provisional), ((0, 0), 1));
        assert_eq!(tally.provisional(), [row(1).transaction_id.unwrap()]);
        tally.renew(&row(1), Class::Flagged, fraud(1));
        assert_eq!((count(&tally), tally.left_out().provisional), ((1, 1), 0));
        assert!(tally.watched(start())[0].flagged);
    }

    #[test]
    fn what_nobody_can_weigh_is_left_out_and_told() {
        let mut tally = Tally::default();
        tally.add(&row(1), Class::AuditedBlindly, fraud(1));
        tally.add(&row(2), Class::AuditedBlindly, None);
        tally.add(&OutcomeRow { transaction_id: None, ..row(3) }, Class::Erased, None);
        assert_eq!(count(&tally), (0, 0));
        let left_out = LeftOut { provisional: 0, erased: 1, audited_blindly: 2 };
        assert_eq!(tally.left_out(), left_out);
    }

    #[test]
    fn the_past_is_forgotten_by_the_hour() {
        let mut tally = Tally::default();
        for seq in 0..300 {
            tally.add(&row(seq), Class::Cleared, if seq % 2 == 0 { fraud(seq) } else { None });
        }
        assert_eq!(tally.forget(start() + 90.minutes()), start() + 1.hours());
        assert_eq!(count(&tally), (240, 120));
        assert_eq!(tally.shrink(120), None);
        // 100 labelled ones would begin within the second hour; the third is the first whole one.
        assert_eq!(tally.shrink(100), Some(start() + 2.hours()));
        assert_eq!(count(&tally), (180, 90));
    }

    #[test]
    fn decisions_without_a_label_are_never_older_than_they_are() {
        let mut tally = Tally::default();
        tally.add(&row(10), Class::Cleared, None);
        let at = |now| tally.watched(now)[0].decided_at;
        assert_eq!(at(start() + 5.hours()), start() + 1.hours());
        assert_eq!(at(start() + 30.minutes()), start() + 30.minutes(), "none lies in the future");
    }
}
