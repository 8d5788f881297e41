//! The body of a request, in the engine's dialect.

use serde_json::{Map, Value, json};

use crate::{
    config::{Config, Endpoint},
    dialect::{Dialect, SchemaField},
    form::Request,
};

/// What is known about the engine, and so what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) model: String,
    pub(crate) dialect: Dialect,
    /// `None` when the engine takes no schema.
    pub(crate) schema_field: Option<SchemaField>,
    pub(crate) stream: bool,
    /// 0 when the engine gives no log-probabilities.
    pub(crate) top_logprobs: u8,
}

impl Profile {
    /// What an engine of this kind is expected to do, before anything was tried.
    pub(crate) fn expected(model: String, dialect: Dialect, config: &Config) -> Self {
        Self {
            model,
            dialect,
            schema_field: dialect.schema_fields(config.endpoint).first().copied(),
            stream: config.stream,
            top_logprobs: config.top_logprobs.min(dialect.most_alternatives(config.endpoint)),
        }
    }

    /// The body that puts `request` to the engine: greedy, constrained, with log-probabilities.
    pub(crate) fn body(&self, config: &Config, request: &Request) -> Value {
        let mut body = Map::new();
        let mut set = |name: &str, value: Value| body.insert(name.into(), value);
        set("model", json!(self.model));
        match config.endpoint {
            Endpoint::Chat => {
                let system = config.system_prompt.iter();
                let system = system.map(|text| json!({ "role": "system", "content": text }));
                let user = json!({ "role": "user", "content": request.prompt });
                set("messages", system.chain([user]).collect());
            }
            Endpoint::Completions => {
                set("prompt", json!(request.prompt));
            }
        }
        set(self.dialect.max_tokens_field(config.endpoint), json!(request.max_tokens));
        set("temperature", json!(0));
        if self.stream {
            set("stream", json!(true));
            set("stream_options", json!({ "include_usage": true }));
        }
        match config.endpoint {
            _ if self.top_logprobs == 0 => {}
            Endpoint::Chat => {
                set("logprobs", json!(true));
                set("top_logprobs", json!(self.top_logprobs));
            }
            Endpoint::Completions => {
                set("logprobs", json!(self.top_logprobs));
            }
        }
        if let Some(effort) = &config.reasoning_effort {
            set("reasoning_effort", json!(effort));
        }
        if let Some(field) = self.schema_field {
            field.insert(self.dialect.schema(request.form.schema()), &mut body);
        }
        for (name, value) in &config.extra {
            if value.is_null() {
                body.shift_remove(name);
            } else {
                body.insert(name.clone(), value.clone());
            }
        }
        Value::Object(body)
    }
}
