//! Provisional answers, and what comes after them.

use std::time::Duration;

use serde_json::{Value, json};
use server::settings::WebhookEndpoint;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::helpers::{Behaviour, TestApp, doubtful, spawn, spawn_in, spawn_with, transaction};

async fn screen_async(app: &TestApp, transaction: Value) -> Value {
    let body = json!({ "transaction": transaction, "mode": "async" });
    let answer = app.post_json("/v1/screen", &body).await;
    assert_eq!(answer.status(), 202);
    answer.json().await.unwrap()
}

async fn decision(app: &TestApp, id: &str, wait_ms: u64) -> Value {
    app.get(&format!("/v1/decisions/{id}?wait_ms={wait_ms}")).await.json().await.unwrap()
}

#[tokio::test]
async fn an_async_decision_becomes_final_and_whoever_waits_is_told() {
    let app = spawn().await;
    let first = screen_async(&app, doubtful("tx-1")).await;
    assert_eq!((&first["status"], &first["outcome"]), (&json!("provisional"), &json!("review")));
    let id = first["decision_id"].as_str().unwrap();
    let last = decision(&app, id, 10_000).await;
    assert_eq!((&last["status"], &last["outcome"]), (&json!("final"), &json!("decline")));
    assert_eq!(last["decided_by"], "analysis");
    assert_eq!(last["provisional"]["outcome"], "review");
    assert_eq!(last["provisional"]["decided_at"], first["decided_at"]);
    let metrics = app.metrics().await;
    assert!(metrics.contains("weir_promises_kept_total{by=\"analysis\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_cleared_transaction_is_final_in_async_mode_too() {
    let app = spawn().await;
    let body = json!({ "transaction": transaction("tx-1"), "mode": "async" });
    let answer = app.post_json("/v1/screen", &body).await;
    assert_eq!(answer.status(), 200);
    let decision: Value = answer.json().await.unwrap();
    assert_eq!(decision["status"], "final");
}

#[tokio::test]
async fn a_wait_ends_with_its_time_and_must_be_a_sane_one() {
    let app = spawn().await;
    app.tier2.set(Behaviour::Hang);
    let first = screen_async(&app, doubtful("tx-1")).await;
    let id = first["decision_id"].as_str().unwrap();
    assert_eq!(decision(&app, id, 50).await, first);
    let refused = app.get(&format!("/v1/decisions/{id}?wait_ms=99999")).await;
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn what_was_promised_is_kept_after_a_restart() {
    let app = spawn().await;
    app.tier2.set(Behaviour::Hang);
    let mut ids = Vec::new();
    for n in 0..5 {
        let first = screen_async(&app, doubtful(&format!("tx-{n}"))).await;
        ids.push(first["decision_id"].as_str().unwrap().to_owned());
    }
    let (ended, folder) = app.stop().await;
    ended.unwrap();
    let app = spawn_in(folder, |_| {}).await;
    while app.get("/readyz").await.status() != 200 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for id in &ids {
        let last = decision(&app, id, 20_000).await;
        assert_eq!((&last["status"], &last["decided_by"]), (&json!("final"), &json!("analysis")));
    }
}

/// Answers one request with 204 and gives its head and body.
async fn receive(listener: &TcpListener, status: &str) -> (String, String) {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut chunk = [0; 4096];
        let read = socket.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the request broke off");
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length: usize = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
            })
            .unwrap();
        if body.len() >= length {
            break (head.to_ascii_lowercase(), body.to_owned());
        }
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    socket.write_all(answer.as_bytes()).await.unwrap();
    (head, body)
}

fn endpoint(folder: &TempDir, address: &str) -> WebhookEndpoint {
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n").unwrap();
    WebhookEndpoint {
        name: "cases".into(),
        url: format!("http://{address}/hook"),
        secret_file,
        ..WebhookEndpoint::default()
    }
}

#[tokio::test]
async fn a_webhook_tells_of_the_final_decision_word_for_word() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = TempDir::new().unwrap();
    let endpoint = endpoint(&folder, &listener.local_addr().unwrap().to_string());
    let app = spawn_with(|settings| settings.webhooks.endpoints = vec![endpoint]).await;
    let first = screen_async(&app, doubtful("tx-1")).await;
    let (head, body) = receive(&listener, "204 No Content").await;
    assert!(head.contains("webhook-signature: v1,"), "{head}");
    let message: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(message["type"], "decision.final");
    assert_eq!(message["data"]["decision_id"], first["decision_id"]);
    let id = first["decision_id"].as_str().unwrap();
    let stored = app.get(&format!("/v1/decisions/{id}")).await.text().await.unwrap();
    assert!(body.contains(&stored), "{body}\n{stored}");
}

#[tokio::test]
async fn a_webhook_nobody_takes_is_dead_and_can_be_revived_by_an_author() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = TempDir::new().unwrap();
    let endpoint = endpoint(&folder, &listener.local_addr().unwrap().to_string());
    let app = spawn_with(|settings| {
        settings.webhooks.endpoints = vec![endpoint];
        settings.policy.authors = vec![crate::policies::author()];
    })
    .await;
    screen_async(&app, doubtful("tx-1")).await;
    let (first, _) = receive(&listener, "410 Gone").await;
    let dead = loop {
        let page: Value = app.get("/v1/webhooks/deliveries?state=dead").await.json().await.unwrap();
        if let Some(dead) = page["deliveries"].as_array().unwrap().first() {
            break dead.clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((&dead["endpoint"], &dead["attempts"]), (&json!("cases"), &json!(1)));
    let path = format!("/v1/webhooks/deliveries/{}/revive", dead["id"].as_str().unwrap());
    assert_eq!(app.post(&path).send().await.unwrap().status(), 401);
    let revive = app.post(&path).bearer_auth("secret").send();
    let (revived, (again, _)) = futures::future::join(revive, receive(&listener, "200 OK")).await;
    assert_eq!(revived.unwrap().status(), 202);
    let id =
        |head: &str| head.lines().find(|line| line.starts_with("webhook-id")).unwrap().to_owned();
    assert_eq!(id(&first), id(&again));
}
