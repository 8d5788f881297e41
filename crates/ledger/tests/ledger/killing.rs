//! What was acknowledged survives `kill -9`: a child process appends and tells which appends
//! were acknowledged, until it is killed.
//!
//! `LEDGER_KILL_ROUNDS=100 cargo test -p ledger killing` kills as often on each store.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
};

use domain::{DecisionId, DecisionStatus, Outcome};
use ledger::{Config, Ledger, LedgerError};
use prometheus::Registry;
use rand::RngExt;
use tokio::task::JoinSet;

use crate::support::{
    Bench, completion, decision, decision_id, event, label, provisional, store_at, transaction_id,
};

const PATH_VARIABLE: &str = "LEDGER_TEST_CHILD_PATH";
const MARK: &str = "acknowledged ";
const COMPLETED: &str = "completed ";

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn what_was_acknowledged_survives_a_kill(mut bench: Bench) {
    let rounds = std::env::var("LEDGER_KILL_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let Told { acknowledged, completed } = kill_after(&bench, rand::rng().random_range(1..400));
        let ledger = bench.open().await.unwrap();
        for n in &acknowledged {
            let id = DecisionId(uuid::Uuid::from_u128(u128::from(*n)));
            let stored = ledger.decision(id).await.unwrap();
            let stored = stored.unwrap_or_else(|| panic!("round {round} lost decision {n}"));
            assert_eq!(stored.content.unwrap().record, decision(*n).record);
            assert!(ledger.has_transaction(&transaction_id(*n + 1_000_000)).await.unwrap());
            assert!(!ledger.labels(&transaction_id(*n)).await.unwrap().is_empty());
        }
        for n in &completed {
            let stored = ledger.decision(decision_id(*n)).await.unwrap().unwrap();
            assert_eq!(stored.status, DecisionStatus::Final, "round {round}: {n}");
            assert_eq!((stored.outcome, stored.promised), (Outcome::Decline, None));
        }
        for n in acknowledged.iter().filter(|n| is_promising(**n)) {
            let stored = ledger.decision(decision_id(*n)).await.unwrap().unwrap();
            let is_owed = stored.promised.is_some();
            assert_ne!(is_owed, stored.completed_at.is_some(), "round {round} broke promise {n}");
        }
        finish_what_is_owed(&ledger).await;
        let verification = ledger.verify(|_| {}).await.unwrap();
        assert_eq!(verification.fault_count, 0, "round {round}: {verification:?}");
        assert!(verification.entries >= 2 * acknowledged.len() as u64);
        ledger.close().await;
    }
}

/// Claims and completes all that is owed; each is owed once and completed once.
async fn finish_what_is_owed(ledger: &Ledger) {
    let owed = ledger.pending().await.unwrap().count;
    let mut finished = HashSet::new();
    loop {
        let work = ledger.claim(500).await.unwrap();
        if work.is_empty() {
            break;
        }
        for work in work {
            let id = work.decision.decision_id;
            assert!(finished.insert(id), "{id} was claimed twice");
            let n = u32::try_from(id.0.as_u128()).unwrap();
            ledger.append_completion(completion(n)).await.unwrap();
            let again = ledger.append_completion(completion(n)).await;
            assert!(matches!(again, Err(LedgerError::DuplicateDecision(_))), "{again:?}");
        }
    }
    assert_eq!(finished.len() as u64, owed);
    assert_eq!(ledger.pending().await.unwrap().count, 0);
}

/// What a child told before it was killed.
struct Told {
    acknowledged: Vec<u32>,
    completed: Vec<u32>,
}

fn is_promising(n: u32) -> bool {
    n.is_multiple_of(3)
}

/// Starts a child, kills it once it acknowledged `count`, returns all that it acknowledged.
fn kill_after(bench: &Bench, count: usize) -> Told {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["killing::child_that_appends_until_killed", "--exact", "--ignored", "--nocapture"])
        .env(PATH_VARIABLE, bench.place())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    let mut text = String::new();
    while text.matches(MARK).count() < count {
        assert_ne!(output.read_line(&mut text).unwrap(), 0, "the child ended early: {text}");
    }
    child.0.kill().unwrap();
    output.read_to_string(&mut text).unwrap();
    // The last line may have been cut short.
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    let numbers =
        |mark| complete.lines().filter_map(|l| l.split_once(mark)?.1.parse().ok()).collect();
    Told { acknowledged: numbers(MARK), completed: numbers(COMPLETED) }
}

#[test]
#[ignore = "only the child of the test above"]
fn child_that_appends_until_killed() {
    let Ok(place) = std::env::var(PATH_VARIABLE) else {
        return;
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = Config::new(store_at(&place));
        let ledger = Ledger::open(config, &Registry::new()).await.unwrap();
        let mut tasks = JoinSet::new();
        for first in 0..16 {
            tasks.spawn(append_for_ever(ledger.clone(), first));
        }
        tasks.join_all().await;
    });
}

async fn append_for_ever(ledger: Ledger, first: u32) {
    // Bounded, lest an orphan fill the disk.
    for n in (first..200_000).step_by(16) {
        // A later round finds what an earlier one recorded and never told.
        let new = if is_promising(n) { provisional(n) } else { decision(n) };
        recorded(ledger.append(new).await);
        ledger.append_events(vec![event(n + 1_000_000)]).await.unwrap();
        ledger.append_label(label(n, 0, false)).await.unwrap();
        if tell(MARK, n).is_err() {
            return;
        }
        // Of what is promised, some is kept at once.
        if n.is_multiple_of(6) {
            recorded(ledger.append_completion(completion(n)).await);
            if tell(COMPLETED, n).is_err() {
                return;
            }
        }
    }
}

fn recorded(result: Result<(), LedgerError>) {
    match result {
        Ok(()) | Err(LedgerError::DuplicateDecision(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

fn tell(mark: &str, n: u32) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{mark}{n}").and_then(|()| output.flush())
}

on_both_stores!(what_was_acknowledged_survives_a_kill);
