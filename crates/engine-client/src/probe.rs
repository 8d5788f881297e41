//! What an engine can do, found out by trying.

use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    body::Profile,
    client::Client,
    dialect::Dialect,
    error::{ClientError, FormError},
    form::{Form, Request},
    reply::Reply,
    retry::Failure,
    shared::Shared,
    verdict::{Token, log_probs},
};

/// Invites prose, so that JSON of the schema can only come from the schema.
const PROMPT: &str = "Write a few friendly sentences about the sea, in plain prose.";
const PREFIX: &str = "{\"colour\":\"";
const COLOURS: [&str; 3] = ["red", "green", "blue"];
/// Enough for the object with some whitespace.
const CONSTRAINED_TOKENS: u32 = 64;
/// The first token tells.
const FREE_TOKENS: u32 = 4;

/// Whether an engine's log-probabilities know of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogProbKind {
    /// There are none.
    None,
    /// The model's own, before the grammar's mask: `covered` tells how much the model wanted one
    /// of the choices.
    Raw,
    /// After the mask: the choices share all of the probability.
    Masked,
}

/// What an engine can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The model asked.
    pub model: String,
    /// The kind of engine.
    pub dialect: Dialect,
    /// Whether the schema constrains what is written. An engine that ignores it is still of use:
    /// every report is checked, and those that break the schema are refused.
    pub honours_schema: bool,
    /// Whether the text arrives as it is written.
    pub streams: bool,
    /// Whether there are log-probabilities, and of which kind.
    pub log_probs: LogProbKind,
    /// The most alternatives seen at one token.
    pub top_logprobs: usize,
}

/// One answer to the probe's question.
struct Sample {
    text: String,
    tokens: Vec<Token>,
    streams: bool,
}

impl Client {
    /// Finds out which model and engine this is and what it honours: puts a question that invites
    /// prose with the schema, in each way that the engine may take one, and without. Later
    /// requests are put in the way that worked. Passes the circuit breaker by and takes no place.
    ///
    /// # Errors
    /// See [`ClientError`]; the engine then stays as it was known before.
    pub async fn probe(&self, deadline: Instant) -> Result<Capabilities, ClientError> {
        let probed = timeout_at(deadline, self.shared.probe()).await;
        let probed = probed.map_err(|_| ClientError::Deadline)?;
        let overloaded = self.shared.config.overload_retry_after;
        let (profile, capabilities) = probed.map_err(|failure| failure.error(overloaded))?;
        if !capabilities.honours_schema {
            tracing::warn!(
                dialect = ?capabilities.dialect,
                "the engine does not honour the schema: reports that break it are refused"
            );
        }
        if capabilities.log_probs == LogProbKind::None {
            tracing::warn!("the engine gives no log-probabilities: verdicts have no score");
        }
        *self.shared.profile.lock() = Some(profile);
        *self.shared.capabilities.lock() = Some(capabilities.clone());
        self.shared.metrics.probed.set(1);
        Ok(capabilities)
    }
}

impl Shared {
    /// The model and the kind of engine, from the settings or from what it shows.
    pub(crate) async fn discover(&self) -> Result<(String, Dialect), Failure> {
        if let (Some(model), Some(dialect)) = (&self.config.model, self.config.dialect) {
            return Ok((model.clone(), dialect));
        }
        let models = self.transport.get("/v1/models").await?.unwrap_or_default();
        let first = &models["data"][0];
        let listed = first["id"].as_str().map(str::to_owned);
        let Some(model) = self.config.model.clone().or(listed) else {
            return Err(Failure::Complaint("it lists no model, and none is configured".into()));
        };
        let dialect = match self.config.dialect {
            Some(dialect) => dialect,
            None => self.recognise(first).await?,
        };
        Ok((model, dialect))
    }

    async fn recognise(&self, model: &Value) -> Result<Dialect, Failure> {
        if let Some(dialect) = model["owned_by"].as_str().and_then(Dialect::of_owner) {
            return Ok(dialect);
        }
        if self.transport.host_is("api.openai.com") {
            return Ok(Dialect::OpenAi);
        }
        for (path, field, dialect) in Dialect::LANDMARKS {
            // Whatever an engine answers to a route that it does not have, an error or silence, says
            // only "not this one".
            let asked = timeout(self.config.connect_timeout, self.transport.get(path)).await;
            if let Ok(Ok(Some(found))) = asked
                && found.get(field).is_some()
            {
                return Ok(dialect);
            }
        }
        Ok(Dialect::Generic)
    }

    async fn probe(&self) -> Result<(Profile, Capabilities), Failure> {
        let (model, dialect) = self.discover().await?;
        let form = form().map_err(|error| Failure::Complaint(error.to_string()))?;
        let mut profile = Profile::expected(model, dialect, &self.config);
        let fields = dialect.schema_fields(self.config.endpoint);
        let mut constrained = None;
        for &field in fields {
            profile.schema_field = Some(field);
            let Some(sample) = self.sample(&mut profile, &form).await? else { continue };
            let honoured = follows(&form, &sample.text);
            // The first way that is taken is kept, unless another one is honoured.
            if honoured || constrained.is_none() {
                constrained = Some((Some(field), honoured, sample));
            }
            if honoured {
                break;
            }
        }
        profile.schema_field = None;
        let Some(free) = self.sample(&mut profile, &form).await? else {
            return Err(Failure::Complaint("it refuses every form of the probe".into()));
        };
        // JSON of an unlikely schema in answer to a question for prose, unasked: proves nothing.
        let unasked = follows(&form, &free.text);
        let (field, honoured, sample) = match &constrained {
            Some((field, honoured, sample)) => (*field, *honoured && !unasked, sample),
            None => (None, false, &free),
        };
        let listed = sample.tokens.iter().map(|token| token.alternatives.len()).max().unwrap_or(0);
        let log_probs = if listed == 0 {
            LogProbKind::None
        } else if honoured && masked(&form, sample, &free) {
            LogProbKind::Masked
        } else {
            LogProbKind::Raw
        };
        let capabilities = Capabilities {
            model: profile.model.clone(),
            dialect,
            honours_schema: honoured,
            streams: sample.streams,
            log_probs,
            top_logprobs: listed,
        };
        profile.schema_field = field;
        if listed == 0 {
            profile.top_logprobs = 0;
        }
        Ok((profile, capabilities))
    }

    /// Puts the probe's question, asking for less where the engine refuses; what it accepted stays
    /// in the profile. `None` when it refuses in every way.
    async fn sample(&self, profile: &mut Profile, form: &Form) -> Result<Option<Sample>, Failure> {
        let (stream, most) = (profile.stream, profile.top_logprobs);
        let fewer = most.min(5);
        let ways = [(stream, most), (stream, fewer), (stream, 0), (false, most), (false, 0)];
        for (at, way) in ways.iter().enumerate() {
            if ways[..at].contains(way) {
                continue;
            }
            (profile.stream, profile.top_logprobs) = *way;
            match self.put(profile, form).await {
                Ok(sample) => return Ok(Some(sample)),
                // llama-cpp-python breaks off when it lacks what log-probabilities take.
                Err(
                    Failure::Status { code: 400 | 422 | 500, .. }
                    | Failure::Complaint(_)
                    | Failure::Reset(_),
                ) => {}
                Err(failure) => return Err(failure),
            }
        }
        (profile.stream, profile.top_logprobs) = (stream, most);
        Ok(None)
    }

    async fn put(&self, profile: &Profile, form: &Form) -> Result<Sample, Failure> {
        let max_tokens =
            if profile.schema_field.is_some() { CONSTRAINED_TOKENS } else { FREE_TOKENS };
        let request = Request { prompt: PROMPT.into(), form: form.clone(), max_tokens };
        let body = profile.body(&self.config, &request);
        let opened = self.transport.post(self.config.endpoint.path(), &body, PROMPT).await?;
        let mut reply = Reply::new(opened, PROMPT.into());
        reply.drain().await?;
        let streams = reply.streamed && reply.pieces > 1;
        Ok(Sample { text: reply.text, tokens: reply.tokens, streams })
    }
}

fn form() -> Result<Form, FormError> {
    let schema = json!({
        "type": "object",
        "properties": { "colour": { "type": "string", "enum": COLOURS } },
        "required": ["colour"],
        "additionalProperties": false,
    });
    Form::new(schema, PREFIX, &COLOURS)
}

fn follows(form: &Form, text: &str) -> bool {
    form.choices().iter().any(|word| form.check(text, word).is_ok())
}

/// Whether the log-probabilities were taken after the mask: then all of the first token's stands
/// on an object's start, which the free answer did not begin with. Where the model begins with one
/// unasked too, the choice decides: a mask leaves nothing else.
fn masked(form: &Form, constrained: &Sample, free: &Sample) -> bool {
    let (with, without) = (opening(&constrained.tokens), opening(&free.tokens));
    if without < 0.9 {
        return with > 0.99;
    }
    log_probs(form, &constrained.tokens).is_some_and(|found| found.covered > 0.999)
}

/// The probability that the first token lists for an object's start.
fn opening(tokens: &[Token]) -> f64 {
    let opens = |bytes: &[u8]| {
        let text = bytes.trim_ascii_start();
        text.is_empty() || text.starts_with(b"{")
    };
    let Some(first) = tokens.first() else { return 0.0 };
    first.alternatives.iter().filter(|(bytes, _)| opens(bytes)).map(|(_, p)| p.exp()).sum()
}
