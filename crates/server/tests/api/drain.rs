//! Starting, readiness, and the end.

use serde_json::Value;
use server::StopError;

use crate::helpers::{Behaviour, problem, spawn, spawn_with, transaction};

#[tokio::test]
async fn a_request_in_flight_is_answered_and_recorded_before_the_end() {
    let app = spawn().await;
    app.tier1.set(Behaviour::Wait);
    let request = app.screen(transaction("tx-1"));
    let stopping = async {
        app.tier1.called(1).await;
        app.stop.cancel();
        // The socket is closed once nobody new gets in.
        while app.client.get(format!("{}/livez", app.address)).send().await.is_ok() {}
        app.tier1.released.notify_one();
    };
    let (response, ()) = tokio::join!(request, stopping);
    assert_eq!(response.status(), 200);
    let decision: Value = response.json().await.unwrap();
    let (ended, folder) = app.stop().await;
    ended.unwrap();
    let app = crate::helpers::spawn_in(folder, |_| {}).await;
    while app.get("/readyz").await.status() != 200 {}
    let path = format!("/v1/decisions/{}", decision["decision_id"].as_str().unwrap());
    assert_eq!(app.get(&path).await.status(), 200);
}

#[tokio::test]
async fn while_draining_readiness_says_no_and_requests_are_still_answered() {
    let app = spawn_with(|settings| settings.shutdown.delay_ms = 3_600_000 - 10_000).await;
    app.stop.cancel();
    let refused = loop {
        let response = app.get("/readyz").await;
        if response.status() != 200 {
            break response;
        }
    };
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(problem(refused).await["detail"].as_str().unwrap().contains("draining"));
    assert_eq!(app.get("/livez").await.status(), 200);
    assert_eq!(app.screen(transaction("tx-1")).await.status(), 200);
    app.running.abort();
}

#[tokio::test]
async fn an_end_that_cuts_requests_off_says_how_many() {
    let app = spawn_with(|settings| settings.shutdown.grace_ms = 50).await;
    app.tier1.set(Behaviour::Hang);
    let request =
        app.post("/v1/screen").json(&serde_json::json!({"transaction": transaction("tx-1")}));
    let (answer, ended) = tokio::join!(request.send(), async {
        app.tier1.called(1).await;
        app.stop.cancel();
        app.running.await.unwrap()
    });
    assert!(answer.is_err());
    let error = ended.unwrap_err();
    assert!(matches!(error, StopError::Unfinished { requests: 1, ledger_open: false }), "{error}");
}

#[tokio::test]
async fn a_stream_ends_with_a_line_that_says_where_to_go_on() {
    let app = spawn().await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<String>(1);
    let body = futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|line| (Ok::<_, std::convert::Infallible>(line), receiver))
    });
    sender.send(format!("{}\n", transaction("b-1"))).await.unwrap();
    let mut response = app.post_ndjson("/v1/screen/batch", reqwest::Body::wrap_stream(body)).await;
    response.chunk().await.unwrap().unwrap();
    app.stop.cancel();
    let last: Value = serde_json::from_slice(&response.chunk().await.unwrap().unwrap()).unwrap();
    assert_eq!((&last["status"], &last["line"]), (&503.into(), &2.into()));
    assert!(response.chunk().await.unwrap().is_none());
    drop(sender);
    app.stop().await.0.unwrap();
}

#[tokio::test]
async fn a_ledger_that_fails_is_503_everywhere_it_is_needed() {
    let app = spawn().await;
    app.ledger.clone().close().await;
    for response in [
        app.get("/readyz").await,
        app.screen(transaction("tx-1")).await,
        app.get("/v1/decisions").await,
        app.post_ndjson("/v1/events", transaction("e-1").to_string()).await,
    ] {
        assert_eq!(response.status(), 503, "{}", response.url());
        assert!(response.headers().contains_key("retry-after"));
        problem(response).await;
    }
    assert_eq!(app.get("/livez").await.status(), 200);
}
