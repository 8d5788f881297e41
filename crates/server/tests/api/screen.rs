//! The happy path, and tier 2's troubles.

use std::time::Duration;

use serde_json::{Value, json};

use crate::helpers::{Behaviour, doubtful, spawn, transaction};

#[tokio::test]
async fn an_ordinary_payment_is_approved_by_tier_1_and_recorded_as_answered() {
    let app = spawn().await;
    let response = app.screen(transaction("tx-1")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let timing = response.headers()["server-timing"].to_str().unwrap().to_owned();
    for stage in ["velocity;dur=", "screening;dur=", "ledger;dur=", "total;dur="] {
        assert!(timing.contains(stage), "{timing}");
    }
    assert!(!timing.contains("analysis"), "{timing}");
    let body = response.text().await.unwrap();
    let decision: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(decision["outcome"], "approve");
    assert_eq!(decision["decided_by"], "screening");
    assert_eq!(decision["transaction_id"], "tx-1");
    assert_eq!(decision["screening"]["package"]["name"], "stub-screening");
    assert_eq!(app.tier2.calls.load(std::sync::atomic::Ordering::SeqCst), 0);
    let id = decision["decision_id"].as_str().unwrap();
    let again = app.get(&format!("/v1/decisions/{id}")).await;
    assert_eq!(again.text().await.unwrap(), body);
}

#[tokio::test]
async fn a_doubtful_payment_is_decided_by_the_analysis() {
    let app = spawn().await;
    let response = app.screen(doubtful("tx-1")).await;
    assert!(response.headers()["server-timing"].to_str().unwrap().contains("analysis;dur="));
    let decision: Value = response.json().await.unwrap();
    assert_eq!(decision["decided_by"], "analysis");
    assert_eq!(decision["outcome"], "decline");
    assert_eq!(decision["analysis"]["verdict"], "fraud");
}

#[tokio::test]
async fn a_tier_2_that_hangs_never_delays_past_the_deadline() {
    let app = spawn().await;
    app.tier2.set(Behaviour::Hang);
    let body = json!({"transaction": doubtful("tx-1"), "deadline_ms": 400});
    let answer = app.post_json("/v1/screen", &body);
    let response = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap();
    assert_eq!(response.status(), 202);
    let decision: Value = response.json().await.unwrap();
    assert_eq!(decision["degraded"], "analysis_late");
    assert_eq!(decision["status"], "provisional");
    assert_eq!(decision["decided_by"], "fallback");
    assert_eq!(decision["outcome"], "review");
}

#[tokio::test]
async fn a_tier_2_that_fails_is_the_fallbacks_business() {
    let app = spawn().await;
    for (behaviour, degraded) in
        [(Behaviour::Fail, "analysis_failed"), (Behaviour::Overloaded, "analysis_full")]
    {
        app.tier2.set(behaviour);
        let decision: Value = app.screen(doubtful("tx-1")).await.json().await.unwrap();
        assert_eq!(decision["degraded"], degraded);
    }
}

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let app = spawn().await;
    let body = json!({"transaction": transaction("tx-1"), "dry_run": true});
    let decision: Value = app.post_json("/v1/screen", &body).await.json().await.unwrap();
    assert_eq!(decision["outcome"], "approve");
    assert_eq!(app.decisions().await, 0);
    app.screen(transaction("tx-2")).await;
    let seen = app.tier1.seen.lock().unwrap().clone();
    assert!(seen[1].contains("count 0"), "{seen:?}");
}

#[tokio::test]
async fn a_tier_1_that_fails_or_panics_is_a_500_without_details() {
    let app = spawn().await;
    for behaviour in [Behaviour::Fail, Behaviour::Panic] {
        app.tier1.set(behaviour);
        let response = app.screen(transaction("tx-1")).await;
        assert_eq!(response.status(), 500);
        let problem = crate::helpers::problem(response).await;
        assert_eq!(problem["type"], "/problems/internal");
        assert!(!problem.to_string().contains("4111"), "{problem}");
    }
    app.tier1.set(Behaviour::Answer);
    assert_eq!(app.screen(transaction("tx-1")).await.status(), 200);
}

#[tokio::test]
async fn a_tier_1_that_hangs_is_a_504_at_the_deadline() {
    let app = spawn().await;
    app.tier1.set(Behaviour::Hang);
    let body = json!({"transaction": transaction("tx-1"), "deadline_ms": 50});
    let response = app.post_json("/v1/screen", &body).await;
    assert_eq!(response.status(), 504);
    crate::helpers::problem(response).await;
    assert_eq!(app.decisions().await, 0);
}

#[tokio::test]
async fn sane_identifiers_come_back_and_others_are_replaced() {
    let app = spawn().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = app.post("/v1/screen").json(&json!({"transaction": transaction("tx-1")}));
    let response =
        request.header("x-request-id", "mine-1").header("traceparent", trace).send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine-1");
    let answered = response.headers()["traceparent"].to_str().unwrap();
    assert!(answered.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && answered != trace);
    for (name, value) in [
        ("x-request-id", &b"a b"[..]),
        ("x-request-id", b"\xff\xfe"),
        ("x-request-id", b"4111111111111111"),
        ("traceparent", b"\xff"),
        ("traceparent", b"00-00000000000000004111111111111111-00f067aa0ba902b7-01"),
    ] {
        let header = reqwest::header::HeaderValue::from_bytes(value).unwrap();
        let request = app.client.get(format!("{}/livez", app.address)).header(name, &header);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_ne!(response.headers()[name], header);
        assert!(!response.headers()["traceparent"].to_str().unwrap().contains("4111111111111111"));
    }
}
