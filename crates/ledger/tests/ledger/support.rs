//! What all tests need.

use std::path::PathBuf;

use domain::{
    DecidedBy, Decision, DecisionId, DecisionStatus, Label, LabelSource, Outcome, PackageRef,
    PolicyRef, RiskLevel, Score, Screening, StageTimings, TransactionId, TruthLabel,
};
use jiff::Timestamp;
use ledger::{Config, Ledger, LedgerError, NewDecision, NewEvent, NewLabel};
use prometheus::Registry;
use uuid::Uuid;

/// A ledger in a folder of its own, which goes when this does.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    pub(crate) registry: Registry,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), registry: Registry::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("deep").join("ledger.sqlite")
    }

    pub(crate) fn config(&self) -> Config {
        Config { path: self.path(), ..Config::default() }
    }

    pub(crate) async fn open(&mut self) -> Result<Ledger, LedgerError> {
        self.open_with(self.config()).await
    }

    /// Every opening counts anew.
    pub(crate) async fn open_with(&mut self, config: Config) -> Result<Ledger, LedgerError> {
        self.registry = Registry::new();
        Ledger::open(config, &self.registry).await
    }

    /// How many commits there were, and how many rows they carried.
    pub(crate) fn groups(&self) -> (u64, u64) {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == "weir_ledger_group_size").unwrap();
        let histogram = family.get_metric()[0].get_histogram();
        (histogram.get_sample_count(), histogram.get_sample_sum() as u64)
    }

    pub(crate) fn errors(&self, kind: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == "weir_ledger_errors_total").unwrap();
        let metrics = family.get_metric();
        let metric = metrics.iter().find(|m| m.get_label()[0].value() == kind).unwrap();
        metric.get_counter().get_value() as u64
    }

    pub(crate) fn queue_depth(&self) -> i64 {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == "weir_ledger_queue_depth").unwrap();
        family.get_metric()[0].get_gauge().get_value() as i64
    }
}

/// Seconds after an arbitrary moment.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + seconds).unwrap()
}

pub(crate) fn transaction_id(n: u32) -> TransactionId {
    format!("tx-{n}").parse().unwrap()
}

pub(crate) fn decision_id(n: u32) -> DecisionId {
    DecisionId(Uuid::from_u128(u128::from(n)))
}

/// Decision `n`, of transaction `n`, made `n` seconds after the moment, `n` mod 4 its outcome.
pub(crate) fn decision(n: u32) -> NewDecision {
    let package =
        PackageRef { name: "p".to_owned(), version: "1".to_owned(), sha256: "00".to_owned() };
    let decision = Decision {
        decision_id: decision_id(n),
        transaction_id: transaction_id(n),
        decided_at: at(i64::from(n)),
        outcome: Outcome::ALL[n as usize % Outcome::ALL.len()],
        status: DecisionStatus::Final,
        decided_by: DecidedBy::Screening,
        score: Score::new(0.25).unwrap(),
        risk_level: RiskLevel::Low,
        reasons: Vec::new(),
        screening: Screening { score: Score::new(0.25).unwrap(), package },
        analysis: None,
        degraded: None,
        policy: PolicyRef { version: "1".to_owned(), sha256: "00".to_owned() },
        timings_ms: StageTimings::default(),
    };
    NewDecision {
        decision,
        account_id: "acc-1".parse().unwrap(),
        event_time: at(i64::from(n) - 1),
        record: format!("{{\"record\":{n},\"text\":\"żółć 🐟\"}}"),
        response: format!("{{\"response\":{n}}}"),
    }
}

/// The event of transaction `n`, which happened when that of decision `n` did.
pub(crate) fn event(n: u32) -> NewEvent {
    NewEvent {
        transaction_id: transaction_id(n),
        account_id: "acc-1".parse().unwrap(),
        event_time: at(i64::from(n) - 1),
        record: format!("{{\"event\":{n}}}"),
    }
}

/// A label of transaction `n` that arrives and counts `seconds` after the moment.
pub(crate) fn label(n: u32, seconds: i64, reversed: bool) -> NewLabel {
    NewLabel {
        transaction_id: transaction_id(n),
        decision_id: Some(decision_id(n)),
        label: Label {
            label: TruthLabel::Fraud,
            source: LabelSource::Chargeback,
            effective_at: at(seconds),
            reversed,
        },
        recorded_at: at(seconds),
    }
}
