//! Shows what an engine can do, and has it write one report.
//!
//! `cargo run -p engine-client --example probe -- URL [PROMPT_FILE [SCHEMA_FILE]]`
//!
//! `ENDPOINT=completions` asks the legacy route; `API_KEY` and `MODEL` are what they say.

use std::{env, fs, io::Write, time::Duration};

use anyhow::{Context, bail};
use engine_client::{ApiKey, Client, Config, Deadlines, Endpoint, Form, Request};
use prometheus::{Registry, TextEncoder};
use serde_json::{Value, json};
use tokio::time::Instant;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let Some(base_url) = arguments.next() else { bail!("probe URL [PROMPT_FILE [SCHEMA_FILE]]") };
    let prompt = match arguments.next() {
        Some(path) => fs::read_to_string(&path).context(path)?,
        None => "A card opened yesterday buys gift cards for 900 EUR at 3 am. Fraud?".into(),
    };
    let schema: Value = match arguments.next() {
        Some(path) => serde_json::from_str(&fs::read_to_string(&path).context(path)?)?,
        None => default_schema(),
    };
    let endpoint = match env::var("ENDPOINT").as_deref() {
        Ok("completions") => Endpoint::Completions,
        _ => Endpoint::Chat,
    };
    let config = Config {
        base_url,
        endpoint,
        api_key: env::var("API_KEY").ok().map(ApiKey::new),
        model: env::var("MODEL").ok(),
        ..Config::default()
    };
    let registry = Registry::new();
    let client = Client::new(config, &registry)?;
    let mut out = std::io::stdout().lock();
    let deadline = || Instant::now() + Duration::from_secs(60);

    writeln!(out, "{:#?}", client.probe(deadline()).await?)?;
    let choices = ["fraud", "suspicious", "legitimate"];
    let form = Form::new(schema, "{\"verdict\":\"", &choices)?;
    let request = Request { prompt, form, max_tokens: 256 };
    let answer = client.generate(request, Deadlines::both(deadline())).await?;
    writeln!(out, "{:#?} after {:?}", answer.choice, answer.to_verdict)?;
    let written = answer.rest.written().await?;
    writeln!(out, "{} after {:?}, {:?}", written.text, written.elapsed, written.usage)?;
    writeln!(out, "{}", TextEncoder::new().encode_to_string(&registry.gather())?)?;
    Ok(())
}

fn default_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "verdict": { "type": "string", "enum": ["fraud", "suspicious", "legitimate"] },
            "narrative": { "type": "string", "maxLength": 240 },
        },
        "required": ["verdict", "narrative"],
        "additionalProperties": false,
    })
}
