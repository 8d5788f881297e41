//! What each engine is asked, against the shapes that its API takes.

use engine_client::{Config, Dialect, Endpoint};
use serde_json::{Value, json};

use crate::stub::*;

async fn body(dialect: Dialect, change: impl FnOnce(Config) -> Config) -> Value {
    let stub = Stub::always(fraud_stream()).await;
    let config = change(Config { dialect: Some(dialect), ..config(stub.url()) });
    let route = match config.endpoint {
        Endpoint::Chat => "POST /v1/chat/completions",
        Endpoint::Completions => "POST /v1/completions",
    };
    let (client, _) = client(config);
    client.generate(request(), ample()).await.expect("a verdict");
    let seen = stub.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].is(route), "{}", seen[0].line);
    seen[0].body.clone()
}

async fn chat(dialect: Dialect) -> Value {
    body(dialect, |config| config).await
}

async fn legacy(dialect: Dialect) -> Value {
    body(dialect, |config| Config { endpoint: Endpoint::Completions, ..config }).await
}

fn nested() -> Value {
    let named = json!({ "name": "report", "strict": true, "schema": form().schema() });
    json!({ "type": "json_schema", "json_schema": named })
}

#[tokio::test]
async fn a_chat_is_greedy_streamed_and_constrained() {
    let prompt = "Memo: pay the invoice of Tuesday";
    assert_eq!(
        chat(Dialect::Generic).await,
        json!({
            "model": "stub",
            "messages": [{ "role": "user", "content": prompt }],
            "max_tokens": 64,
            "temperature": 0,
            "stream": true,
            "stream_options": { "include_usage": true },
            "logprobs": true,
            "top_logprobs": 20,
            "response_format": nested(),
        })
    );
}

#[tokio::test]
async fn openai_gets_its_own_name_for_the_limit_and_no_string_lengths() {
    let body = chat(Dialect::OpenAi).await;
    assert_eq!(body["max_completion_tokens"], 64);
    assert_eq!(body.get("max_tokens"), None);
    let schema = &body["response_format"]["json_schema"]["schema"];
    assert_eq!(schema["properties"]["narrative"], json!({ "type": "string" }));
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(body.get("reasoning_effort"), None);
}

#[tokio::test]
async fn vllm_gets_structured_outputs_on_both_routes() {
    for body in [chat(Dialect::Vllm).await, legacy(Dialect::Vllm).await] {
        assert_eq!(body["structured_outputs"], json!({ "json": form().schema() }));
        assert_eq!(body.get("response_format"), None);
    }
}

#[tokio::test]
async fn sglang_and_ollama_get_the_nested_form() {
    assert_eq!(chat(Dialect::Sglang).await["response_format"], nested());
    assert_eq!(legacy(Dialect::Sglang).await["response_format"], nested());
    assert_eq!(chat(Dialect::Ollama).await["response_format"], nested());
}

#[tokio::test]
async fn llama_cpp_gets_the_nested_form_in_chat_and_a_top_level_schema_elsewhere() {
    assert_eq!(chat(Dialect::LlamaCpp).await["response_format"], nested());
    let body = legacy(Dialect::LlamaCpp).await;
    assert_eq!(&body["json_schema"], form().schema());
    assert_eq!(body.get("response_format"), None);
    assert_eq!(body["logprobs"], 20);
    assert_eq!(body["prompt"], "Memo: pay the invoice of Tuesday");
    assert_eq!(body.get("messages"), None);
}

#[tokio::test]
async fn llama_cpp_python_gets_a_json_object_with_its_schema() {
    let expected = json!({ "type": "json_object", "schema": form().schema() });
    assert_eq!(chat(Dialect::LlamaCppPython).await["response_format"], expected);
}

#[tokio::test]
async fn routes_that_take_no_schema_get_none() {
    for dialect in [Dialect::OpenAi, Dialect::Ollama, Dialect::LlamaCppPython] {
        let body = legacy(dialect).await;
        assert!(body.get("response_format").is_none() && body.get("json_schema").is_none());
    }
    assert_eq!(legacy(Dialect::OpenAi).await["logprobs"], 5);
}

#[tokio::test]
async fn properties_are_sent_in_the_schemas_order() {
    let sent = chat(Dialect::Vllm).await["structured_outputs"]["json"]["properties"].clone();
    let names: Vec<&String> = sent.as_object().expect("properties").keys().collect();
    assert_eq!(names, ["verdict", "narrative"]);
}

#[tokio::test]
async fn settings_shape_the_body() {
    let extra =
        json!({ "chat_template_kwargs": { "enable_thinking": false }, "temperature": null });
    let body = body(Dialect::Vllm, |config| Config {
        system_prompt: Some("Be brief.".into()),
        reasoning_effort: Some("none".into()),
        stream: false,
        top_logprobs: 0,
        extra: extra.as_object().expect("an object").clone(),
        ..config
    })
    .await;
    assert_eq!(body["messages"][0], json!({ "role": "system", "content": "Be brief." }));
    assert_eq!(body["reasoning_effort"], "none");
    assert_eq!(body["chat_template_kwargs"]["enable_thinking"], false);
    for absent in ["temperature", "stream", "stream_options", "logprobs", "top_logprobs"] {
        assert_eq!(body.get(absent), None, "{absent}");
    }
}
