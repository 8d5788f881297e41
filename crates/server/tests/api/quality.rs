//! What labels say of live decisions.

use std::time::Duration;

use serde_json::{Value, json};

use crate::helpers::{POLICY, TestApp, doubtful, spawn, spawn_with, transaction};

/// Half of what tier 1 clears is audited.
async fn spawn_audited() -> TestApp {
    spawn_with(|settings| {
        let document = POLICY.to_owned() + "\n[audit]\nshare = 0.5\n";
        std::fs::write(settings.policy.file.as_ref().unwrap(), document).unwrap();
    })
    .await
}

async fn label(app: &TestApp, transaction_id: &str, label: &str) {
    let label = json!({
        "transaction_id": transaction_id, "label": label, "source": "analyst",
        "effective_at": "2026-03-02T00:00:00Z",
    });
    assert_eq!(app.post_json("/v1/labels", &label).await.status(), 200);
}

#[tokio::test]
async fn precision_and_recall_wait_for_labels_and_for_an_audit() {
    let app = spawn_audited().await;
    let mut audited = 0;
    for n in 0..40 {
        let decision: Value =
            app.screen(transaction(&format!("small-{n}"))).await.json().await.unwrap();
        audited += u64::from(decision["escalated"] == "audit");
    }
    assert!((5..35).contains(&audited), "{audited} of 40 drawn at one half");
    app.screen(doubtful("large")).await;
    label(&app, "large", "fraud").await;
    let quality: Value = app.get("/v1/quality").await.json().await.unwrap();
    assert_eq!(quality["mature"], 0, "nothing is old enough: {quality}");
    assert_eq!(quality["immature"], 41);
    assert_eq!(quality["recall"], Value::Null);
    assert!(quality["assumptions"].as_array().unwrap().len() > 2);
    assert_eq!(app.get("/v1/quality?since=yesterday").await.status(), 400);
}

#[tokio::test]
async fn a_package_without_a_reference_has_no_drift() {
    let app = spawn().await;
    let drift: Value = app.get("/v1/drift").await.json().await.unwrap();
    assert_eq!(drift, json!({ "reference": false, "readings": [] }));
    assert!(app.metrics().await.contains("weir_score_psi NaN"));
}

#[tokio::test]
async fn recall_counts_each_audited_fraud_for_those_that_were_not_looked_at() {
    let app = spawn_audited().await;
    for n in 0..60 {
        let id = format!("large-{n}");
        app.screen(doubtful(&id)).await;
        label(&app, &id, if n < 45 { "fraud" } else { "legitimate" }).await;
    }
    let mut audited = 0;
    for n in 0..160 {
        let id = format!("small-{n}");
        let decision: Value = app.screen(transaction(&id)).await.json().await.unwrap();
        if decision["escalated"] == "audit" {
            label(&app, &id, if audited < 5 { "fraud" } else { "legitimate" }).await;
            audited += 1;
        }
    }
    assert!(audited >= 50, "enough labels on either side to tell how long they take: {audited}");
    // The labels came at once, so that decisions are soon old enough.
    let mut quality = Value::Null;
    for _ in 0..300 {
        quality = app.get("/v1/quality").await.json().await.unwrap();
        if quality["immature"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(quality["precision"]["value"], 0.75, "45 of 60 flagged: {quality}");
    let recall = quality["recall"]["value"].as_f64().unwrap();
    assert!((recall - 45.0 / (45.0 + 5.0 / 0.5)).abs() < 1e-9, "{quality}");
    assert_eq!(quality["naive_recall"], 0.9, "{quality}");
}
