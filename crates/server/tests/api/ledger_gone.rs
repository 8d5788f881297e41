//! What callers see while the ledger cannot be written.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use server::{Settings, settings::OnLedgerFailure};

use crate::helpers::{TestApp, problem, spawn_with, transaction};

/// Another process that holds the file's write lock until it is dropped.
struct Lock(Child);

impl Lock {
    fn take(file: &Path) -> Self {
        let hold = "import sqlite3, sys\n\
                    db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n\
                    db.execute('BEGIN IMMEDIATE')\n\
                    print('locked', flush=True)\n\
                    sys.stdin.read()";
        let mut child = Command::new("python3")
            .args(["-c", hold])
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "locked\n");
        Self(child)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

async fn locked(on_failure: OnLedgerFailure) -> (TestApp, Lock) {
    let app = spawn_with(|settings| settings.ledger.on_failure = on_failure).await;
    app.screen(transaction("before")).await;
    let lock = Lock::take(&app.folder.path().join(&Settings::default().ledger.file));
    (app, lock)
}

// Taking the lock blocks, and must not stop the service that has to let go of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_ledger_refuses_and_recovers_without_a_restart() {
    let (app, lock) = locked(OnLedgerFailure::Refuse).await;
    let late = app.screen(transaction("late")).await;
    assert_eq!(problem(late).await["type"], "/problems/deadline", "the lock may yet be let go");
    let patient = json!({ "transaction": transaction("during"), "deadline_ms": 20_000 });
    let refused = app.post_json("/v1/screen", &patient).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(problem(refused).await["type"], "/problems/unavailable");
    drop(lock);
    assert_eq!(app.screen(transaction("after")).await.status(), 200);
    assert_eq!(app.decisions().await, 2);
}

// Taking the lock blocks, and must not stop the service that has to let go of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_ledger_may_be_answered_without_and_catches_up() {
    let (app, lock) = locked(OnLedgerFailure::Answer).await;
    let mut answered: Vec<Value> = Vec::new();
    // The first is answered when its deadline comes; once the commit is stuck none waits for it.
    for n in 0..4 {
        let answer = app.screen(transaction(&format!("during-{n}"))).await;
        assert_eq!(answer.status(), 200);
        answered.push(answer.json().await.unwrap());
    }
    assert_eq!(answered[0]["degraded"], Value::Null, "recorded as it is, if a little later");
    let keyed = app.post("/v1/screen").header("idempotency-key", "k-1");
    let keyed = keyed.json(&json!({ "transaction": transaction("keyed") })).send().await.unwrap();
    assert_eq!(keyed.status(), 200, "without its key, which cannot be kept");
    answered.push(keyed.json().await.unwrap());
    assert_eq!(answered[3]["degraded"], "ledger_unavailable", "{}", answered[3]);
    assert_eq!(app.decisions().await, 1);
    drop(lock);
    for decision in answered {
        assert_eq!(recorded(&app, &decision).await, decision);
    }
    app.screen(transaction("after")).await;
    assert_eq!(app.decisions().await, 7, "each once");
}

/// The decision as the ledger has it, once it has it.
async fn recorded(app: &TestApp, decision: &Value) -> Value {
    let url = format!("/v1/decisions/{}", decision["decision_id"].as_str().unwrap());
    for _ in 0..300 {
        let answer = app.get(&url).await;
        if answer.status() == 200 {
            return answer.json().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not recorded although the ledger is back");
}
