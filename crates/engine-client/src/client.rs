//! Asking the engine.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    breaker::{Breaker, Outcome},
    config::Config,
    error::{ClientError, ConfigError},
    form::Request,
    metrics::Metrics,
    probe::Capabilities,
    retry::{Failure, Next, next},
    shared::{Begun, Shared, Ticket},
    transport::Transport,
    verdict::Choice,
    wire::Usage,
};

/// Until when an answer is of use. Nothing starts, waits or is repeated past these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For the verdict, waiting and repeats included.
    pub verdict: Instant,
    /// For the rest of the report.
    pub rest: Instant,
}

impl Deadlines {
    /// The same deadline for both.
    #[must_use]
    pub fn both(at: Instant) -> Self {
        Self { verdict: at, rest: at }
    }
}

/// A client of one engine; clones share its places, breaker and metrics.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

impl Client {
    /// Checks the settings and registers the metrics, see [`Metrics::register`]. Opens no
    /// connection: an engine that is down is met by the first request, or by [`Client::probe`].
    ///
    /// # Errors
    /// When a setting makes no sense, or the registry holds one of the metrics already.
    pub fn new(config: Config, registry: &Registry) -> Result<Self, ConfigError> {
        config.check()?;
        Self::with_metrics(config, Metrics::register(registry)?)
    }

    /// The same with metrics that are registered already.
    ///
    /// # Errors
    /// When a setting makes no sense.
    pub fn with_metrics(config: Config, metrics: Metrics) -> Result<Self, ConfigError> {
        config.check()?;
        let transport = Transport::new(&config)?;
        let breaker = Breaker::new(config.breaker.clone(), Instant::now().into_std());
        let places = config.max_concurrency;
        let shared = Shared {
            transport,
            metrics,
            breaker: Mutex::new(breaker),
            profile: Mutex::new(None),
            capabilities: Mutex::new(None),
            room: Arc::new(Semaphore::new(places.saturating_add(config.max_waiting))),
            places: Arc::new(Semaphore::new(places)),
            config,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What the last [`Client::probe`] found.
    #[must_use]
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.shared.capabilities.lock().clone()
    }

    /// Asks for a report and returns at its verdict. The rest is read by [`Rest::written`];
    /// an engine that does not stream has both ready at once, within the verdict's deadline.
    /// Dropping the future, or the rest, closes the connection, on which engines stop writing.
    ///
    /// # Errors
    /// See [`ClientError`]. Connections that fail or break before the verdict, 429, 500, 502, 503
    /// and 504 are repeated within the deadline first.
    pub async fn generate(
        &self,
        request: Request,
        deadlines: Deadlines,
    ) -> Result<Answer, ClientError> {
        let mut ticket = Ticket::new(Arc::clone(&self.shared));
        match self.begin(&mut ticket, &request, deadlines.verdict).await {
            Ok(begun) => {
                let to_verdict = ticket.started.elapsed();
                self.shared.metrics.verdict(to_verdict);
                let choice = begun.choice.clone();
                let waited = ticket.waited;
                let rest = Rest { begun, ticket, request, deadline: deadlines.rest };
                Ok(Answer { choice, waited, to_verdict, rest })
            }
            Err(error) => {
                ticket.settle(Err(&error));
                Err(error)
            }
        }
    }

    async fn begin(
        &self,
        ticket: &mut Ticket,
        request: &Request,
        deadline: Instant,
    ) -> Result<Begun, ClientError> {
        // While the circuit is open nobody queues behind requests that hang.
        let open_for = self.shared.breaker.lock().open_for(Instant::now().into_std());
        if let Some(retry_after) = open_for {
            return Err(ClientError::Unavailable { retry_after });
        }
        ticket.enter(deadline).await?;
        let mut tried = 0;
        loop {
            tried += 1;
            let failure = match self.shared.attempt(request, deadline).await {
                Ok(begun) => return Ok(begun),
                Err(failure) => failure,
            };
            tracing::debug!(tried, ?failure, "an attempt at the engine failed");
            let left = deadline.saturating_duration_since(Instant::now());
            match next(failure, tried, left, &self.shared.config, rand::random()) {
                Next::Give(error) => return Err(error),
                Next::Retry { after, reason } => {
                    self.shared.metrics.retried(reason);
                    sleep(after).await;
                }
            }
        }
    }
}

/// An answer at its verdict.
#[derive(Debug)]
pub struct Answer {
    /// The verdict. It is the engine's word before the report was checked as a whole.
    pub choice: Choice,
    /// From the call to the place among those under way.
    pub waited: Duration,
    /// From the call to the verdict.
    pub to_verdict: Duration,
    /// The report, which may still be being written.
    pub rest: Rest,
}

/// The rest of an answer. It owns its connection and its place; dropping it gives both up.
pub struct Rest {
    begun: Begun,
    ticket: Ticket,
    request: Request,
    deadline: Instant,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rest")
    }
}

/// A whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// JSON that follows the schema and states the verdict announced.
    pub text: String,
    /// How many tokens it took, when the engine says.
    pub usage: Option<Usage>,
    /// From the call to the end.
    pub elapsed: Duration,
}

impl Rest {
    /// Reads the report to its end and checks it. Never repeated: the verdict is out.
    ///
    /// # Errors
    /// [`ClientError::Deadline`], [`ClientError::Malformed`] when the whole breaks the schema, or
    /// [`ClientError::Failed`] when the connection breaks.
    pub async fn written(mut self) -> Result<Written, ClientError> {
        let form = &self.request.form;
        let reading = self.begun.reply.rest(form, &self.begun.choice.word);
        let read = timeout_at(self.deadline, reading).await;
        let since = self.begun.since;
        let read = read.unwrap_or_else(|_| Err(Failure::TimedOut { after: since.elapsed() }));
        match read {
            Ok(()) => {
                self.begun.passage.record(Outcome::Success);
                self.ticket.settle(Ok(()));
                Ok(Written {
                    text: std::mem::take(&mut self.begun.reply.text),
                    usage: self.begun.reply.usage,
                    elapsed: self.ticket.started.elapsed(),
                })
            }
            Err(failure) => {
                let config = &self.ticket.shared.config;
                self.begun.passage.record(failure.outcome(config.breaker.patience));
                let error = failure.error(config.overload_retry_after);
                self.ticket.settle(Err(&error));
                Err(error)
            }
        }
    }
}
