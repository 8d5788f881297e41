//! What labels say of live decisions.

use serde_json::{Value, json};

use crate::helpers::{POLICY, doubtful, spawn, spawn_with, transaction};

#[tokio::test]
async fn precision_and_recall_wait_for_labels_and_for_an_audit() {
    let app = spawn_with(|settings| {
        let document = POLICY.to_owned() + "\n[audit]\nshare = 0.5\n";
        std::fs::write(settings.policy.file.as_ref().unwrap(), document).unwrap();
    })
    .await;
    let mut audited = 0;
    for n in 0..40 {
        let decision: Value =
            app.screen(transaction(&format!("small-{n}"))).await.json().await.unwrap();
        audited += u64::from(decision["escalated"] == "audit");
    }
    assert!((5..35).contains(&audited), "{audited} of 40 drawn at one half");
    app.screen(doubtful("large")).await;
    let label = json!({
        "transaction_id": "large", "label": "fraud", "source": "analyst",
        "effective_at": "2026-03-02T00:00:00Z",
    });
    assert_eq!(app.post_json("/v1/labels", &label).await.status(), 200);
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
