//! Engines that do as they should.

use std::time::Duration;

use engine_client::{Config, Endpoint, Usage};
use serde_json::json;

use crate::stub::*;

#[tokio::test]
async fn the_verdict_is_answered_while_the_rest_is_still_being_written() {
    let stub = Stub::always([vec![stream_head()], fraud_events(), vec![Act::Hang]].concat()).await;
    let (client, _) = client(config(stub.url()));
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    assert_eq!(answer.choice.word, "fraud");
    let found = answer.choice.log_probs.expect("log-probabilities");
    let expected = [("fraud", 0.7_f64), ("suspicious", 0.2), ("legitimate", 0.1)];
    for ((word, log_prob), (name, p)) in found.by_choice.iter().zip(expected) {
        assert_eq!(word, name);
        assert!((log_prob.exp() - p).abs() < 1e-9);
    }
    assert!((found.covered - 1.0).abs() < 1e-9);
}

#[tokio::test]
async fn the_rest_follows_with_its_usage() {
    let stub = Stub::always(fraud_stream()).await;
    let (client, registry) = client(config(stub.url()));
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    assert_eq!(metric(&registry, "weir_engine_in_flight", ""), 1.0);
    let written = answer.rest.written().await.expect("a report");
    assert_eq!(written.text, REPORT);
    assert_eq!(written.usage, Some(Usage { prompt_tokens: 41, completion_tokens: 9 }));
    assert_eq!(metric(&registry, "weir_engine_in_flight", ""), 0.0);
    assert_eq!(metric(&registry, "weir_engine_requests_total", "ok"), 1.0);
}

#[tokio::test]
async fn dropping_the_rest_closes_the_connection_and_frees_the_place() {
    let stub = Stub::always([vec![stream_head()], fraud_events(), vec![Act::Hang]].concat()).await;
    let (client, registry) = client(Config { max_concurrency: 1, ..config(stub.url()) });
    for gone in 1..=3 {
        drop(client.generate(request(), ample()).await.expect("a verdict"));
        stub.until_left(gone).await;
    }
    assert_eq!(metric(&registry, "weir_engine_requests_total", "cancelled"), 3.0);
    assert_eq!(metric(&registry, "weir_engine_in_flight", ""), 0.0);
}

#[tokio::test]
async fn dropping_the_call_before_the_verdict_closes_the_connection() {
    let stub = Stub::always(vec![Act::Hang]).await;
    let (client, registry) = client(config(stub.url()));
    let call = client.generate(request(), ample());
    let left = tokio::time::timeout(Duration::from_millis(200), call).await;
    assert!(left.is_err());
    stub.until_left(1).await;
    assert_eq!(metric(&registry, "weir_engine_requests_total", "cancelled"), 1.0);
}

#[tokio::test]
async fn the_rest_may_be_read_by_another_task() {
    let stub = Stub::always(fraud_stream()).await;
    let (client, _) = client(config(stub.url()));
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(answer.rest.written());
    let written = tasks.join_next().await.expect("a task").expect("no panic");
    assert_eq!(written.expect("a report").text, REPORT);
}

#[tokio::test]
async fn an_engine_that_does_not_stream_gives_both_at_once() {
    let stub = Stub::always(answer(200, &completion(REPORT))).await;
    let (client, _) = client(config(stub.url()));
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    assert_eq!(answer.choice.word, "fraud");
    assert_eq!(answer.choice.log_probs, None);
    let written = answer.rest.written().await.expect("a report");
    assert_eq!(written.usage, Some(Usage { prompt_tokens: 7, completion_tokens: 3 }));
}

#[tokio::test]
async fn log_probabilities_of_the_legacy_shape_are_read() {
    let logprobs = json!({
        "tokens": ["{\"verdict\":\"", "leg", "itimate", "\",\"narrative\":\"\"}"],
        "token_logprobs": [0.0, -0.5, 0.0, null],
        "text_offset": [0, 12, 15, 22],
        "top_logprobs": [null, { "leg": -0.5, "fraud": -1.0, "sus": -4.0 }, { "itimate": 0.0 }, {}],
    });
    let text = r#"{"verdict":"legitimate","narrative":""}"#;
    let body = json!({ "choices": [{ "text": text, "logprobs": logprobs,
                                     "finish_reason": "stop" }] });
    let stub = Stub::always(answer(200, &body)).await;
    let (client, _) = client(Config { endpoint: Endpoint::Completions, ..config(stub.url()) });
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    assert_eq!(answer.choice.word, "legitimate");
    let found = answer.choice.log_probs.expect("log-probabilities").by_choice;
    let found: Vec<f64> = found.into_iter().map(|(_, p)| p).collect();
    assert!(found.iter().zip([-1.0, -4.0, -0.5]).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
    answer.rest.written().await.expect("a report");
}

#[tokio::test]
async fn comments_keep_alives_and_characters_cut_in_two_do_no_harm() {
    let mut bytes = b": connected\r\n\r\nevent: message\r\nid: 1\r\n".to_vec();
    for act in fraud_events().into_iter().chain(rest_events()) {
        if let Act::Send(event) = act {
            bytes.extend(b":\n\n: keep-alive\n\nretry: 10\n");
            bytes.extend(event);
        }
    }
    let mut acts = vec![stream_head()];
    for byte in bytes.chunks(1) {
        acts.push(Act::Send(byte.to_vec()));
    }
    let stub = Stub::always(acts).await;
    let (client, _) = client(config(stub.url()));
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    assert!(answer.choice.log_probs.is_some());
    assert_eq!(answer.rest.written().await.expect("a report").text, REPORT);
}

#[tokio::test]
async fn a_stream_without_its_done_mark_is_whole_when_its_json_is() {
    let mut rest = rest_events();
    rest.pop();
    let closed = [vec![stream_head()], fraud_events(), rest.clone()].concat();
    let hanging = [vec![stream_head()], fraud_events(), rest, vec![Act::Hang]].concat();
    let reset = [
        vec![stream_head()],
        fraud_events(),
        rest_events()[..3].to_vec(),
        vec![Act::Wait(Duration::from_millis(50)), Act::Reset],
    ]
    .concat();
    for acts in [closed, hanging, reset] {
        let stub = Stub::always(acts).await;
        let (client, _) = client(config(stub.url()));
        let answer = client.generate(request(), ample()).await.expect("a verdict");
        assert_eq!(answer.rest.written().await.expect("a report").text, REPORT);
    }
}

#[tokio::test]
async fn a_stream_without_log_probabilities_gives_the_word_alone() {
    let events = [event(&piece(REPORT, &[])), rest_events()[2].clone()].to_vec();
    let stub = Stub::always([vec![stream_head()], events].concat()).await;
    let (client, _) = client(config(stub.url()));
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    assert_eq!(answer.choice.word, "fraud");
    assert_eq!(answer.choice.log_probs, None);
    answer.rest.written().await.expect("a report");
}

#[tokio::test]
async fn tokens_that_spell_another_word_than_the_text_are_not_believed() {
    let mut body = completion(REPORT);
    let token = |text: &str| json!({ "token": text, "logprob": -0.1, "top_logprobs": [] });
    body["choices"][0]["logprobs"] =
        json!({ "content": [token("{\"verdict\":\""), token("legitimate"), token("\"")] });
    let stub = Stub::always(answer(200, &body)).await;
    let (client, _) = client(config(stub.url()));
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    assert_eq!(answer.choice.log_probs, None);
}

#[tokio::test]
async fn a_connection_whose_answer_was_read_to_its_end_is_used_again() {
    let stub = Stub::always(lasting_stream()).await;
    let (client, _) = client(config(stub.url()));
    for _ in 0..3 {
        let answer = client.generate(request(), ample()).await.expect("a verdict");
        assert_eq!(answer.rest.written().await.expect("a report").text, REPORT);
    }
    assert_eq!((stub.seen().len(), stub.connections()), (3, 1));
}

#[tokio::test]
async fn log_probabilities_and_usage_of_an_unknown_shape_are_as_good_as_none() {
    let mut body = completion(REPORT);
    body["choices"][0]["logprobs"] = json!({ "content": [{ "piece": "{", "p": 0.5 }] });
    body["usage"] = json!({ "prompt_tokens": 3, "completion_tokens": null });
    let stub = Stub::always(answer(200, &body)).await;
    let (client, _) = client(config(stub.url()));
    let answer = client.generate(request(), ample()).await.expect("a verdict");
    assert_eq!(answer.choice.log_probs, None);
    let written = answer.rest.written().await.expect("a report");
    assert_eq!(written.usage, Some(Usage { prompt_tokens: 3, completion_tokens: 0 }));
}
