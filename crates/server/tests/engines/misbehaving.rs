//! Whatever an engine does, tier 1 decides and the answer says why.

use std::time::Duration;

use serde_json::json;

use crate::{
    engine::{Act, Engine, LISTED, REST, json_answer, report, stream_end, token, verdict, whole},
    service::{Service, assert_fallback, settings},
};

fn result(name: &str) -> String {
    format!("weir_engine_requests_total{{result=\"{name}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_place_of_a_report_gets_the_fallback() {
    let engine = Engine::start(Vec::new()).await;
    let service = Service::start(&engine.url).await;
    let cases = [
        ("prose", whole("I think that this payment is fraud.")),
        ("half JSON", whole("{\"verdict\":\"fraud\",\"typ")),
        ("another schema", whole("{\"verdict\":\"fraud\",\"score\":1}")),
        ("an unknown verdict", whole("{\"verdict\":\"maybe\"}")),
        ("verdict not first", whole("{\"typology\":\"mule_account\",\"verdict\":\"fraud\"}")),
        ("not the API", json_answer(200, "", &json!({ "choices": [] }))),
        ("half a stream", [verdict(&LISTED), vec![token(",\"typ", &[])], stream_end()].concat()),
    ];
    for (count, (what, acts)) in cases.iter().enumerate() {
        engine.set(acts.clone());
        let decision = service.screen(what).await;
        assert_fallback(&decision, "analysis_failed");
        assert_eq!(service.metric(&result("malformed")).await, (count + 1) as f64, "{what}");
        assert_eq!(engine.asked().len(), count + 1, "nonsense is not asked for again: {what}");
    }
    engine.set(report());
    assert_eq!(service.screen("well again").await["decided_by"], "analysis");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_fails_is_asked_again_and_then_gets_the_fallback() {
    let engine = Engine::start(Vec::new()).await;
    let service = Service::start(&engine.url).await;
    let cases = [
        ("reset", vec![Act::Reset]),
        ("closed", Vec::new()),
        ("reset midway", [verdict(&[])[..2].to_vec(), vec![Act::Reset]].concat()),
        ("500", json_answer(500, "", &json!({ "error": { "message": "out of memory" } }))),
    ];
    for (count, (what, acts)) in cases.iter().enumerate() {
        engine.set(acts.clone());
        assert_fallback(&service.screen(what).await, "analysis_failed");
        assert_eq!(engine.asked().len(), 2 * (count + 1), "{what}");
        assert_eq!(service.metric(&result("failed")).await, (count + 1) as f64, "{what}");
    }
    let reset = service.metric("weir_engine_retries_total{reason=\"reset\"}").await;
    let errors = service.metric("weir_engine_retries_total{reason=\"server_error\"}").await;
    assert_eq!((reset, errors), (3.0, 1.0));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_before_its_verdict_is_left_in_time() {
    let engine = Engine::start(vec![Act::Hang]).await;
    let service = Service::start(&engine.url).await;
    assert_fallback(&service.screen_within("hang", 400).await, "analysis_late");
    assert_eq!(service.metric(&result("deadline")).await, 1.0);
    assert_eq!(service.metric("weir_engine_in_flight").await, 0.0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_after_its_verdict_costs_the_report_alone() {
    let engine = Engine::start([verdict(&LISTED), vec![Act::Hang]].concat()).await;
    let service = Service::start(&engine.url).await;
    let decision = service.screen_within("hang", 600).await;
    assert_eq!(decision["decided_by"], "analysis", "{decision}");
    assert_eq!(decision["analysis"]["verdict"], "fraud");
    assert_eq!(decision["analysis"]["report"], "failed");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_engine_is_given_the_time_it_asks_for_when_there_is_that_much() {
    let busy = |seconds: u32| {
        let wait = format!("retry-after: {seconds}\r\n");
        json_answer(429, &wait, &json!({ "error": { "message": "too many requests" } }))
    };
    let engine = Engine::start(busy(60)).await;
    let service = Service::start(&engine.url).await;
    assert_fallback(&service.screen("an hour glass").await, "analysis_full");
    assert_eq!(engine.asked().len(), 1, "60 s do not fit the deadline, so it is not asked again");
    engine.set(busy(1));
    assert_fallback(&service.screen("twice busy").await, "analysis_full");
    assert_eq!(engine.asked().len(), 3);
    assert_eq!(service.metric(&result("overloaded")).await, 2.0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_circuit_leaves_the_engine_alone_and_tier_1_decides() {
    let engine = Engine::start(json_answer(500, "", &json!({}))).await;
    let mut settings = settings(&engine.url);
    settings.engine.attempts = 1;
    settings.engine.breaker_minimum_calls = 4;
    settings.engine.breaker_open_ms = 600_000;
    settings.engine.breaker_open_max_ms = 600_000;
    let service = Service::start_with(settings).await;
    for case in 0..12 {
        assert_fallback(&service.screen(&format!("case-{case}")).await, "analysis_failed");
    }
    assert_eq!(engine.asked().len(), 4);
    assert_eq!(service.metric("weir_engine_breaker_state{state=\"open\"}").await, 1.0);
    assert_eq!(service.metric(&result("failed")).await, 4.0);
    assert_eq!(service.metric(&result("unavailable")).await, 8.0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_input_is_not_asked_again_and_shows_no_text_of_the_case() {
    let message = "prompt is too long: memo «a secret lunch»";
    let engine = Engine::start(json_answer(400, "", &json!({ "error": { "message": message } })));
    let engine = engine.await;
    let service = Service::start(&engine.url).await;
    let decision = service.screen("long").await;
    assert_fallback(&decision, "analysis_failed");
    assert_eq!(engine.asked().len(), 1);
    assert_eq!(service.metric(&result("input")).await, 1.0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_comes_after_the_answer_is_added_to_the_decision() {
    let pause = Act::Wait(Duration::from_millis(300));
    let late = [verdict(&LISTED), vec![pause, token(REST, &[])], stream_end()].concat();
    let engine = Engine::start(late).await;
    let mut settings = settings(&engine.url);
    settings.analysis.narrative = server::settings::Narrative::After;
    let service = Service::start_with(settings).await;
    let decision = service.screen("after").await;
    assert_eq!(decision["analysis"]["report"], "pending", "{decision}");
    let path = format!("/v1/decisions/{}", decision["decision_id"].as_str().unwrap());
    let completed = loop {
        let completed: serde_json::Value =
            serde_json::from_str(&service.get(&path).await.1).unwrap();
        if completed["analysis"]["report"] != "pending" {
            break completed;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(completed["analysis"]["report"], "complete", "{completed}");
    assert_eq!(completed["analysis"]["narrative"], "Passed on at once.");
    assert_eq!(completed["outcome"], decision["outcome"]);
    service.stop().await;
}
