//! What a verdict from elsewhere is worth.

use serde_json::json;
use server::settings::Narrative;

use crate::{
    engine::{Engine, LISTED, REST, report, stream_end, token, verdict},
    service::{Service, settings},
};

#[tokio::test(flavor = "multi_thread")]
async fn log_probabilities_give_the_embedded_tiers_score() {
    let engine = Engine::start(report()).await;
    let service = Service::start(&engine.url).await;
    let decision = service.screen("scored").await;
    let analysis = &decision["analysis"];
    assert_eq!(analysis["calibrated"], true, "{decision}");
    // The shipped package's Platt calibration of ln((0.7 + 0.1) / (0.1 + 0.1)).
    let margin = (0.8_f64 / 0.2).ln();
    let expected = 1.0 / (1.0 + (-(0.6662009393976291 * margin - 0.8939448730444148)).exp());
    assert!((analysis["score"].as_f64().unwrap() - expected).abs() < 1e-6, "{decision}");
    assert_eq!(analysis["report"], "complete");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_log_probabilities_gives_a_stated_score() {
    let plain = [verdict(&[]), vec![token(REST, &[])], stream_end()].concat();
    let engine = Engine::without_log_probs(plain).await;
    let service = Service::start(&engine.url).await;
    let decision = service.screen("stated").await;
    assert_eq!(decision["analysis"]["calibrated"], false, "{decision}");
    assert_eq!(decision["analysis"]["score"], 0.9);
    assert_eq!(decision["outcome"], "decline");
    assert!(engine.asked()[0].get("logprobs").is_none(), "not asked for where there are none");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_alone_are_asked_for_with_the_schema_cut_to_them() {
    let short = [verdict(&LISTED), vec![token("}", &[])], stream_end()].concat();
    let engine = Engine::start(short).await;
    let mut settings = settings(&engine.url);
    settings.analysis.narrative = Narrative::Off;
    let service = Service::start_with(settings).await;
    let decision = service.screen("verdict").await;
    assert_eq!(decision["decided_by"], "analysis", "{decision}");
    assert_eq!(decision["analysis"]["report"], "off");
    let body = &engine.asked()[0];
    assert_eq!(body["max_tokens"], 32);
    assert_eq!(body["structured_outputs"]["json"]["required"], json!(["verdict"]));
    let ok = service.metric("weir_engine_requests_total{result=\"ok\"}").await;
    assert_eq!(ok, 1.0, "read to its end, so that the connection is used again");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_name_the_engines_kind_and_model() {
    let engine = Engine::start(report()).await;
    let service = Service::start(&engine.url).await;
    let name = "weir-analysis@vllm:stub-8b";
    let decision = service.screen("named").await;
    assert_eq!(decision["analysis"]["package"]["name"], name, "{decision}");
    let (_, models) = service.get("/v1/models").await;
    assert!(models.contains(name), "{models}");
    assert!(service.get("/metrics").await.1.contains(&format!("name=\"{name}\"")));
    service.stop().await;
}
