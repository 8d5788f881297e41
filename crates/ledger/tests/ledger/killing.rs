//! What was acknowledged survives `kill -9`: a child process appends and tells which appends
//! were acknowledged, until it is killed.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
};

use domain::DecisionId;
use ledger::{Config, Ledger};
use prometheus::Registry;
use rand::RngExt;
use tokio::task::JoinSet;

use crate::support::{Bench, decision, event, label, transaction_id};

const PATH_VARIABLE: &str = "LEDGER_TEST_CHILD_PATH";
const MARK: &str = "acknowledged ";

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn acknowledged_decisions_survive_a_kill() {
    for round in 0..5 {
        let mut bench = Bench::new();
        let acknowledged = kill_after(&bench, rand::rng().random_range(1..400));
        let ledger = bench.open().await.unwrap();
        for n in &acknowledged {
            let id = DecisionId(uuid::Uuid::from_u128(u128::from(*n)));
            let stored = ledger.decision(id).await.unwrap();
            let stored = stored.unwrap_or_else(|| panic!("round {round} lost decision {n}"));
            assert_eq!(stored.record, decision(*n).record);
            assert!(ledger.has_transaction(&transaction_id(*n + 1_000_000)).await.unwrap());
            assert_eq!(ledger.labels(&transaction_id(*n)).await.unwrap().len(), 1);
        }
        ledger.close().await;
    }
}

/// Starts a child, kills it once it acknowledged `count`, returns all that it acknowledged.
fn kill_after(bench: &Bench, count: usize) -> Vec<u32> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["killing::child_that_appends_until_killed", "--exact", "--ignored", "--nocapture"])
        .env(PATH_VARIABLE, bench.path())
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
    complete.lines().filter_map(|l| l.split_once(MARK)?.1.parse().ok()).collect()
}

#[test]
#[ignore = "only the child of the test above"]
fn child_that_appends_until_killed() {
    let Some(path) = std::env::var_os(PATH_VARIABLE) else {
        return;
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = Config { path: path.into(), ..Config::default() };
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
        ledger.append(decision(n)).await.unwrap();
        ledger.append_events(vec![event(n + 1_000_000)]).await.unwrap();
        ledger.append_label(label(n, 0, false)).await.unwrap();
        let mut output = std::io::stdout().lock();
        if writeln!(output, "{MARK}{n}").and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}
