//! Rows to write.

use domain::{
    DecidedBy, DecisionId, DecisionStatus, Degraded, Label, LabelSource, Outcome, PackageRef,
    Score, TruthLabel, Verdict,
};
use export::DecisionRow;
use jiff::Timestamp;
use uuid::Uuid;

pub(crate) fn package(name: &str) -> PackageRef {
    PackageRef { name: name.into(), version: "1.2.0".into(), sha256: "ab".repeat(32) }
}

/// A row with everything in it.
pub(crate) fn full(number: u32) -> DecisionRow {
    let time = Timestamp::from_microsecond(1_780_000_000_123_456 + i64::from(number)).unwrap();
    DecisionRow {
        decision_id: DecisionId(Uuid::from_u128(u128::from(number))),
        transaction_id: Some(format!("tx-{number}").parse().unwrap()),
        account_id: Some("acc-Ü".parse().unwrap()),
        event_time: time,
        decided_at: time,
        outcome: Outcome::Review,
        status: DecisionStatus::Final,
        decided_by: DecidedBy::Analysis,
        score: Score::new(0.875).unwrap(),
        screening_score: Some(Score::new(0.5).unwrap()),
        analysis_score: Some(Score::new(0.875).unwrap()),
        analysis_verdict: Some(Verdict::Suspicious),
        degraded: None,
        policy_version: Some("2026-11".into()),
        policy_sha256: Some("cd".repeat(32)),
        screening_package: Some(package("screening")),
        analysis_package: Some(package("analysis")),
        label: Some(Label {
            label: TruthLabel::Fraud,
            source: LabelSource::Chargeback,
            effective_at: time,
            reversed: false,
        }),
        erased: false,
        record: Some(format!("{{\n  \"number\": {number}\n}}")),
        response: Some("{\"outcome\":\"review\"}".into()),
    }
}

/// A row of which an erasure left the core.
pub(crate) fn erased(number: u32) -> DecisionRow {
    DecisionRow {
        transaction_id: None,
        account_id: None,
        screening_score: None,
        analysis_score: None,
        analysis_verdict: None,
        degraded: Some(Degraded::AnalysisLate),
        policy_version: None,
        screening_package: None,
        analysis_package: None,
        label: None,
        erased: true,
        record: None,
        response: None,
        ..full(number)
    }
}
