//! How engines differ behind the same two routes.

use serde_json::{Map, Value, json};

use crate::config::Endpoint;

/// The kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Anything else that follows OpenAI's API.
    Generic,
    /// OpenAI itself: `max_completion_tokens`, strict schemas without lengths.
    OpenAi,
    /// vLLM: `structured_outputs` (0.11 and later), else `response_format`.
    Vllm,
    /// SGLang: `response_format`, or a top-level `json_schema` string on the legacy route.
    Sglang,
    /// llama.cpp's `llama-server`: nested `response_format` in chat, a top-level `json_schema` on
    /// the legacy route, where `response_format` is ignored without a word.
    LlamaCpp,
    /// llama-cpp-python's server: `response_format: {type: "json_object", schema}` in chat, no
    /// schema on the legacy route. It breaks off one answer when asked for the next, unless it runs
    /// with `--interrupt_requests false`, and then it still works on one at a time.
    LlamaCppPython,
    /// Ollama's `/v1`: nested `response_format` in chat, no schema on the legacy route.
    Ollama,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 7] = [
        Self::Generic,
        Self::OpenAi,
        Self::Vllm,
        Self::Sglang,
        Self::LlamaCpp,
        Self::LlamaCppPython,
        Self::Ollama,
    ];

    /// The engine's name, in small letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::OpenAi => "openai",
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::LlamaCpp => "llama-server",
            Self::LlamaCppPython => "llama-cpp-python",
            Self::Ollama => "ollama",
        }
    }

    /// What `owned_by` in `GET /v1/models` tells.
    pub(crate) fn of_owner(owner: &str) -> Option<Self> {
        match owner {
            "vllm" => Some(Self::Vllm),
            "sglang" => Some(Self::Sglang),
            "llamacpp" => Some(Self::LlamaCpp),
            "me" => Some(Self::LlamaCppPython),
            "library" => Some(Self::Ollama),
            "openai" | "openai-internal" | "system" => Some(Self::OpenAi),
            _ => None,
        }
    }

    /// Routes that only one engine has, and a field that its answer holds.
    pub(crate) const LANDMARKS: [(&'static str, &'static str, Self); 5] = [
        ("/props", "default_generation_settings", Self::LlamaCpp),
        ("/api/version", "version", Self::Ollama),
        ("/server_info", "tp_size", Self::Sglang),
        ("/get_server_info", "tp_size", Self::Sglang),
        ("/version", "version", Self::Vllm),
    ];

    /// The ways to pass a schema, the likeliest first.
    pub(crate) fn schema_fields(self, endpoint: Endpoint) -> &'static [SchemaField] {
        use SchemaField::*;
        match (self, endpoint) {
            (Self::Generic, _) => &[ResponseFormat, StructuredOutputs, TopLevel],
            (Self::OpenAi | Self::Ollama, Endpoint::Chat) => &[ResponseFormat],
            (Self::OpenAi | Self::Ollama, Endpoint::Completions) => &[],
            (Self::Vllm, _) => &[StructuredOutputs, ResponseFormat, GuidedJson],
            (Self::Sglang, Endpoint::Chat) => &[ResponseFormat],
            (Self::Sglang, Endpoint::Completions) => &[ResponseFormat, TopLevelText],
            (Self::LlamaCpp, Endpoint::Chat) => &[ResponseFormat, TopLevel],
            (Self::LlamaCpp, Endpoint::Completions) => &[TopLevel],
            (Self::LlamaCppPython, Endpoint::Chat) => &[JsonObject],
            (Self::LlamaCppPython, Endpoint::Completions) => &[],
        }
    }

    /// The field that bounds the answer's length.
    pub(crate) fn max_tokens_field(self, endpoint: Endpoint) -> &'static str {
        match (self, endpoint) {
            (Self::OpenAi, Endpoint::Chat) => "max_completion_tokens",
            _ => "max_tokens",
        }
    }

    /// The most alternatives that may be asked for.
    pub(crate) fn most_alternatives(self, endpoint: Endpoint) -> u8 {
        match (self, endpoint) {
            (Self::OpenAi, Endpoint::Completions) => 5,
            _ => 20,
        }
    }

    /// The schema as this engine takes it.
    pub(crate) fn schema(self, schema: &Value) -> Value {
        let mut schema = schema.clone();
        if self == Self::OpenAi {
            drop_lengths(&mut schema);
        }
        schema
    }
}

/// OpenAI refuses a strict schema that bounds strings; the client checks the bounds itself.
fn drop_lengths(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("type").is_some_and(|kind| kind == "string") {
                map.shift_remove("minLength");
                map.shift_remove("maxLength");
            }
            map.values_mut().for_each(drop_lengths);
        }
        Value::Array(all) => all.iter_mut().for_each(drop_lengths),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Where in the body the schema goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SchemaField {
    /// `response_format: {type: "json_schema", json_schema: {name, strict, schema}}`
    ResponseFormat,
    /// `response_format: {type: "json_object", schema}`
    JsonObject,
    /// `structured_outputs: {json: schema}`
    StructuredOutputs,
    /// `guided_json: schema`, vLLM before 0.12
    GuidedJson,
    /// `json_schema: schema`
    TopLevel,
    /// `json_schema: "schema as text"`
    TopLevelText,
}

impl SchemaField {
    pub(crate) fn insert(self, schema: Value, body: &mut Map<String, Value>) {
        let (field, value) = match self {
            Self::ResponseFormat => {
                let named = json!({ "name": "report", "strict": true, "schema": schema });
                ("response_format", json!({ "type": "json_schema", "json_schema": named }))
            }
            Self::JsonObject => {
                ("response_format", json!({ "type": "json_object", "schema": schema }))
            }
            Self::StructuredOutputs => ("structured_outputs", json!({ "json": schema })),
            Self::GuidedJson => ("guided_json", schema),
            Self::TopLevel => ("json_schema", schema),
            Self::TopLevelText => ("json_schema", Value::String(schema.to_string())),
        };
        body.insert(field.into(), value);
    }
}
