//! Finding out what an engine is and can do.

use engine_client::{Capabilities, ClientError, Config, Dialect, Endpoint, LogProbKind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stub::*;

/// What a pretended engine does with a schema and with log-probabilities.
#[derive(Clone, Copy)]
struct Nature {
    owner: &'static str,
    /// A route that only this engine has, with the field in its answer.
    landmark: (&'static str, &'static str),
    /// The field in which it takes a schema.
    schema_field: &'static str,
    log_probs: LogProbKind,
    streams: bool,
}

const PLAIN: Nature = Nature {
    owner: "somebody",
    landmark: ("/none", "none"),
    schema_field: "response_format",
    log_probs: LogProbKind::Raw,
    streams: true,
};

impl Nature {
    fn answer(self, seen: &Seen) -> Vec<Act> {
        if seen.is("GET /v1/models") {
            let model = json!({ "id": "sea-1", "owned_by": self.owner });
            return answer(200, &json!({ "data": [model, { "id": "sea-2" }] }));
        }
        if seen.is(&format!("GET {}", self.landmark.0)) {
            return answer(200, &json!({ self.landmark.1: 1 }));
        }
        if seen.line.starts_with("GET") {
            return answer(404, &json!({ "error": "no such route" }));
        }
        let constrained = seen.body.get(self.schema_field).is_some_and(|v| !v.is_null());
        let opening = match (self.log_probs, constrained) {
            (LogProbKind::None, _) => vec![],
            (LogProbKind::Masked, true) => vec![("{\"", 1.0)],
            (LogProbKind::Raw | LogProbKind::Masked, _) => vec![("The", 0.8), ("{\"", 0.001)],
        };
        let texts: &[&str] =
            if constrained { &["{\"", "colour\":\"", "red\"}"] } else { &["The", " sea", " is"] };
        let mut events: Vec<Value> = texts.iter().map(|text| piece(text, &[])).collect();
        if !opening.is_empty() {
            events[0] = piece(texts[0], &opening);
        }
        if self.streams {
            let events = events.iter().map(event);
            return [stream_head()].into_iter().chain(events).collect();
        }
        answer(200, &completion(&texts.concat()))
    }
}

async fn probed(nature: Nature, endpoint: Endpoint) -> Capabilities {
    let stub = Stub::start(move |seen, _| nature.answer(seen)).await;
    let bare = Config { base_url: format!("{}/v1/", stub.url()), endpoint, ..Config::default() };
    let (client, _) = client(bare);
    let found = client.probe(ample().verdict).await.expect("capabilities");
    assert_eq!(client.capabilities().as_ref(), Some(&found));
    found
}

#[tokio::test]
async fn engines_are_recognised_by_who_owns_their_models() {
    for (owner, dialect) in [
        ("vllm", Dialect::Vllm),
        ("sglang", Dialect::Sglang),
        ("llamacpp", Dialect::LlamaCpp),
        ("me", Dialect::LlamaCppPython),
        ("library", Dialect::Ollama),
        ("system", Dialect::OpenAi),
        ("somebody", Dialect::Generic),
    ] {
        let found = probed(Nature { owner, ..PLAIN }, Endpoint::Chat).await;
        assert_eq!((found.dialect, found.model.as_str()), (dialect, "sea-1"));
    }
}

#[tokio::test]
async fn engines_are_recognised_by_routes_of_their_own() {
    for (path, field, dialect) in [
        ("/props", "default_generation_settings", Dialect::LlamaCpp),
        ("/api/version", "version", Dialect::Ollama),
        ("/get_server_info", "tp_size", Dialect::Sglang),
        ("/version", "version", Dialect::Vllm),
    ] {
        let found = probed(Nature { landmark: (path, field), ..PLAIN }, Endpoint::Chat).await;
        assert_eq!(found.dialect, dialect);
    }
}

#[tokio::test]
async fn log_probabilities_before_and_after_the_mask_are_told_apart() {
    for log_probs in [LogProbKind::Raw, LogProbKind::Masked, LogProbKind::None] {
        let found = probed(Nature { log_probs, ..PLAIN }, Endpoint::Chat).await;
        assert_eq!(found.log_probs, log_probs);
        assert!(found.honours_schema);
        assert_eq!(found.top_logprobs > 0, log_probs != LogProbKind::None);
    }
}

#[tokio::test]
async fn an_engine_that_ignores_every_schema_is_found_out() {
    let found = probed(Nature { schema_field: "none", ..PLAIN }, Endpoint::Chat).await;
    assert!(!found.honours_schema);
}

#[tokio::test]
async fn an_engine_that_answers_whole_is_found_out() {
    let found = probed(Nature { streams: false, ..PLAIN }, Endpoint::Chat).await;
    assert!(found.honours_schema && !found.streams);
}

#[tokio::test]
async fn the_way_that_worked_is_the_way_that_is_kept() {
    let nature = Nature { owner: "vllm", schema_field: "guided_json", ..PLAIN };
    let stub = Stub::start(
        move |seen, number| {
            if number < 5 { nature.answer(seen) } else { fraud_stream() }
        },
    )
    .await;
    let (client, _) = client(Config { base_url: stub.url(), ..Config::default() });
    assert!(client.probe(ample().verdict).await.expect("capabilities").honours_schema);
    assert_eq!(stub.seen().len(), 5);
    client.generate(request(), ample()).await.expect("a verdict");
    let asked = &stub.seen()[5].body;
    assert_eq!(&asked["guided_json"], form().schema());
    assert_eq!(asked["model"], "sea-1");
}

#[tokio::test]
async fn what_an_engine_refuses_is_not_asked_again() {
    let refused = json!({ "error": { "message": "logprobs are not supported" } });
    let reset = vec![stream_head(), Act::Reset];
    let closed = vec![stream_head()];
    for refusal in [answer(400, &refused), answer(500, &refused), reset, closed] {
        without_log_probabilities(refusal).await;
    }
}

async fn without_log_probabilities(refusal: Vec<Act>) {
    let nature = Nature { log_probs: LogProbKind::None, ..PLAIN };
    let stub = Stub::start(move |seen, _| {
        if seen.line.starts_with("GET") || seen.body.get("logprobs").is_none() {
            nature.answer(seen)
        } else {
            refusal.clone()
        }
    })
    .await;
    let (client, _) = client(Config { base_url: stub.url(), ..Config::default() });
    let found = client.probe(ample().verdict).await.expect("capabilities");
    assert_eq!((found.honours_schema, found.log_probs), (true, LogProbKind::None));
    let before = stub.seen().len();
    client.generate(request(), ample()).await.expect_err("no report, but an answer");
    let seen = stub.seen();
    assert_eq!(seen.len(), before + 1);
    assert_eq!(seen[before].body.get("logprobs"), None);
}

#[tokio::test]
async fn a_first_request_finds_its_engine_without_a_probe() {
    let stub =
        Stub::start(
            |seen, _| {
                if seen.line.starts_with("GET") { PLAIN.answer(seen) } else { fraud_stream() }
            },
        )
        .await;
    let (client, _) = client(Config { base_url: stub.url(), ..Config::default() });
    client.generate(request(), ample()).await.expect("a verdict");
    client.generate(request(), ample()).await.expect("a verdict");
    let seen = stub.seen();
    assert_eq!(seen.iter().filter(|seen| seen.is("GET /v1/models")).count(), 1);
    assert_eq!(seen.last().expect("a request").body["model"], "sea-1");
}

#[tokio::test]
async fn a_probe_ends_at_its_deadline() {
    let stub = Stub::always(vec![Act::Hang]).await;
    let (client, _) = client(config(stub.url()));
    let soon = Instant::now() + std::time::Duration::from_millis(100);
    assert_eq!(client.probe(soon).await, Err(ClientError::Deadline));
}
