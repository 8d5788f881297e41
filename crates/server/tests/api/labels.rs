//! Labels and backfills.

use serde_json::{Value, json};

use crate::helpers::{problem, spawn, spawn_in, transaction};

fn label(transaction_id: &str) -> Value {
    json!({
        "transaction_id": transaction_id, "label": "fraud", "source": "chargeback",
        "effective_at": "2026-03-02T00:00:00Z",
    })
}

fn later(id: &str) -> Value {
    let mut transaction = transaction(id);
    transaction["timestamp"] = json!("2026-03-03T12:00:00Z");
    transaction
}

#[tokio::test]
async fn a_label_reaches_the_next_transaction_of_the_account() {
    let app = spawn().await;
    app.screen(transaction("tx-1")).await;
    let response = app.post_json("/v1/labels", &label("tx-1")).await;
    assert_eq!(response.status(), 200);
    let recorded: Value = response.json().await.unwrap();
    assert_eq!(recorded["label"], "fraud");
    app.screen(later("tx-2")).await;
    let seen = app.tier1.seen.lock().unwrap().clone();
    assert!(seen[1].contains("frauds 1"), "{seen:?}");
    let metrics = app.metrics().await;
    assert!(metrics.contains(r#"weir_labels_total{label="fraud",source="chargeback"} 1"#));
}

#[tokio::test]
async fn a_decision_can_be_labelled_and_the_label_reversed() {
    let app = spawn().await;
    let decision: Value = app.screen(transaction("tx-1")).await.json().await.unwrap();
    let path = format!("/v1/decisions/{}/labels", decision["decision_id"].as_str().unwrap());
    let mut body = label("");
    body.as_object_mut().unwrap().remove("transaction_id");
    assert_eq!(app.post_json(&path, &body).await.status(), 200);
    body["reversed"] = json!(true);
    assert_eq!(app.post_json(&path, &body).await.status(), 200);
    app.screen(later("tx-2")).await;
    let seen = app.tier1.seen.lock().unwrap().clone();
    assert!(seen[1].contains("frauds 0"), "{seen:?}");
}

#[tokio::test]
async fn labels_for_nobody_and_labels_that_say_nothing_are_refused() {
    let app = spawn().await;
    let response = app.post_json("/v1/labels", &label("tx-unknown")).await;
    assert_eq!(response.status(), 404);
    problem(response).await;
    let nobody = "/v1/decisions/01890a5d-ac96-774b-bcce-b302099a8057/labels";
    let mut body = label("");
    body.as_object_mut().unwrap().remove("transaction_id");
    assert_eq!(app.post_json(nobody, &body).await.status(), 404);
    for (member, value) in [
        ("label", json!("maybe")),
        ("source", json!("gossip")),
        ("effective_at", json!("soon")),
        ("effective_at", json!("2999-01-01T00:00:00Z")),
        ("reversed", json!("no")),
        ("color", json!("red")),
    ] {
        let mut body = label("tx-1");
        body[member] = value;
        let response = app.post_json("/v1/labels", &body).await;
        assert_eq!(response.status(), 422, "{member}");
        let pointer = format!("/{member}");
        assert_eq!(problem(response).await["errors"][0]["pointer"], pointer.as_str());
    }
}

#[tokio::test]
async fn a_backfill_counts_good_lines_and_describes_the_first_bad_ones() {
    let app = spawn().await;
    let mut lines: Vec<String> =
        (0..300).map(|n| transaction(&format!("e-{n}")).to_string()).collect();
    lines.push(json!({"transaction": transaction("e-300"), "label": "fraud", "label_at": "2026-04-01T00:00:00Z", "typology": "mule_account"}).to_string());
    lines.extend((0..12).map(|_| "{".to_owned()));
    lines.push(json!({"transaction": {"id": "x"}}).to_string());
    let response = app.post_ndjson("/v1/events", lines.join("\n")).await;
    assert_eq!(response.status(), 200);
    let backfill: Value = response.json().await.unwrap();
    assert_eq!((&backfill["accepted"], &backfill["rejected"]), (&json!(301), &json!(13)));
    assert_eq!(backfill["errors"].as_array().unwrap().len(), 10);
    assert_eq!(backfill["errors"][0]["line"], 302);
    assert_eq!(app.decisions().await, 0);
    assert_eq!(app.post_json("/v1/labels", &label("e-7")).await.status(), 200);
    app.screen(later("tx-1")).await;
    let seen = app.tier1.seen.lock().unwrap().clone();
    assert!(seen[0].contains("count 301 frauds 1"), "{seen:?}");
    assert!(app.metrics().await.contains(r#"weir_events_total{result="accepted"} 301"#));
}

#[tokio::test]
async fn velocity_survives_a_restart() {
    let app = spawn().await;
    app.screen(transaction("tx-1")).await;
    app.post_ndjson("/v1/events", transaction("e-1").to_string()).await;
    app.post_json("/v1/labels", &label("e-1")).await;
    let (ended, folder) = app.stop().await;
    ended.unwrap();
    let app = spawn_in(folder, |_| {}).await;
    while app.get("/readyz").await.status() != 200 {}
    app.screen(later("tx-2")).await;
    let seen = app.tier1.seen.lock().unwrap().clone();
    assert!(seen[0].contains("count 2 frauds 1"), "{seen:?}");
}

#[tokio::test]
async fn a_label_for_a_transaction_beyond_the_look_back_survives_a_restart_too() {
    let days_ago = |days: i64| {
        (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)).to_string()
    };
    let at = |id: &str, days: i64| {
        let mut transaction = transaction(id);
        transaction["timestamp"] = json!(days_ago(days));
        transaction
    };
    let app = spawn().await;
    let events = format!("{}\n{}", at("old", 40), at("recent", 2));
    app.post_ndjson("/v1/events", events).await;
    let mut body = label("old");
    body["effective_at"] = json!(days_ago(1));
    assert_eq!(app.post_json("/v1/labels", &body).await.status(), 200);
    let (ended, folder) = app.stop().await;
    ended.unwrap();
    let app = spawn_in(folder, |_| {}).await;
    while app.get("/readyz").await.status() != 200 {}
    app.screen(at("now", 0)).await;
    let seen = app.tier1.seen.lock().unwrap().clone();
    assert!(seen[0].contains("count 1 frauds 1"), "{seen:?}");
}
