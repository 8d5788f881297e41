//! The whole cascade with another engine behind tier 2: one that behaves, and all that do not.

#![allow(clippy::unwrap_used)]

mod real;
mod setup;
#[path = "../../../engine-client/tests/engine/stub.rs"]
#[allow(dead_code, reason = "shared with the client's own tests")]
mod stub;

use std::time::Duration;

use domain::{DecidedBy, Decision, Degraded, Outcome, ReportStatus, Verdict};
use screening::Narrative;
use serde_json::json;
use setup::{Setup, good_stream, report_rest, verdict_events};
use stub::{Act, Stub, answer, answer_with, completion, event, piece, stream_head};

/// Answers questions for reports with this, and lists one model.
async fn engine(acts: Vec<Act>) -> Stub {
    Stub::start(move |seen, _| {
        if seen.is("POST /v1/chat/completions") {
            acts.clone()
        } else if seen.is("GET /v1/models") {
            answer(200, &json!({ "data": [{ "id": "m", "owned_by": "someone" }] }))
        } else {
            answer(404, &json!({}))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_behaves_gives_a_calibrated_verdict_and_a_checked_report() {
    let engine = engine(good_stream()).await;
    let setup = Setup::start(&engine.url(), Narrative::Inline).await;
    let decision = setup.decide("tx-1").await;
    assert_eq!((decision.decided_by, decision.degraded), (DecidedBy::Analysis, None));
    let analysis = decision.analysis.unwrap();
    assert_eq!((analysis.verdict, analysis.calibrated), (Verdict::Fraud, true));
    assert_eq!(analysis.report, ReportStatus::Complete);
    assert_eq!(analysis.action, Some(Outcome::Decline));
    assert!(analysis.package.version.contains("@127.0.0.1:"), "{}", analysis.package.version);
    let prompt = engine.seen().last().unwrap().body["messages"][0]["content"].clone();
    assert!(
        prompt.as_str().unwrap().contains("payment"),
        "the package's template is what it reads"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_probabilities_is_taken_at_its_word_and_says_so() {
    let text = setup::report_text("suspicious");
    let engine = engine(answer(200, &completion(&text))).await;
    let setup = Setup::start(&engine.url(), Narrative::Inline).await;
    let decision = setup.decide("tx-1").await;
    let analysis = decision.analysis.unwrap();
    assert!(!analysis.calibrated);
    assert_eq!((analysis.verdict, decision.outcome), (Verdict::Suspicious, Outcome::Review));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_an_engine_does_wrong_becomes_the_fallback() {
    let half = vec![stream_head(), event(&piece("{\"verdict\":\"fra", &[]))];
    let broken = vec![stream_head(), event(&piece("{\"verdict\":\"fra", &[])), Act::Reset];
    let wrong = [
        vec![stream_head()],
        verdict_events(),
        vec![event(&piece("risk\":1}", &[])), Act::Send(b"data: [DONE]\n\n".to_vec())],
    ];
    let busy = answer_with(429, "retry-after: 600\r\n", &json!({ "error": "busy" }));
    let cases = [
        ("wrong schema", wrong.concat(), Degraded::AnalysisFailed),
        ("half JSON", half, Degraded::AnalysisFailed),
        ("prose", answer(200, &completion("It looks fine to me.")), Degraded::AnalysisFailed),
        ("500", answer(500, &json!({ "error": "no" })), Degraded::AnalysisFailed),
        ("reset", broken, Degraded::AnalysisFailed),
        ("reset at once", vec![Act::Reset], Degraded::AnalysisFailed),
        ("hang", vec![Act::Hang], Degraded::AnalysisLate),
        ("hang in the answer", vec![stream_head(), Act::Hang], Degraded::AnalysisLate),
        ("429", busy, Degraded::AnalysisFull),
    ];
    for (name, acts, expected) in cases {
        let engine = engine(acts).await;
        let setup = Setup::start(&engine.url(), Narrative::Inline).await;
        let decision = setup.decide("tx-1").await;
        assert_eq!(decision.degraded, Some(expected), "{name}");
        assert_eq!(decision.decided_by, DecidedBy::Fallback, "{name}");
        assert!(decision.outcome >= Outcome::Review, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_fails_at_first_is_asked_again_within_the_deadline() {
    let engine = Stub::start(|seen, _| {
        // The third answer to a question is the good one.
        static ASKED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        if !seen.is("POST /v1/chat/completions") {
            return answer(404, &json!({}));
        }
        match ASKED.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => answer(500, &json!({})),
            1 => vec![Act::Reset],
            _ => good_stream(),
        }
    })
    .await;
    let setup = Setup::named(&engine.url(), Narrative::Inline, Some("m")).await;
    assert_eq!(setup.decide("tx-1").await.degraded, None);
    assert!(setup.metrics().contains("weir_engine_retries_total"));
}

#[tokio::test(flavor = "multi_thread")]
async fn weir_starts_without_its_engine_and_uses_it_once_it_is_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = Setup::named(&format!("http://{port}"), Narrative::Inline, Some("m")).await;
    assert_eq!(setup.decide("tx-1").await.degraded, Some(Degraded::AnalysisFailed));
    let _engine = setup::engine_at(port).await;
    let mut decision = setup.decide("tx-2").await;
    // The circuit breaker may have opened meanwhile; it lets a trial through soon.
    for number in 3..100 {
        if decision.degraded.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        decision = setup.decide(&format!("tx-{number}")).await;
    }
    assert_eq!(decision.degraded, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_keeps_failing_is_left_alone() {
    let engine = engine(answer(500, &json!({}))).await;
    let setup = Setup::start(&engine.url(), Narrative::Inline).await;
    for number in 0..12 {
        let decision = setup.decide(&format!("tx-{number}")).await;
        assert_eq!(decision.degraded, Some(Degraded::AnalysisFailed));
    }
    let metrics = setup.metrics();
    assert!(metrics.contains("weir_engine_breaker_state{state=\"open\"} 1"), "{metrics}");
    let asked = engine.seen().len();
    setup.decide("tx-open").await;
    assert_eq!(engine.seen().len(), asked, "nobody asks an engine that is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_another_engine_may_come_after_the_answer() {
    let late = [
        vec![stream_head()],
        verdict_events(),
        vec![Act::Wait(Duration::from_millis(300))],
        report_rest(),
    ];
    let engine = engine(late.concat()).await;
    let setup = Setup::start(&engine.url(), Narrative::After).await;
    let decision = setup.decide("tx-1").await;
    assert_eq!(decision.analysis.as_ref().unwrap().report, ReportStatus::Pending);
    setup.screener.finish().await;
    let stored = setup.ledger.decision(decision.decision_id).await.unwrap().unwrap();
    let completed: Decision = serde_json::from_str(&stored.response).unwrap();
    assert_eq!(completed.analysis.unwrap().report, ReportStatus::Complete);
    assert_eq!(completed.outcome, decision.outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_alone_ask_for_no_more() {
    let engine = engine(setup::verdict_stream()).await;
    let setup = Setup::start(&engine.url(), Narrative::Off).await;
    let decision = setup.decide("tx-1").await;
    assert_eq!(decision.analysis.unwrap().report, ReportStatus::Off);
    let body = engine.seen().last().unwrap().body.clone();
    let schema = &body["response_format"]["json_schema"]["schema"]["properties"];
    assert!(schema["verdict"].is_object() && schema["narrative"].is_null(), "{body}");
}
