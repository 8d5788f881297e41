//! Each kind of bad input is a problem at the right place, never a 5xx, and leaves no trace.

use std::convert::Infallible;

use serde_json::{Value, json};

use crate::helpers::{TestApp, problem, spawn, spawn_with, transaction};

/// A body for `/v1/screen` with one member of the transaction set.
fn with(member: &str, value: Value) -> Value {
    let mut transaction = transaction("tx-1");
    let (parent, name) = member.rsplit_once('/').unwrap_or(("", member));
    let parent = if parent.is_empty() { String::new() } else { format!("/{parent}") };
    transaction.pointer_mut(&parent).unwrap()[name] = value;
    json!({ "transaction": transaction })
}

async fn check_untouched(app: &TestApp) {
    assert_eq!(app.decisions().await, 0);
    assert_eq!(app.tier1.calls.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn invalid_members_are_422_with_their_pointer() {
    let app = spawn().await;
    let cases = [
        (with("amount", json!("-5.00")), "/transaction/amount"),
        (with("amount", json!(-5)), "/transaction/amount"),
        (with("amount", json!(0)), "/transaction/amount"),
        (with("amount", json!("NaN")), "/transaction/amount"),
        (with("amount", json!(1e30)), "/transaction/amount"),
        (with("amount", json!("1.23456")), "/transaction/amount"),
        (with("amount", json!(true)), "/transaction/amount"),
        (with("amount", json!(null)), "/transaction/amount"),
        (with("timestamp", json!("2999-01-01T00:00:00Z")), "/transaction/timestamp"),
        (with("timestamp", json!("yesterday")), "/transaction/timestamp"),
        (with("timestamp", json!(1700000000)), "/transaction/timestamp"),
        (with("currency", json!("euro")), "/transaction/currency"),
        (with("type", json!("bribe")), "/transaction/type"),
        (with("memo", json!("x".repeat(257))), "/transaction/memo"),
        (with("memo", json!("a\u{0}b")), "/transaction/memo"),
        (with("id", json!("")), "/transaction/id"),
        (with("id", json!("4111111111111111")), "/transaction/id"),
        (with("account/id", json!(7)), "/transaction/account/id"),
        (with("account/color", json!("red")), "/transaction/account/color"),
        (with("account", json!([])), "/transaction/account"),
        (with("surprise", json!(1)), "/transaction/surprise"),
        (with("device", json!({"ip": "999.1.1.1"})), "/transaction/device/ip"),
        (with("attributes", json!({"a": {"b": 1}})), "/transaction/attributes"),
        (json!({}), "/transaction"),
        (json!({"transaction": null}), "/transaction"),
        (json!({"transaction": {}}), "/transaction/amount"),
        (json!({"transaction": transaction("t"), "mode": "later"}), "/mode"),
        (json!({"transaction": transaction("t"), "mode": 1}), "/mode"),
        (json!({"transaction": transaction("t"), "deadline_ms": 0}), "/deadline_ms"),
        (json!({"transaction": transaction("t"), "deadline_ms": 60001}), "/deadline_ms"),
        (json!({"transaction": transaction("t"), "dry_run": "yes"}), "/dry_run"),
        (json!({"transaction": transaction("t"), "label": "fraud"}), "/label"),
        (json!([1, 2]), ""),
        (json!("text"), ""),
    ];
    for (body, pointer) in cases {
        let response = app.post_json("/v1/screen", &body).await;
        assert_eq!(response.status(), 422, "{body}");
        let problem = problem(response).await;
        let errors = problem["errors"].as_array().unwrap();
        assert!(errors.iter().any(|error| error["pointer"] == pointer), "{body} -> {problem}");
    }
    check_untouched(&app).await;
}

#[tokio::test]
async fn malformed_bodies_are_400_that_say_where() {
    let app = spawn().await;
    let deep = format!("{{\"transaction\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let cases: [(Vec<u8>, &str); 8] = [
        (b"".to_vec(), "empty"),
        (b"{\"transaction\":".to_vec(), "line 1"),
        (b"{\"transaction\": NaN}".to_vec(), "line 1"),
        (b"{'a': 1}".to_vec(), "line 1"),
        (b"\xff\xfe{}".to_vec(), "UTF-8"),
        (b"{\"a\":1,\"a\":2}".to_vec(), "twice"),
        (b"{\"transaction\":{\"amount\":1e999}}".to_vec(), "out of range"),
        (deep.into_bytes(), "recursion"),
    ];
    for (body, expected) in cases {
        let request = app.post("/v1/screen").header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status(), 400, "{expected}");
        let problem = problem(response).await;
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
    check_untouched(&app).await;
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_413_that_the_caller_can_read() {
    let app = spawn().await;
    let body = json!({ "transaction": transaction("t"), "padding": "x".repeat(10 << 20) });
    let response = app.post_json("/v1/screen", &body).await;
    assert_eq!(response.status(), 413);
    problem(response).await;
    check_untouched(&app).await;
}

#[tokio::test]
async fn other_media_types_are_415() {
    let app = spawn().await;
    let body = json!({ "transaction": transaction("t") }).to_string();
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-type", "application/json; charset=latin1"),
        ("content-encoding", "gzip"),
    ] {
        let mut request = app.post("/v1/screen").body(body.clone());
        if name != "content-type" {
            request = request.header("content-type", "application/json");
        }
        let response = request.header(name, value).send().await.unwrap();
        assert_eq!(response.status(), 415, "{value}");
        problem(response).await;
    }
    let response = app.post("/v1/screen").body(body.clone()).send().await.unwrap();
    assert_eq!(response.status(), 415);
    for path in ["/v1/events", "/v1/screen/batch"] {
        let response = app.post_json(path, &json!({})).await;
        assert_eq!(response.status(), 415);
        problem(response).await;
    }
    let request = app.post("/v1/screen").header("content-type", "Application/JSON; Charset=UTF-8");
    assert_eq!(request.body(body).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn unknown_routes_and_wrong_methods_are_problems() {
    let app = spawn().await;
    for path in ["/", "/v2/screen", "/v1/screen/", "/v1/decisions/a/b"] {
        let response = app.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(problem(response).await["type"], "/problems/unknown-route");
    }
    let response = app.get("/v1/screen").await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "POST");
    problem(response).await;
    let strange = reqwest::Method::from_bytes(b"BREW").unwrap();
    let request = app.client.request(strange, format!("{}/v1/policy", app.address));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 405);
    problem(response).await;
    let metrics = app.metrics().await;
    assert!(
        metrics
            .contains(r#"weir_http_requests_total{method="GET",route="unmatched",status="404"} 4"#)
    );
    assert!(metrics.contains(r#"method="OTHER",route="/v1/policy",status="405"} 1"#), "{metrics}");
    assert!(!metrics.contains("BREW") && !metrics.contains("/v2"));
}

#[tokio::test]
async fn bad_parameters_are_400_with_their_place() {
    let app = spawn().await;
    for (path, pointer) in [
        ("/v1/decisions?outcome=maybe", "/query/outcome"),
        ("/v1/decisions?since=yesterday", "/query/since"),
        ("/v1/decisions?cursor=x", "/query/cursor"),
        ("/v1/decisions?limit=0", "/query/limit"),
        ("/v1/decisions?limit=1001", "/query/limit"),
        ("/v1/decisions?color=red", "/query"),
        ("/v1/decisions?limit=1&limit=2", "/query"),
        ("/v1/decisions/17", "/path/id"),
        ("/v1/decisions/%FF", "/path/id"),
    ] {
        let response = app.get(path).await;
        assert_eq!(response.status(), 400, "{path}");
        let problem = problem(response).await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn no_damage_to_a_good_body_is_a_fault_of_the_service() {
    let app = spawn().await;
    let body = json!({ "transaction": transaction("tx-1"), "dry_run": true }).to_string();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random).unwrap() % bound
    };
    for _ in 0..400 {
        let mut bytes = body.clone().into_bytes();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"{}[]\",:-e0\\n\0"[next(13)]),
            }
        }
        let request = app.post("/v1/screen").header("content-type", "application/json");
        let status = request.body(bytes.clone()).send().await.unwrap().status();
        let text = String::from_utf8_lossy(&bytes);
        assert!(matches!(status.as_u16(), 200 | 400 | 422), "{status} for {text}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let app = spawn_with(|settings| settings.http.body_timeout_ms = 30).await;
    for (path, media_type) in
        [("/v1/screen", "application/json"), ("/v1/events", "application/x-ndjson")]
    {
        let stalled =
            reqwest::Body::wrap_stream(futures::stream::pending::<Result<Vec<u8>, Infallible>>());
        let request = app.post(path).header("content-type", media_type).body(stalled);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 408, "{path}");
        problem(response).await;
    }
}
