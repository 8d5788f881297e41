//! Callers that go on until the service is killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::book::Book;

/// Numbers the transactions of a run.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// Starts callers, each of whom sends one request after the other until it gets no answer.
pub fn callers(
    count: usize,
    client: &Client,
    address: &str,
    book: &Arc<Book>,
    counter: &Arc<Counter>,
) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for _ in 0..count {
        let (client, address) = (client.clone(), address.to_owned());
        let (book, counter) = (Arc::clone(book), Arc::clone(counter));
        callers.spawn(async move {
            while call(&client, &address, &book, &counter).await.is_some() {
                // A pause, so that the callers do not take the cores from the service.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    callers
}

/// One request; `None` when there was no whole answer.
async fn call(client: &Client, address: &str, book: &Book, counter: &Counter) -> Option<()> {
    let n = counter.0.fetch_add(1, Ordering::Relaxed);
    let (key, request) = (format!("key-{n}"), request(n));
    let answer = client
        .post(format!("{address}/v1/screen"))
        .header("idempotency-key", &key)
        .json(&request)
        .send()
        .await
        .ok()?;
    let decided = answer.status().is_success();
    let text = answer.text().await.ok()?;
    if decided {
        book.note(&key, &request, text);
    }
    Some(())
}

/// Every fourth is large and does not wait for tier 2; every sixteenth is large and does.
fn request(n: u64) -> Value {
    let (amount, mode) = match n % 16 {
        0 | 4 | 8 | 12 => ("900.00", "async"),
        15 => ("900.00", "sync"),
        _ => ("12.34", "sync"),
    };
    json!({
        "transaction": {
            "id": format!("crash-{n}"), "timestamp": "2026-11-01T12:00:00Z", "amount": amount,
            "currency": "EUR", "account": {"id": format!("acc-{}", n % 97)},
            "counterparty": {"id": format!("shop-{}", n % 31)},
        },
        "mode": mode,
        "deadline_ms": 5000,
    })
}
