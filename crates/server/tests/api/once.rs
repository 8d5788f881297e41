//! `Idempotency-Key`: one answer, however often it is asked for.

use std::{sync::atomic::Ordering, time::Duration};

use futures::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};

use crate::helpers::{
    Behaviour, TestApp, doubtful, problem, spawn, spawn_in, spawn_with, transaction,
};

async fn post(app: &TestApp, key: &str, body: &Value) -> Response {
    app.post("/v1/screen").header("idempotency-key", key).json(body).send().await.unwrap()
}

#[tokio::test]
async fn two_hundred_at_once_get_one_analysis_and_the_same_bytes() {
    let app = spawn().await;
    app.tier2.set(Behaviour::Wait);
    let body = json!({ "transaction": doubtful("tx-1") });
    let all = join_all((0..200).map(|_| post(&app, "\"k-1\"", &body)));
    let release = async {
        app.tier2.called(1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        app.tier2.released.notify_one();
    };
    let (answers, ()) = futures::future::join(all, release).await;
    let mut texts = Vec::new();
    let mut replayed = 0;
    for answer in answers {
        assert_eq!(answer.status(), 200);
        replayed += usize::from(answer.headers().contains_key("idempotent-replayed"));
        texts.push(answer.text().await.unwrap());
    }
    texts.dedup();
    assert_eq!((texts.len(), replayed), (1, 199));
    assert_eq!(app.tier2.calls.load(Ordering::SeqCst), 1);
    assert_eq!(app.decisions().await, 1);
}

#[tokio::test]
async fn a_key_outlives_a_restart_and_counts_once_in_velocity() {
    let app = spawn().await;
    let body = json!({ "transaction": transaction("tx-1") });
    let first = post(&app, "k-1", &body).await.text().await.unwrap();
    let (ended, folder) = app.stop().await;
    ended.unwrap();
    let app = spawn_in(folder, |_| {}).await;
    while app.get("/readyz").await.status() != 200 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let again = post(&app, "k-1", &body).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.text().await.unwrap(), first);
    let other = json!({ "transaction": transaction("tx-2") });
    let _ = post(&app, "k-2", &other).await;
    let seen = app.tier1.seen.lock().unwrap().join("\n");
    assert!(seen.contains("count 1 "), "{seen}");
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused_and_spelling_makes_no_difference() {
    let app = spawn().await;
    let body = json!({ "transaction": transaction("tx-1") });
    assert_eq!(post(&app, "k-1", &body).await.status(), 200);
    let other = json!({ "transaction": transaction("tx-2") });
    let refused = post(&app, "k-1", &other).await;
    assert_eq!(refused.status(), 422);
    let problem = problem(refused).await;
    assert_eq!(problem["errors"][0]["pointer"], "/headers/idempotency-key");
    let spelt = app
        .post("/v1/screen")
        .header("idempotency-key", "\"k-1\"")
        .header("content-type", "application/json")
        .body(format!("  {}\n", serde_json::to_string_pretty(&body).unwrap()));
    let spelt = spelt.send().await.unwrap();
    assert_eq!(spelt.headers()["idempotent-replayed"], "true");
}

#[tokio::test]
async fn a_failed_attempt_leaves_the_key_free() {
    let app = spawn().await;
    let body = json!({ "transaction": transaction("tx-1") });
    app.tier1.set(Behaviour::Fail);
    assert_eq!(post(&app, "k-1", &body).await.status(), 500);
    app.tier1.set(Behaviour::Answer);
    let answer = post(&app, "k-1", &body).await;
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("idempotent-replayed"));
}

#[tokio::test]
async fn a_caller_who_leaves_finds_the_answer_when_it_comes_back() {
    let app = spawn().await;
    app.tier2.set(Behaviour::Wait);
    let body = json!({ "transaction": doubtful("tx-1") });
    let gone = tokio::time::timeout(Duration::from_millis(300), post(&app, "k-1", &body)).await;
    assert!(gone.is_err());
    app.tier2.called(1).await;
    app.tier2.released.notify_one();
    let answer = post(&app, "k-1", &body).await;
    assert_eq!(answer.status(), 200);
    let decision: Value = answer.json().await.unwrap();
    assert_eq!(decision["decided_by"], "analysis");
    assert_eq!(app.tier2.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_waits_past_the_deadline_for_another_is_told_to_come_back() {
    // A machine that is busy with other tests needs time to record.
    let app = spawn_with(|settings| settings.analysis.answer_reserve_ms = 1500).await;
    app.tier2.set(Behaviour::Hang);
    let body = json!({ "transaction": doubtful("tx-1"), "deadline_ms": 3000 });
    let first = post(&app, "k-1", &body);
    let second = async {
        app.tier2.called(1).await;
        // The same request that is in more of a hurry is another request.
        let hurried = json!({ "transaction": doubtful("tx-1"), "deadline_ms": 100 });
        assert_eq!(post(&app, "k-1", &hurried).await.status(), 422);
    };
    let (first, ()) = futures::future::join(first, second).await;
    assert_eq!(first.status(), 202);
    let again = post(&app, "k-1", &body).await;
    assert_eq!(again.status(), 202, "the first answer is given again, provisional as it was");
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_400_and_a_dry_run_uses_none() {
    let app = spawn().await;
    let body = json!({ "transaction": transaction("tx-1") });
    for key in ["\"\"", "4111111111111111", "a b"] {
        let refused = post(&app, key, &body).await;
        assert_eq!(refused.status(), 400, "{key}");
        assert!(!refused.text().await.unwrap().contains("4111"));
    }
    let dry = json!({ "transaction": transaction("tx-1"), "dry_run": true });
    for _ in 0..2 {
        let answer = post(&app, "k-1", &dry).await;
        assert!(!answer.headers().contains_key("idempotent-replayed"));
    }
}
