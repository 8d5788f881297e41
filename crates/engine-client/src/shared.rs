//! What all requests of a client share, and the guards that give it back.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    body::Profile,
    breaker::{Breaker, Outcome, Pass},
    config::Config,
    error::ClientError,
    form::Request,
    metrics::Metrics,
    probe::Capabilities,
    reply::Reply,
    retry::Failure,
    transport::Transport,
    verdict::Choice,
};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) transport: Transport,
    pub(crate) metrics: Metrics,
    pub(crate) breaker: Mutex<Breaker>,
    /// What is known about the engine; empty until it was first reached.
    pub(crate) profile: Mutex<Option<Profile>>,
    pub(crate) capabilities: Mutex<Option<Capabilities>>,
    /// One permit for each request under way or waiting.
    pub(crate) room: Arc<Semaphore>,
    /// One permit for each request under way.
    pub(crate) places: Arc<Semaphore>,
}

/// An answer up to its verdict, still being written.
pub(crate) struct Begun {
    pub(crate) choice: Choice,
    pub(crate) reply: Reply,
    pub(crate) passage: Passage,
    pub(crate) since: Instant,
}

impl Shared {
    /// Sends a request once and reads up to the verdict.
    pub(crate) async fn attempt(
        self: &Arc<Self>,
        request: &Request,
        deadline: Instant,
    ) -> Result<Begun, Failure> {
        let since = Instant::now();
        if since >= deadline {
            return Err(Failure::TimedOut { after: Duration::ZERO });
        }
        let mut passage = self.admit()?;
        let asked = timeout_at(deadline, self.ask(request)).await;
        let asked = asked.unwrap_or_else(|_| Err(Failure::TimedOut { after: since.elapsed() }));
        match asked {
            Ok((choice, reply)) => {
                // From here on a caller may leave, and the engine has shown that it works.
                passage.if_dropped = Outcome::Success;
                Ok(Begun { choice, reply, passage, since })
            }
            Err(failure) => {
                passage.record(failure.outcome(self.config.breaker.patience));
                Err(failure)
            }
        }
    }

    async fn ask(&self, request: &Request) -> Result<(Choice, Reply), Failure> {
        let profile = self.profile().await?;
        let body = profile.body(&self.config, request);
        let path = self.config.endpoint.path();
        let opened = self.transport.post(path, &body, &request.prompt).await;
        if matches!(opened, Err(Failure::Status { code: 404, .. }))
            && self.config.model.is_none()
            && self.capabilities.lock().is_none()
        {
            // The engine may serve another model by now: look again next time. Not where a probe
            // has told the caller which model answers; then only another probe may change it.
            *self.profile.lock() = None;
        }
        let mut reply = Reply::new(opened?, request.prompt.clone());
        let choice = reply.verdict(&request.form).await?;
        Ok((choice, reply))
    }

    async fn profile(&self) -> Result<Profile, Failure> {
        if let Some(profile) = self.profile.lock().clone() {
            return Ok(profile);
        }
        let (model, dialect) = self.discover().await?;
        let profile = Profile::expected(model, dialect, &self.config);
        *self.profile.lock() = Some(profile.clone());
        Ok(profile)
    }

    fn admit(self: &Arc<Self>) -> Result<Passage, Failure> {
        let mut breaker = self.breaker.lock();
        let pass = breaker.admit(Instant::now().into_std());
        self.metrics.breaker(breaker.state());
        let pass = pass.map_err(Failure::BreakerOpen)?;
        let shared = Arc::clone(self);
        Ok(Passage { shared, pass: Some(pass), if_dropped: Outcome::Ignored })
    }
}

/// The breaker's leave; its outcome is recorded exactly once, at the latest when dropped.
pub(crate) struct Passage {
    shared: Arc<Shared>,
    pass: Option<Pass>,
    if_dropped: Outcome,
}

impl Passage {
    pub(crate) fn record(&mut self, outcome: Outcome) {
        if let Some(pass) = self.pass.take() {
            let mut breaker = self.shared.breaker.lock();
            breaker.record(pass, outcome, Instant::now().into_std());
            self.shared.metrics.breaker(breaker.state());
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.record(self.if_dropped);
    }
}

/// One request's places and its line in the metrics, counted exactly once.
pub(crate) struct Ticket {
    pub(crate) shared: Arc<Shared>,
    pub(crate) started: Instant,
    /// From the call to the place.
    pub(crate) waited: Duration,
    permits: Option<[OwnedSemaphorePermit; 2]>,
    settled: bool,
}

impl Ticket {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            started: Instant::now(),
            waited: Duration::ZERO,
            permits: None,
            settled: false,
        }
    }

    /// Waits for a place: in order, up to the deadline, and not at all when too many wait.
    pub(crate) async fn enter(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let full =
            || ClientError::Overloaded { retry_after: self.shared.config.overload_retry_after };
        let room = Arc::clone(&self.shared.room).try_acquire_owned().map_err(|_| full())?;
        let place = timeout_at(deadline, Arc::clone(&self.shared.places).acquire_owned()).await;
        let place = place.map_err(|_| ClientError::Deadline)?.map_err(|_| full())?;
        self.permits = Some([room, place]);
        self.waited = self.started.elapsed();
        self.shared.metrics.in_flight.inc();
        Ok(())
    }

    /// Counts how the request ended.
    pub(crate) fn settle(&mut self, result: Result<(), &ClientError>) {
        self.settled = true;
        match result {
            Ok(()) => self.shared.metrics.finished(self.started.elapsed()),
            Err(error) => self.shared.metrics.failed(error),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.permits.is_some() {
            self.shared.metrics.in_flight.dec();
        }
        if !self.settled {
            self.shared.metrics.cancelled();
        }
    }
}
