//! Engines that fail, break off, and talk nonsense.

use std::time::Duration;

use engine_client::{ApiKey, ClientError, Config};
use serde_json::json;

use crate::stub::*;

async fn verdict_error(acts: Vec<Act>) -> (ClientError, usize) {
    let stub = Stub::always(acts).await;
    let (client, _) = client(config(stub.url()));
    let error = client.generate(request(), within(2000)).await.expect_err("no verdict");
    (error, stub.seen().len())
}

async fn rest_error(acts: Vec<Act>, ms: u64) -> (ClientError, usize) {
    let stub = Stub::always(acts).await;
    let (client, _) = client(config(stub.url()));
    let answer = client.generate(request(), within(ms)).await.expect("a verdict");
    let error = answer.rest.written().await.expect_err("no report");
    (error, stub.seen().len())
}

#[tokio::test]
async fn prose_fences_and_other_json_are_malformed_and_not_asked_for_again() {
    for text in [
        "I think that this payment is fraud.",
        "```json\n{\"verdict\":\"fraud\",\"narrative\":\"\"}\n```",
        "<think>Hmm</think>{\"verdict\":\"fraud\",\"narrative\":\"\"}",
        "{\"narrative\":\"\",\"verdict\":\"fraud\"}",
        "{\"verdict\":\"yes\",\"narrative\":\"\"}",
        "{\"verdict\":null}",
        "[]",
        "",
        "{\"verdict\":\"fra",
    ] {
        let (error, asked) = verdict_error(answer(200, &completion(text))).await;
        assert!(matches!(error, ClientError::Malformed(_)), "{text}: {error}");
        assert_eq!(asked, 1, "{text}");
    }
}

#[tokio::test]
async fn a_report_that_breaks_its_schema_after_the_verdict_is_malformed() {
    for text in [
        "{\"verdict\":\"fraud\",\"narrative\":7}",
        "{\"verdict\":\"fraud\"}",
        "{\"verdict\":\"fraud\",\"narrative\":\"\",\"score\":1}",
        "{\"verdict\":\"fraud\",\"narrative\":\"12345678901234567890123456789012345678901\"}",
        "{\"verdict\":\"fraud\",\"narrative\":\"half",
        "{\"verdict\":\"fraud\",\"narrative\":\"\"} I hope this helps.",
        "{\"verdict\":\"fraud\",\"narrative\":\"\",\"verdict\":\"legitimate\"}",
    ] {
        let (error, asked) = rest_error(answer(200, &completion(text)), 2000).await;
        let ClientError::Malformed(detail) = error else { panic!("{text}: {error}") };
        assert!(!detail.contains("half") && !detail.contains("hope"), "{detail}");
        assert_eq!(asked, 1, "{text}");
    }
}

#[tokio::test]
async fn an_answer_cut_at_the_token_limit_says_so() {
    let mut body = completion("{\"verdict\":\"fraud\",\"narrative\":\"half");
    body["choices"][0]["finish_reason"] = json!("length");
    let (error, _) = rest_error(answer(200, &body), 2000).await;
    assert!(error.to_string().contains("token limit"), "{error}");
}

#[tokio::test]
async fn bodies_that_are_not_the_apis_are_malformed() {
    for acts in [
        answer(200, &json!("hello")),
        answer(200, &json!({ "choices": [] })),
        answer(200, &json!({ "choices": "none" })),
        vec![stream_head(), Act::Send(b"data: {\"choices\":[{\"del\n\n".to_vec())],
        vec![stream_head(), Act::Send(b"data: \xff\xfe\n\n".to_vec())],
        vec![stream_head(), Act::Send(b"data: [DONE]\n\n".to_vec())],
    ] {
        let (error, _) = verdict_error(acts.clone()).await;
        assert!(matches!(error, ClientError::Malformed(_)), "{acts:?}: {error}");
    }
}

#[tokio::test]
async fn an_error_inside_a_stream_fails_without_the_prompt() {
    let complaint =
        json!({ "error": { "message": "cannot do: Memo: pay the invoice of Tuesday" } });
    let acts = vec![stream_head(), event(&complaint)];
    let (error, _) = verdict_error(acts).await;
    assert!(matches!(error, ClientError::Failed(_)), "{error}");
    assert!(!error.to_string().contains("invoice"), "{error}");
}

#[tokio::test]
async fn an_engine_that_hangs_is_left_at_the_deadline() {
    for acts in [
        vec![Act::Hang],
        vec![stream_head(), Act::Hang],
        [vec![stream_head()], fraud_events()[..3].to_vec(), vec![Act::Hang]].concat(),
    ] {
        let stub = Stub::always(acts).await;
        let (client, registry) = client(config(stub.url()));
        let error = client.generate(request(), within(150)).await.expect_err("no verdict");
        assert_eq!(error, ClientError::Deadline);
        stub.until_left(1).await;
        assert_eq!(metric(&registry, "weir_engine_requests_total", "deadline"), 1.0);
    }
}

#[tokio::test]
async fn a_rest_that_hangs_or_drips_is_left_at_its_deadline() {
    let mut drip = [vec![stream_head()], fraud_events()].concat();
    for _ in 0..200 {
        drip.push(event(&piece(" ", &[])));
        drip.push(Act::Wait(Duration::from_millis(20)));
    }
    let hang = [vec![stream_head()], fraud_events(), vec![Act::Hang]].concat();
    for acts in [drip, hang] {
        let (error, asked) = rest_error(acts, 400).await;
        assert_eq!(error, ClientError::Deadline);
        assert_eq!(asked, 1);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_verdict_is_tried_again() {
    for broken in [
        vec![Act::Reset],
        vec![],
        vec![stream_head()],
        [vec![stream_head()], fraud_events()[..3].to_vec()].concat(),
        vec![
            stream_head(),
            fraud_events()[1].clone(),
            Act::Wait(Duration::from_millis(20)),
            Act::Reset,
        ],
    ] {
        let stub = Stub::start(move |_, number| match number {
            0 | 1 => broken.clone(),
            _ => fraud_stream(),
        })
        .await;
        let (client, registry) = client(config(stub.url()));
        let answer = client.generate(request(), ample()).await.expect("a verdict");
        answer.rest.written().await.expect("a report");
        assert_eq!(stub.seen().len(), 3);
        assert_eq!(metric(&registry, "weir_engine_retries_total", "reset"), 2.0);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_verdict_is_not_tried_again() {
    let reset = vec![Act::Wait(Duration::from_millis(100)), Act::Reset];
    let closed = vec![];
    for end in [reset, closed] {
        let acts = [vec![stream_head()], fraud_events(), end].concat();
        let (error, asked) = rest_error(acts, 5000).await;
        assert!(matches!(error, ClientError::Failed(_)), "{error}");
        assert_eq!(asked, 1);
    }
}

#[tokio::test]
async fn half_a_report_that_the_engine_calls_finished_is_malformed() {
    for end in [rest_events()[2..].to_vec(), rest_events()[4..].to_vec()] {
        let acts = [vec![stream_head()], fraud_events(), end].concat();
        let (error, _) = rest_error(acts, 5000).await;
        assert!(matches!(error, ClientError::Malformed(_)), "{error}");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_failure_after_all_attempts() {
    let gone = Stub::always(vec![]).await.url();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (client, registry) = client(config(gone));
    let error = client.generate(request(), ample()).await.expect_err("no verdict");
    assert!(matches!(error, ClientError::Failed(_)), "{error}");
    assert_eq!(metric(&registry, "weir_engine_retries_total", "connect"), 2.0);
}

#[tokio::test]
async fn server_errors_are_tried_again() {
    let stub = Stub::start(|_, number| match number {
        0 => answer(500, &json!({ "error": "oh" })),
        1 => answer(503, &json!({ "error": { "message": "Loading model" } })),
        _ => fraud_stream(),
    })
    .await;
    let (client, registry) = client(config(stub.url()));
    client.generate(request(), ample()).await.expect("a verdict");
    assert_eq!(metric(&registry, "weir_engine_retries_total", "server_error"), 2.0);
}

#[tokio::test]
async fn a_retry_after_that_fits_is_waited_for() {
    let stub = Stub::start(|_, number| match number {
        0 => answer_with(429, "retry-after: 1\r\n", &json!({})),
        _ => fraud_stream(),
    })
    .await;
    let (client, registry) = client(config(stub.url()));
    client.generate(request(), ample()).await.expect("a verdict");
    assert_eq!(stub.seen().len(), 2);
    assert_eq!(metric(&registry, "weir_engine_retries_total", "overloaded"), 1.0);
}

#[tokio::test]
async fn a_retry_after_that_does_not_fit_is_handed_on_at_once() {
    for code in [429, 503] {
        let (error, asked) =
            verdict_error(answer_with(code, "retry-after: 60\r\n", &json!({}))).await;
        assert_eq!(error, ClientError::Overloaded { retry_after: Duration::from_secs(60) });
        assert_eq!(asked, 1);
    }
}

#[tokio::test]
async fn refused_input_is_told_without_the_prompt_and_not_tried_again() {
    let told = json!({ "error": { "message": "the context is 512 tokens, 900 were asked" } });
    let (error, asked) = verdict_error(answer(400, &told)).await;
    let expected = "400 the context is 512 tokens, 900 were asked";
    assert_eq!(error, ClientError::Input(expected.into()));
    assert_eq!(asked, 1);

    let echo = json!({ "detail": "bad: 'Memo: pay the invoice of Tuesday'" });
    let (error, _) = verdict_error(answer(422, &echo)).await;
    assert!(matches!(error, ClientError::Input(_)));
    assert!(!error.to_string().contains("invoice"), "{error}");
}

#[tokio::test]
async fn an_unknown_model_fails_at_once() {
    let told = json!({ "error": { "message": "model 'stub' not found" } });
    let (error, asked) = verdict_error(answer(404, &told)).await;
    assert_eq!(error, ClientError::Failed("404 model 'stub' not found".into()));
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn refused_credentials_fail_at_once_and_the_key_shows_nowhere() {
    let told = json!({ "error": { "message": "Incorrect API key provided: sk-SECRET" } });
    let stub = Stub::always(answer(401, &told)).await;
    let config = Config { api_key: Some(ApiKey::new("sk-SECRET")), ..config(stub.url()) };
    let shown = format!("{config:?}");
    let (client, _) = client(config);
    let error = client.generate(request(), ample()).await.expect_err("no verdict");
    assert!(matches!(error, ClientError::Failed(_)), "{error}");
    for text in [shown, error.to_string(), format!("{error:?}"), format!("{client:?}")] {
        assert!(!text.contains("SECRET"), "{text}");
    }
    let seen = stub.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].head.contains("authorization: bearer sk-secret"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let acts = answer_with(307, "location: http://127.0.0.1:9/elsewhere\r\n", &json!({}));
    let (error, asked) = verdict_error(acts).await;
    assert!(matches!(error, ClientError::Failed(_)), "{error}");
    assert_eq!(asked, 1);
}
