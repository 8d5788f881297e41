//! NDJSON in, NDJSON out.

use std::convert::Infallible;

use futures::stream;
use serde_json::{Value, json};

use crate::helpers::{Behaviour, doubtful, spawn, spawn_with, transaction};

async fn lines(response: reqwest::Response) -> Vec<Value> {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn lines_are_answered_in_order_with_a_problem_for_each_bad_one() {
    let app = spawn_with(|settings| settings.http.line_limit_bytes = 4096).await;
    let sample = json!({
        "transaction": doubtful("b-2"), "label": "fraud", "label_at": "2026-04-01T00:00:00Z",
        "typology": "mule_account", "scenario": "x", "deadline_ms": 5000,
    });
    let mut bad = transaction("b-4");
    bad["amount"] = json!("-1");
    let body = [
        transaction("b-1").to_string(),
        sample.to_string(),
        "{nonsense".to_owned(),
        String::new(),
        bad.to_string(),
        format!("{{\"padding\":\"{}\"}}", "x".repeat(5000)),
        json!({"transaction": transaction("b-5"), "color": "red"}).to_string(),
        transaction("b-6").to_string(),
    ];
    let answers = lines(app.post_ndjson("/v1/screen/batch", body.join("\n")).await).await;
    let shape: Vec<_> = answers
        .iter()
        .map(|answer| match answer["transaction_id"].as_str() {
            Some(id) => id.to_owned(),
            None => format!("{} at {}", answer["status"], answer["line"]),
        })
        .collect();
    assert_eq!(shape, ["b-1", "b-2", "400 at 3", "422 at 5", "413 at 6", "422 at 7", "b-6"]);
    assert_eq!(answers[3]["errors"][0]["pointer"], "/amount");
    assert_eq!(answers[5]["errors"][0]["pointer"], "/color");
    assert_eq!(app.decisions().await, 3);
}

#[tokio::test]
async fn order_holds_when_the_first_line_takes_longest() {
    let app = spawn().await;
    app.tier2.set(Behaviour::Wait);
    let mut body = vec![doubtful("slow").to_string()];
    body.extend((0..40).map(|n| transaction(&format!("fast-{n}")).to_string()));
    let answering = app.post_ndjson("/v1/screen/batch", body.join("\n"));
    let releasing = async {
        app.tier1.called(10).await;
        app.tier2.released.notify_one();
    };
    let (response, ()) = tokio::join!(answering, releasing);
    let ids: Vec<_> = lines(response).await.iter().map(|a| a["transaction_id"].clone()).collect();
    assert_eq!(ids[0], "slow");
    assert_eq!(ids[1..], (0..40).map(|n| json!(format!("fast-{n}"))).collect::<Vec<_>>());
    // Counted in the order of the lines, whatever the concurrency.
    let seen = app.tier1.seen.lock().unwrap().clone();
    for (n, text) in seen.iter().enumerate() {
        assert!(text.contains(&format!("count {n} ")), "{text}");
    }
}

#[tokio::test]
async fn answers_come_while_the_body_is_still_being_sent() {
    let app = spawn().await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<String>(1);
    let body = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|line| (Ok::<_, Infallible>(line), receiver))
    });
    sender.send(format!("{}\n", transaction("b-1"))).await.unwrap();
    let mut response = app.post_ndjson("/v1/screen/batch", reqwest::Body::wrap_stream(body)).await;
    let first = response.chunk().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&first).unwrap().contains("b-1"));
    sender.send(transaction("b-2").to_string()).await.unwrap();
    drop(sender);
    let second = response.chunk().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&second).unwrap().contains("b-2"));
    assert!(response.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn a_failing_line_harms_no_other() {
    let app = spawn().await;
    app.tier1.set(Behaviour::Panic);
    let body = format!("{}\n{}", transaction("b-1"), transaction("b-2"));
    let answers = lines(app.post_ndjson("/v1/screen/batch", body).await).await;
    assert_eq!(answers.iter().map(|a| a["status"].clone()).collect::<Vec<_>>(), [500, 500]);
    app.tier1.set(Behaviour::Overloaded);
    let answers =
        lines(app.post_ndjson("/v1/screen/batch", transaction("b-3").to_string()).await).await;
    assert_eq!(
        (&answers[0]["status"], &answers[0]["retry_after_seconds"]),
        (&json!(429), &json!(2))
    );
}

#[tokio::test]
async fn an_empty_body_is_an_empty_answer() {
    let app = spawn().await;
    assert_eq!(lines(app.post_ndjson("/v1/screen/batch", "").await).await, Vec::<Value>::new());
}
