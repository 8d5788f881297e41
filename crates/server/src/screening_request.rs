//! Parses what `/v1/screen` and a line of `/v1/screen/batch` say.

use std::time::Duration;

use domain::{
    ObjectReader, ParseContext, Transaction, Violations,
    reader::{kind_of, string},
};
use ledger::IdempotencyKey;
use screening::{Mode, Priority, ScreenOptions, Screened};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{api_error::ApiError, settings::DEADLINE_MS, state::Shared};

/// What labelled samples carry beside the transaction; a batch accepts and ignores it.
const SAMPLE_MEMBERS: [&str; 4] = ["label", "label_at", "typology", "scenario"];

/// One transaction to be screened.
#[derive(Debug)]
pub(crate) struct ScreeningRequest {
    transaction: Transaction,
    mode: Mode,
    deadline: Option<Duration>,
    dry_run: bool,
    priority: Priority,
    key: Option<IdempotencyKey>,
}

impl ScreeningRequest {
    /// Parses the body of `/v1/screen`.
    pub(crate) fn parse(value: &Value, context: &ParseContext) -> Result<Self, Violations> {
        Self::envelope(value, context, &[], Priority::Interactive)
    }

    /// Parses a line of a batch: a bare transaction, or an envelope such as a labelled sample.
    pub(crate) fn parse_line(value: &Value, context: &ParseContext) -> Result<Self, Violations> {
        if value.get("transaction").is_some() {
            return Self::envelope(value, context, &SAMPLE_MEMBERS, Priority::Bulk);
        }
        let transaction = Transaction::parse(value, context)?;
        let (mode, priority) = (Mode::Sync, Priority::Bulk);
        Ok(Self { transaction, mode, deadline: None, dry_run: false, priority, key: None })
    }

    fn envelope(
        value: &Value,
        context: &ParseContext,
        ignored: &[&'static str],
        priority: Priority,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let request = ObjectReader::open(value, "", &mut violations).and_then(|mut reader| {
            let transaction =
                reader.required_object("transaction", |inner| Transaction::read(inner, context));
            let mode = reader.optional("mode", mode).unwrap_or_default();
            let deadline = reader.optional("deadline_ms", deadline);
            let dry_run = reader.optional("dry_run", flag).unwrap_or(false);
            for name in ignored {
                reader.take(name);
            }
            reader.close();
            Some(Self { transaction: transaction?, mode, deadline, dry_run, priority, key: None })
        });
        violations.into_result()?;
        request.ok_or_else(Violations::default)
    }

    /// The same request under an idempotency key. A dry run leaves no trace, and so has no key.
    pub(crate) fn keyed(self, key: Option<IdempotencyKey>) -> Self {
        Self { key: key.filter(|_| !self.dry_run), ..self }
    }

    /// The key, if there is one.
    pub(crate) fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// When the answer is needed.
    pub(crate) fn deadline(&self, state: &Shared, arrived: Instant) -> Instant {
        arrived + self.deadline.unwrap_or_else(|| state.default_deadline())
    }

    /// Screens the transaction; whatever happens, an answer comes by the deadline.
    pub(crate) async fn screen(
        self,
        state: &Shared,
        arrived: Instant,
    ) -> Result<Screened, ApiError> {
        let deadline = self.deadline(state, arrived);
        let options = ScreenOptions {
            deadline,
            mode: self.mode,
            dry_run: self.dry_run,
            priority: self.priority,
            idempotency: self.key,
        };
        match timeout_at(deadline, state.screener.screen(self.transaction, options)).await {
            Ok(screened) => screened.map_err(ApiError::from),
            Err(_) => Err(ApiError::Deadline),
        }
    }
}

/// Parses one line of a backfill; what a sample says beside the transaction is ignored.
pub(crate) fn parse_event(
    value: &Value,
    context: &ParseContext,
) -> Result<Transaction, Violations> {
    if value.get("transaction").is_none() {
        return Transaction::parse(value, context);
    }
    let mut violations = Violations::default();
    let transaction = ObjectReader::open(value, "", &mut violations).and_then(|mut reader| {
        let transaction =
            reader.required_object("transaction", |inner| Transaction::read(inner, context));
        for name in SAMPLE_MEMBERS {
            reader.take(name);
        }
        reader.close();
        transaction
    });
    violations.into_result()?;
    transaction.ok_or_else(Violations::default)
}

fn mode(value: &Value) -> Result<Mode, String> {
    match string(value)? {
        "sync" => Ok(Mode::Sync),
        "async" => Ok(Mode::Async),
        _ => Err("must be \"sync\" or \"async\"".into()),
    }
}

fn deadline(value: &Value) -> Result<Duration, String> {
    value.as_u64().filter(|milliseconds| DEADLINE_MS.contains(milliseconds)).map_or_else(
        || {
            Err(format!(
                "must be a whole number from {} to {}",
                DEADLINE_MS.start(),
                DEADLINE_MS.end()
            ))
        },
        |milliseconds| Ok(Duration::from_millis(milliseconds)),
    )
}

fn flag(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {}", kind_of(value)))
}
