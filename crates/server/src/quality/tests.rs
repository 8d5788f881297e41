//! What is kept up to date says the same as what is read afresh.

use domain::{
    DecidedBy, Decision, DecisionId, DecisionStatus, Label, LabelSource, Outcome, PackageRef,
    PolicyRef, RiskLevel, Score, Screening, StageTimings, TransactionId, TruthLabel,
};
use jiff::{SignedDuration, Timestamp};
use ledger::{
    Config, Ledger, NewCompletion, NewDecision, NewLabel, NewPolicy, Promise, StoreConfig,
};
use policy::Policy;
use prometheus::Registry;
use uuid::Uuid;

use super::{Follower, QualityDesk, QualityMetrics};
use crate::settings;

const POLICY: &str = "version = \"1\"\n[thresholds]\nescalate = 0.1\ndecline = 0.95\n\
    [analysis]\nchallenge = 0.15\nreview = 0.35\ndecline = 0.80\nmay_lower_below = 0.60\n\
    [fallback]\noutcome = \"review\"\n[audit]\nshare = 0.25\n";
const DAYS: i64 = 86_400;

/// A generator that needs no crate (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}

fn name(n: u64) -> TransactionId {
    format!("t-{n}").parse().unwrap()
}

fn seconds_before(now: Timestamp, seconds: i64) -> Timestamp {
    now - SignedDuration::from_secs(seconds)
}

fn decision(n: u64, dice: &mut Dice, policy: &PolicyRef, now: Timestamp) -> NewDecision {
    let package = PackageRef { name: "p".into(), version: "1".into(), sha256: "00".into() };
    let age = i64::try_from(dice.below(100)).unwrap() * DAYS;
    let score = Score::new(0.25).unwrap();
    let provisional = dice.one_in(8);
    let audited = !provisional && dice.one_in(4);
    let outcome = if dice.one_in(3) { Outcome::Review } else { Outcome::Approve };
    let decided_by = if dice.one_in(4) { DecidedBy::Analysis } else { DecidedBy::Screening };
    let status = if provisional { DecisionStatus::Provisional } else { DecisionStatus::Final };
    let decision = Decision {
        decision_id: DecisionId(Uuid::from_u128(n.into())),
        // Some transactions are decided twice.
        transaction_id: name(n - u64::from(n > 0 && dice.one_in(10))),
        decided_at: seconds_before(now, age),
        outcome,
        status,
        decided_by,
        score,
        risk_level: RiskLevel::Low,
        reasons: Vec::new(),
        screening: Screening { score, package },
        analysis: None,
        escalated: None,
        degraded: None,
        provisional: None,
        policy: policy.clone(),
        timings_ms: StageTimings::default(),
    };
    NewDecision {
        account_id: "a".parse().unwrap(),
        event_time: decision.decided_at,
        record: "{}".into(),
        response: "{}".into(),
        idempotency: None,
        promise: provisional.then_some(Promise::Analysis),
        audited,
        decision,
    }
}

fn label(n: u64, dice: &mut Dice, now: Timestamp) -> NewLabel {
    let truth = if dice.one_in(2) { TruthLabel::Fraud } else { TruthLabel::Legitimate };
    let at = seconds_before(now, i64::try_from(dice.below(50)).unwrap() * DAYS);
    let label = Label {
        label: truth,
        source: LabelSource::Analyst,
        effective_at: at,
        reversed: dice.one_in(3),
    };
    NewLabel { transaction_id: name(n), decision_id: None, label, recorded_at: at }
}

fn completion(decision: &Decision, now: Timestamp) -> NewCompletion {
    NewCompletion {
        decision: Decision {
            outcome: Outcome::Decline,
            status: DecisionStatus::Final,
            decided_by: DecidedBy::Analysis,
            ..decision.clone()
        },
        completed_at: now,
        record: "{}".into(),
        response: "{}".into(),
        deliveries: Vec::new(),
    }
}

async fn ledger(folder: &tempfile::TempDir) -> Ledger {
    let path = folder.path().join("ledger.sqlite");
    Ledger::open(Config::new(StoreConfig::Sqlite { path }), &Registry::new()).await.unwrap()
}

fn follower(ledger: &Ledger, settings: &settings::Quality) -> Follower {
    let metrics = QualityMetrics::register(&Registry::new()).unwrap();
    Follower::new(ledger.clone(), settings.clone(), metrics)
}

async fn policy_in(ledger: &Ledger, now: Timestamp) -> PolicyRef {
    let reference = Policy::parse(POLICY).unwrap().reference().clone();
    let new = NewPolicy {
        reference: reference.clone(),
        document: POLICY.into(),
        author: "test".into(),
        recorded_at: now,
    };
    ledger.append_policy(new).await.unwrap();
    reference
}

#[tokio::test]
async fn what_is_kept_up_to_date_says_the_same_as_what_is_read_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder).await;
    let now = Timestamp::now();
    let policy = policy_in(&ledger, now).await;
    let unknown = PolicyRef { version: "0".into(), sha256: "ff".repeat(32) };
    let settings = settings::Quality::default();
    let mut follower = follower(&ledger, &settings);
    let mut dice = Dice(7);
    let mut owed: Vec<Decision> = Vec::new();
    for n in 0..600 {
        let under = if dice.one_in(10) { &unknown } else { &policy };
        let new = decision(n, &mut dice, under, now);
        if new.promise.is_some() {
            owed.push(new.decision.clone());
        }
        ledger.append(new).await.unwrap();
        if dice.one_in(2) {
            let of = dice.below(n + 2);
            ledger.append_label(label(of, &mut dice, now)).await.unwrap();
        }
        if dice.one_in(12) && !owed.is_empty() {
            let done = owed.swap_remove(0);
            ledger.append_completion(completion(&done, now)).await.unwrap();
        }
        if dice.one_in(25) {
            follower.catch_up(now).await.unwrap();
        }
    }
    follower.catch_up(now).await.unwrap();
    let desk = QualityDesk::new(ledger.clone(), settings);
    let afresh = desk.read(follower.since, Timestamp::MAX).await.unwrap();
    assert_eq!(follower.tally, afresh);
    let left_out = afresh.left_out();
    assert!(left_out.provisional > 0 && left_out.audited_blindly > 0, "{left_out:?}");
    assert!(afresh.watched(now).iter().filter(|one| one.label.is_some()).count() > 50);
    assert!(afresh.watched(now).iter().any(|one| one.audited == Some(0.25)));
    ledger.close().await;
}

#[tokio::test]
async fn a_period_with_too_many_decisions_is_refused_and_labels_beyond_the_bound_shorten_the_view()
{
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder).await;
    let now = Timestamp::now();
    let policy = policy_in(&ledger, now).await;
    let mut dice = Dice(11);
    for n in 0..60 {
        let new = decision(n, &mut dice, &policy, now);
        let id = new.decision.transaction_id.clone();
        ledger.append(new).await.unwrap();
        let fraud = NewLabel { transaction_id: id, ..label(n, &mut Dice(1), now) };
        let fraud = NewLabel { label: Label { reversed: false, ..fraud.label }, ..fraud };
        ledger.append_label(fraud).await.unwrap();
    }
    let settings = settings::Quality { max_decisions: 20, ..settings::Quality::default() };
    let desk = QualityDesk::new(ledger.clone(), settings.clone());
    let refused = desk.estimate(Timestamp::MIN, now, now).await.unwrap_err();
    assert!(refused.to_string().contains("more than 20 decisions"), "{refused}");

    let mut follower = follower(&ledger, &settings);
    follower.catch_up(now).await.unwrap();
    let labelled = follower.tally.watched(now).iter().filter(|one| one.label.is_some()).count();
    assert!((1..=20).contains(&labelled), "{labelled}");
    assert!(follower.since > seconds_before(now, 90 * DAYS));
    // It stays that way: what it no longer holds does not come back with a late label.
    let since = follower.since;
    follower.catch_up(now).await.unwrap();
    assert_eq!(follower.since, since);
    ledger.close().await;
}
