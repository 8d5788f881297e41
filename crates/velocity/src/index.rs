//! Which transactions were counted, and where their labels belong.

use std::{
    collections::VecDeque,
    sync::{
        Weak,
        atomic::{AtomicI64, Ordering},
    },
};

use dashmap::{DashMap, Entry};
use domain::{Label, TruthLabel};
use parking_lot::Mutex;

use crate::{
    config::Config,
    entity::Entity,
    kind::{Kind, TransactionKey},
    window::DAY,
};

/// At most this many records leave for each that comes: enough to shrink, too few to stall.
const FORGOTTEN_PER_CALL: usize = 4;

/// The entities of a transaction, in the order of [`Kind::ALL`]; those evicted are dead.
pub(crate) type Members = [Weak<Mutex<Entity>>; Kind::COUNT];

/// A counted transaction.
#[derive(Debug)]
struct Record {
    at: i64,
    members: Members,
    truth: Truth,
}

/// The labels in force. The latest of two that contradict each other wins until it is reversed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Truth {
    /// From when on the fraud was known.
    fraud: Option<i64>,
    /// From when on it was known to be legitimate.
    legitimate: Option<i64>,
}

impl Truth {
    fn apply(&mut self, label: &Label) {
        match (label.label, label.reversed) {
            (TruthLabel::Fraud, false) => {
                let effective = label.effective_at.as_millisecond();
                // A second source that learns of it later does not make it unknown before.
                self.fraud = Some(self.fraud.map_or(effective, |known| known.min(effective)));
                self.legitimate = None;
            }
            (TruthLabel::Fraud, true) => self.fraud = None,
            (TruthLabel::Legitimate, false) => {
                let effective = label.effective_at.as_millisecond();
                let earliest = self.legitimate.map_or(effective, |known| known.min(effective));
                self.legitimate = Some(earliest);
            }
            (TruthLabel::Legitimate, true) => self.legitimate = None,
        }
    }

    fn known_fraud(self) -> Option<i64> {
        self.fraud.filter(|_| self.legitimate.is_none())
    }

    /// What is known of it, and from when on.
    fn known(self) -> Option<Known> {
        let legitimate = self.legitimate.map(|effective| Known { fraud: false, effective });
        legitimate.or(self.fraud.map(|effective| Known { fraud: true, effective }))
    }
}

/// The label in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) fraud: bool,
    /// From when on it was known, in milliseconds.
    pub(crate) effective: i64,
}

/// What applying a label came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    /// When the transaction happened, in milliseconds.
    pub(crate) at: i64,
    pub(crate) change: Change,
    /// The label now in force, if any.
    pub(crate) known: Option<Known>,
    /// Whether that is another than before.
    pub(crate) relabelled: bool,
}

/// What a label changes for the transaction's entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// No fraud came, went or moved.
    Nothing,
    /// It is a fraud, known from `effective` on.
    Confirmed {
        effective: i64,
    },
    /// The fraud is known from `effective` on already.
    Advanced {
        effective: i64,
    },
    Withdrawn,
}

/// Counted transactions, bounded in age and number.
#[derive(Debug, Default)]
pub(crate) struct Index {
    records: DashMap<TransactionKey, Record>,
    /// The records in order of arrival.
    queue: Mutex<VecDeque<(i64, TransactionKey)>>,
    /// The latest event time seen.
    newest: AtomicI64,
}

impl Index {
    pub(crate) fn contains(&self, key: TransactionKey) -> bool {
        self.records.contains_key(&key)
    }

    /// Remembers a transaction; false when it was known already.
    pub(crate) fn register(&self, key: TransactionKey, at: i64, members: Members) -> bool {
        match self.records.entry(key) {
            Entry::Occupied(_) => return false,
            Entry::Vacant(entry) => entry.insert(Record { at, members, truth: Truth::default() }),
        };
        self.newest.fetch_max(at, Ordering::Relaxed);
        self.queue.lock().push_back((at, key));
        true
    }

    /// Forgets a few of the earliest arrivals when there are too many or they are too old.
    pub(crate) fn forget(&self, config: &Config) {
        let horizon =
            self.newest.load(Ordering::Relaxed) - i64::from(config.label_horizon_days) * DAY;
        let mut queue = self.queue.lock();
        for _ in 0..FORGOTTEN_PER_CALL {
            let excess = queue.len() > config.max_transactions;
            let Some((_, key)) = queue.pop_front_if(|(at, _)| excess || *at < horizon) else {
                break;
            };
            self.records.remove(&key);
        }
    }

    pub(crate) fn members(&self, key: TransactionKey) -> Option<Members> {
        self.records.get(&key).map(|record| record.members.clone())
    }

    /// Applies a label to the record. The caller holds the locks of all living members, so that
    /// two labels of one transaction reach its entities in the same order. `None` when the record
    /// is gone.
    pub(crate) fn apply(&self, key: TransactionKey, label: &Label) -> Option<Applied> {
        let mut record = self.records.get_mut(&key)?;
        let before = record.truth;
        record.truth.apply(label);
        let after = record.truth;
        let change = match (before.known_fraud(), after.known_fraud()) {
            (before, after) if before == after => Change::Nothing,
            (None, Some(effective)) => Change::Confirmed { effective },
            (Some(_), Some(effective)) => Change::Advanced { effective },
            (_, None) => Change::Withdrawn,
        };
        let known = after.known();
        Some(Applied { at: record.at, change, known, relabelled: before.known() != known })
    }
}
