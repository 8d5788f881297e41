//! The policy over HTTP and from its file.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use server::settings::PolicyAuthor;

use crate::helpers::{
    POLICY, TestApp, doubtful, problem, spawn, spawn_in, spawn_with, transaction,
};

/// Whose key is `secret`.
pub(crate) fn author() -> PolicyAuthor {
    PolicyAuthor {
        name: "ana".into(),
        key_sha256: "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b".into(),
    }
}

async fn spawn_authored() -> TestApp {
    spawn_with(|settings| settings.policy.authors = vec![author()]).await
}

async fn put(app: &TestApp, document: &str) -> Response {
    let request = app.client.put(format!("{}/v1/policy", app.address)).bearer_auth("secret");
    request.body(document.to_owned()).send().await.unwrap()
}

fn blocking(version: &str) -> String {
    let rule =
        "\n[[rules]]\nid = \"no-lunch\"\nwhen = \"derived.amount < 20.0\"\noutcome = \"decline\"\n";
    POLICY.replace("test-1", version) + rule
}

#[tokio::test]
async fn a_policy_that_is_put_decides_the_next_transaction_and_is_kept() {
    let app = spawn_authored().await;
    let before: Value = app.screen(transaction("tx-1")).await.json().await.unwrap();
    assert_eq!(before["outcome"], "approve");
    let answer = put(&app, &blocking("test-2")).await;
    assert_eq!(answer.status(), 200);
    let put: Value = answer.json().await.unwrap();
    let after: Value = app.screen(transaction("tx-2")).await.json().await.unwrap();
    assert_eq!((&after["outcome"], &after["decided_by"]), (&json!("decline"), &json!("rule")));
    assert_eq!(after["reasons"][0]["code"], "NO_LUNCH");
    assert_eq!(after["policy"]["sha256"], put["sha256"]);
    let named = app.metrics().await;
    assert_eq!(named.matches("weir_policy_info{").count(), 1, "one policy is in force");
    let kept: Value = app.get("/v1/policies").await.json().await.unwrap();
    let authors: Vec<_> =
        kept["policies"].as_array().unwrap().iter().map(|p| p["author"].clone()).collect();
    assert!(authors[0].as_str().unwrap().starts_with("file:"), "{authors:?}");
    assert_eq!(authors[1], "ana");
    let path = format!("/v1/policies/{}", put["sha256"].as_str().unwrap());
    let one: Value = app.get(&path).await.json().await.unwrap();
    assert_eq!(one["document"], blocking("test-2"));
    assert_eq!(app.get("/v1/policies/none").await.status(), 404);
}

#[tokio::test]
async fn a_policy_that_was_put_outlives_a_restart_until_the_file_changes() {
    let app = spawn_authored().await;
    put(&app, &blocking("test-2")).await;
    let (ended, folder) = app.stop().await;
    ended.unwrap();
    let file = folder.path().join("policy.toml");
    let app = spawn_in(folder, |settings| settings.policy.authors = vec![author()]).await;
    while app.get("/readyz").await.status() != 200 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let version = async |app: &TestApp| {
        let policy: Value = app.get("/v1/policy").await.json().await.unwrap();
        policy["version"].as_str().unwrap().to_owned()
    };
    assert_eq!(version(&app).await, "test-2");
    std::fs::write(&file, POLICY.replace("test-1", "test-3")).unwrap();
    while version(&app).await != "test-3" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A file that is no policy changes nothing, and is counted.
    std::fs::write(&file, "version = ").unwrap();
    while !app.metrics().await.contains("weir_policy_reload_failures_total 1") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(version(&app).await, "test-3");
}

#[tokio::test]
async fn policies_are_refused_for_what_is_wrong_with_them_or_with_who_sends_them() {
    let app = spawn_authored().await;
    let url = format!("{}/v1/policy", app.address);
    let nobody = app.client.put(&url).body(blocking("test-2")).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    assert_eq!(nobody.headers()["www-authenticate"], "Bearer");
    let stranger = app.client.put(&url).bearer_auth("guess").body(blocking("test-2"));
    assert_eq!(stranger.send().await.unwrap().status(), 403);
    let broken = put(&app, &blocking("test-2").replace("< 20.0", "< ")).await;
    assert_eq!(broken.status(), 422);
    let problem = problem(broken).await;
    let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
    let line = blocking("test-2").lines().position(|line| line.starts_with("when")).unwrap() + 1;
    assert!(pointer.starts_with(&format!("/{line}:")), "{pointer}");
    let taken = put(&app, &blocking("test-1")).await;
    assert_eq!(taken.status(), 409);
    let stale = app.client.put(&url).bearer_auth("secret").header("if-match", "\"00\"");
    assert_eq!(stale.body(blocking("test-2")).send().await.unwrap().status(), 409);
    let app = spawn().await;
    assert_eq!(put(&app, &blocking("test-2")).await.status(), 403, "nobody is named there");
}

#[tokio::test]
async fn a_score_is_taken_apart_on_request() {
    let app = spawn().await;
    app.screen(transaction("tx-0")).await;
    let decision: Value = app.screen(doubtful("tx-1")).await.json().await.unwrap();
    let id = decision["decision_id"].as_str().unwrap();
    let answer = app.post(&format!("/v1/decisions/{id}/attribution")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let attribution: Value = answer.json().await.unwrap();
    assert_eq!(attribution["score"], decision["screening"]["score"]);
    let parts = attribution["effects"].as_array().unwrap();
    assert!(parts.iter().any(|part| part["part"] == "velocity.account"), "{parts:?}");
}
