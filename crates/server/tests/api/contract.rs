//! What the service says about itself holds.

use reqwest::Response;
use serde_json::{Value, json};

use crate::helpers::{Behaviour, TestApp, doubtful, spawn, transaction};

/// Validates answers against the document that the service publishes.
struct Contract {
    document: Value,
}

impl Contract {
    async fn of(app: &TestApp) -> Self {
        Self { document: app.get("/openapi.json").await.json().await.unwrap() }
    }

    /// Checks an answer against what the document says of its route, method and status.
    async fn check(&self, method: &str, route: &str, response: Response) {
        let status = response.status().as_u16().to_string();
        let described = &self.document["paths"][route][method]["responses"][&status];
        assert!(described.is_object(), "{method} {route} {status} is not described");
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let essence = content_type.split(';').next().unwrap();
        let schema = &described["content"][essence]["schema"];
        assert!(schema.is_object(), "{method} {route} {status} {essence} has no schema");
        let mut root = schema.clone();
        root["components"] = self.document["components"].clone();
        let validator = jsonschema::validator_for(&root).unwrap();
        let body: Value = response.json().await.unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&body).map(|e| format!("{} {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{method} {route} {status}: {errors:?}\n{body}");
    }
}

#[tokio::test]
async fn answers_follow_the_published_document() {
    let app = spawn().await;
    let contract = Contract::of(&app).await;
    let cleared = app.screen(transaction("tx-1")).await;
    contract.check("post", "/v1/screen", cleared).await;
    contract.check("post", "/v1/screen", app.screen(doubtful("tx-2")).await).await;
    app.tier2.set(Behaviour::Fail);
    contract.check("post", "/v1/screen", app.screen(doubtful("tx-3")).await).await;
    contract.check("post", "/v1/screen", app.screen(json!({})).await).await;
    app.tier1.set(Behaviour::Overloaded);
    contract.check("post", "/v1/screen", app.screen(transaction("tx-4")).await).await;
    let label = json!({"transaction_id": "tx-1", "label": "legitimate", "source": "analyst", "effective_at": "2026-03-02T00:00:00Z"});
    contract.check("post", "/v1/labels", app.post_json("/v1/labels", &label).await).await;
    let events = app.post_ndjson("/v1/events", "{}\n").await;
    contract.check("post", "/v1/events", events).await;
    for path in ["/v1/decisions", "/v1/policy", "/v1/models", "/livez", "/readyz"] {
        contract.check("get", path, app.get(path).await).await;
    }
    contract.check("get", "/v1/decisions", app.get("/v1/decisions?limit=x").await).await;
    contract.check("get", "/v1/decisions/{id}", app.get("/v1/decisions/7").await).await;
}

#[tokio::test]
async fn the_transaction_schema_accepts_what_the_service_accepts() {
    let app = spawn().await;
    let contract = Contract::of(&app).await;
    let mut root = json!({"$ref": "#/components/schemas/Transaction"});
    root["components"] = contract.document["components"].clone();
    let validator = jsonschema::validator_for(&root).unwrap();
    let full = json!({
        "id": "tx-1", "timestamp": "2026-03-01T12:00:00Z", "amount": "12.34", "currency": "EUR",
        "type": "card_payment", "channel": "pos", "memo": "lunch",
        "account": {"id": "a", "opened_at": "2020-01-01T00:00:00Z", "country": "DE"},
        "card": {"token": "t", "bin": "404021", "last4": "5586", "entry_mode": "chip"},
        "counterparty": {"id": "m", "name": "Shop", "kind": "merchant", "mcc": "5411", "country": "DE", "first_seen": "2020-01-01T00:00:00Z"},
        "terminal": {"id": "x"},
        "device": {"id": "d", "ip": "192.0.2.7", "ip_country": "DE", "user_agent": "curl"},
        "attributes": {"a": 1, "b": true, "c": "x"},
    });
    let small = transaction("tx-2");
    for transaction in [full, small] {
        let errors: Vec<_> = validator.iter_errors(&transaction).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(app.screen(transaction).await.status(), 200);
    }
}

#[tokio::test]
async fn every_documented_series_is_there_before_the_first_request() {
    let app = spawn().await;
    let metrics = app.metrics().await;
    for series in [
        r#"weir_http_requests_total{method="POST",route="/v1/screen",status="200"} 0"#,
        r#"weir_http_requests_total{method="POST",route="/v1/screen",status="429"} 0"#,
        r#"weir_http_requests_total{method="GET",route="/v1/decisions/{id}",status="404"} 0"#,
        r#"weir_http_request_duration_seconds_bucket{route="/v1/screen",le="0.00005"} 0"#,
        r#"weir_http_request_duration_seconds_count{route="unmatched"} 0"#,
        "weir_http_in_flight 1",
        r#"weir_labels_total{label="fraud",source="chargeback"} 0"#,
        r#"weir_events_total{result="rejected"} 0"#,
        r#"weir_stage_duration_seconds_count{stage="run",tier="analysis"} 0"#,
        r#"weir_queue_depth{tier="screening"} 0"#,
        r#"weir_rejected_total{reason="queue_full",tier="analysis"} 0"#,
        r#"weir_decisions_total{decided_by="screening",outcome="approve"} 0"#,
        "weir_screening_score_count 0",
        r#"weir_degraded_total{reason="analysis_late"} 0"#,
        r#"weir_model_info{name="stub-screening",sha256=""#,
        r#"tier="analysis",version="1.2.3"} 1"#,
        "weir_policy_info{sha256=",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
}

#[tokio::test]
async fn the_documentation_is_served_without_a_network() {
    let app = spawn().await;
    let page = app.get("/docs/").await.text().await.unwrap();
    assert!(page.contains("swagger-ui"), "{page}");
    assert!(!page.contains("https://"), "{page}");
    let script = app.get("/docs/swagger-ui-bundle.js").await;
    assert_eq!(script.status(), 200);
}

#[tokio::test]
async fn errors_that_the_document_describes_are_named_in_the_handbook() {
    let handbook = include_str!("../../../../docs/api.md");
    let source = include_str!("../../src/api_error.rs");
    for word in source.split('"').filter(|word| word.starts_with("/problems/")) {
        assert!(handbook.contains(word), "{word}");
    }
    let app = spawn().await;
    let document: Value = app.get("/openapi.json").await.json().await.unwrap();
    for route in document["paths"].as_object().unwrap().keys() {
        assert!(handbook.contains(route.as_str()), "{route}");
    }
}
