//! Bounds: places, bytes, and the circuit breaker.

use std::time::Duration;

use engine_client::{BreakerConfig, Client, ClientError, Config, ConfigError, Form};
use prometheus::Registry;
use serde_json::json;

use crate::stub::*;

#[tokio::test]
async fn whoever_finds_all_places_taken_and_the_room_full_is_told_so_at_once() {
    let stub = Stub::always([vec![stream_head()], fraud_events(), vec![Act::Hang]].concat()).await;
    let (client, _) = client(Config { max_concurrency: 1, max_waiting: 1, ..config(stub.url()) });
    let held = client.generate(request(), ample()).await.expect("the place");
    let mut waiting = Box::pin(client.generate(request(), ample()));
    let poll = tokio::time::timeout(Duration::from_millis(20), &mut waiting).await;
    assert!(poll.is_err());
    let error = client.generate(request(), ample()).await.expect_err("full");
    assert_eq!(error, ClientError::Overloaded { retry_after: Duration::from_secs(1) });
    drop(held);
    waiting.await.expect("the place, once it is free");
}

#[tokio::test]
async fn waiting_ends_at_the_deadline_without_asking_the_engine() {
    let stub = Stub::always([vec![stream_head()], fraud_events(), vec![Act::Hang]].concat()).await;
    let (client, _) = client(Config { max_concurrency: 1, ..config(stub.url()) });
    let _held = client.generate(request(), ample()).await.expect("the place");
    let error = client.generate(request(), within(50)).await.expect_err("late");
    assert_eq!(error, ClientError::Deadline);
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline() {
    let stub = Stub::always(fraud_stream()).await;
    let (client, _) = client(config(stub.url()));
    let error = client.generate(request(), within(0)).await.expect_err("late");
    assert_eq!(error, ClientError::Deadline);
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn an_endless_answer_is_cut_at_its_bound() {
    let endless = || {
        let mut acts = vec![stream_head()];
        for _ in 0..4096 {
            acts.push(event(&piece("    ", &[])));
        }
        acts
    };
    let one_line = vec![
        stream_head(),
        Act::Send([b"data: ".to_vec(), vec![b'x'; 100_000]].concat()),
        Act::Hang,
    ];
    let whole = answer(200, &completion(&" ".repeat(100_000)));
    for acts in [endless(), one_line, whole] {
        let stub = Stub::always(acts).await;
        let (client, _) = client(Config { max_response_bytes: 16 * 1024, ..config(stub.url()) });
        let error = client.generate(request(), ample()).await.expect_err("too long");
        assert_eq!(error, ClientError::Malformed("more than 16384 bytes".into()));
    }
}

#[tokio::test]
async fn an_endless_rest_is_cut_too() {
    let mut acts = [vec![stream_head()], fraud_events()].concat();
    for _ in 0..4096 {
        acts.push(event(&piece("    ", &[])));
    }
    let stub = Stub::always(acts).await;
    let (client, _) = client(Config { max_response_bytes: 16 * 1024, ..config(stub.url()) });
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    let error = answer.rest.written().await.expect_err("too long");
    assert_eq!(error, ClientError::Malformed("more than 16384 bytes".into()));
}

fn nervous(url: String) -> Config {
    let breaker = BreakerConfig {
        minimum_calls: 2,
        open_for: Duration::from_millis(100),
        trial_calls: 1,
        ..BreakerConfig::default()
    };
    Config { breaker, attempts: 1, ..config(url) }
}

#[tokio::test]
async fn an_engine_that_keeps_failing_is_left_alone_until_a_trial_succeeds() {
    let stub = Stub::start(|_, number| match number {
        0 | 1 => answer(500, &json!({})),
        _ => fraud_stream(),
    })
    .await;
    let (client, registry) = client(nervous(stub.url()));
    let state = |name: &str| metric(&registry, "weir_engine_breaker_state", name);
    assert_eq!((state("closed"), state("open"), state("half_open")), (1.0, 0.0, 0.0));
    for _ in 0..2 {
        let error = client.generate(request(), ample()).await.expect_err("500");
        assert!(matches!(error, ClientError::Failed(_)));
    }
    assert_eq!((state("closed"), state("open"), state("half_open")), (0.0, 1.0, 0.0));
    let error = client.generate(request(), ample()).await.expect_err("open");
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error}");
    assert_eq!(stub.seen().len(), 2);
    tokio::time::sleep(Duration::from_millis(120)).await;
    let answer = client.generate(request(), ample()).await.expect("the trial");
    assert_eq!(state("half_open"), 1.0);
    answer.rest.written().await.expect("a report");
    assert_eq!(state("closed"), 1.0);
}

#[tokio::test]
async fn while_the_circuit_is_open_nobody_queues_behind_requests_that_hang() {
    let stub = Stub::start(|_, number| match number {
        0 => [vec![stream_head()], fraud_events(), vec![Act::Hang]].concat(),
        _ => answer(500, &json!({})),
    })
    .await;
    let slow =
        BreakerConfig { open_for: Duration::from_secs(60), ..nervous(String::new()).breaker };
    let (client, _) = client(Config { max_concurrency: 2, breaker: slow, ..nervous(stub.url()) });
    let _hanging = client.generate(request(), ample()).await.expect("a verdict");
    for _ in 0..2 {
        client.generate(request(), ample()).await.expect_err("500");
    }
    let error = client.generate(request(), ample()).await.expect_err("open");
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_trial_whose_caller_wants_only_the_verdict_closes_the_circuit_too() {
    let stub = Stub::start(|_, number| match number {
        0 | 1 => answer(500, &json!({})),
        _ => fraud_stream(),
    })
    .await;
    let (client, registry) = client(nervous(stub.url()));
    for _ in 0..2 {
        client.generate(request(), ample()).await.expect_err("500");
    }
    tokio::time::sleep(Duration::from_millis(120)).await;
    drop(client.generate(request(), ample()).await.expect("the trial"));
    assert_eq!(metric(&registry, "weir_engine_breaker_state", "closed"), 1.0);
}

#[tokio::test]
async fn overload_refused_input_and_callers_in_a_hurry_do_not_open_the_circuit() {
    for acts in [
        answer_with(429, "retry-after: 60\r\n", &json!({})),
        answer(400, &json!({})),
        vec![Act::Hang],
    ] {
        let stub = Stub::always(acts).await;
        let (client, registry) = client(nervous(stub.url()));
        for _ in 0..4 {
            client.generate(request(), within(100)).await.expect_err("no verdict");
        }
        assert_eq!(metric(&registry, "weir_engine_breaker_state", "closed"), 1.0);
    }
}

#[tokio::test]
async fn nonsense_opens_the_circuit() {
    let stub = Stub::always(answer(200, &completion("Hello!"))).await;
    let (client, registry) = client(nervous(stub.url()));
    for _ in 0..2 {
        client.generate(request(), ample()).await.expect_err("no verdict");
    }
    assert_eq!(metric(&registry, "weir_engine_breaker_state", "open"), 1.0);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |config: Config| {
        let built = Client::new(config, &Registry::new());
        assert!(matches!(built, Err(ConfigError::Setting(_))), "{built:?}");
    };
    let url = || "http://127.0.0.1:1".to_owned();
    for base_url in ["", "127.0.0.1:8000", "ftp://host", "http://user:secret@host/v1"] {
        refused(config(base_url.into()));
    }
    refused(Config { max_concurrency: 0, ..config(url()) });
    refused(Config { attempts: 0, ..config(url()) });
    refused(Config { top_logprobs: 21, ..config(url()) });
    let ratio = BreakerConfig { failure_ratio: f64::NAN, ..BreakerConfig::default() };
    refused(Config { breaker: ratio, ..config(url()) });
}

#[test]
fn an_https_address_needs_nothing_from_the_caller() {
    let built = Client::new(config("https://api.openai.com/v1".into()), &Registry::new());
    assert!(built.is_ok(), "{built:?}");
}

#[test]
fn forms_that_fit_no_report_are_refused() {
    let schema = json!({
        "type": "object",
        "properties": { "verdict": { "type": "string" }, "note": { "type": "string" } },
    });
    let refused = |prefix: &str, choices: &[&str]| {
        assert!(Form::new(schema.clone(), prefix, choices).is_err(), "{prefix} {choices:?}");
    };
    refused("", &["a"]);
    refused("{\"verdict\":", &["a"]);
    refused("{\"note\":\"", &["a"]);
    refused("{\"note\":\"x\",\"verdict\":\"", &["a"]);
    refused("{\"verdict\":\"", &[]);
    refused("{\"verdict\":\"", &["a", "a"]);
    refused("{\"verdict\":\"", &["a\"b"]);
    refused("{\"verdict\":\"x", &["a"]);
    assert!(
        Form::new(json!({ "properties": { "verdict": { "type": 7 } } }), "{\"verdict\":\"", &["a"])
            .is_err()
    );
}
