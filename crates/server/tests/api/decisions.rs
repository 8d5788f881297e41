//! Reading decisions back, and what is in use.

use serde_json::Value;

use crate::helpers::{doubtful, problem, spawn, transaction};

#[tokio::test]
async fn pages_hold_every_decision_once() {
    let app = spawn().await;
    for n in 0..5 {
        app.screen(transaction(&format!("tx-{n}"))).await;
    }
    app.screen(doubtful("tx-bad")).await;
    let (mut ids, mut path) = (Vec::new(), "/v1/decisions?limit=2".to_owned());
    loop {
        let page: Value = app.get(&path).await.json().await.unwrap();
        let items = page["decisions"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["transaction_id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/decisions?limit=2&cursor={cursor}");
    }
    assert_eq!(ids, ["tx-0", "tx-1", "tx-2", "tx-3", "tx-4", "tx-bad"]);
    let page: Value = app.get("/v1/decisions?outcome=decline").await.json().await.unwrap();
    assert_eq!(page["decisions"][0]["transaction_id"], "tx-bad");
    let page: Value =
        app.get("/v1/decisions?since=2999-01-01T00:00:00Z").await.json().await.unwrap();
    assert_eq!(page["decisions"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_decision_nobody_made_is_404() {
    let app = spawn().await;
    let response = app.get("/v1/decisions/01890a5d-ac96-774b-bcce-b302099a8057").await;
    assert_eq!(response.status(), 404);
    problem(response).await;
}

#[tokio::test]
async fn policy_and_models_are_told_with_their_hashes() {
    let app = spawn().await;
    let policy: Value = app.get("/v1/policy").await.json().await.unwrap();
    assert_eq!(policy["sha256"].as_str().unwrap().len(), 64);
    assert!(policy["document"].as_str().unwrap().contains("[thresholds]"));
    let models: Value = app.get("/v1/models").await.json().await.unwrap();
    assert_eq!(models["screening"]["name"], "stub-screening");
    assert_eq!(models["analysis"]["version"], "1.2.3");
}
