//! What is owed, and who is at it.

use std::time::Instant;

use domain::DecisionId;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Inner, Ledger};
use crate::{
    Backlog, Delivery, DeliveryState, IdempotencyKey, LedgerError, Page, PageRequest, PendingWork,
    Reservation,
    reservations::{RETRY_AFTER, Taken},
    sql::failure,
    store::{KEYS_CHUNK, WorkRequest, parse_claim, parse_delivery, run_work},
    writer::{Answer, Write, Written},
};

/// The most claimed at once.
const CLAIM_MAX: usize = 1000;

impl Ledger {
    /// Reserves a key for one attempt to answer a request. Who gets it must settle it by
    /// appending a decision, or [`release`](Self::release) it; a key that was forgotten becomes
    /// free after ten minutes, or when its holder is gone.
    ///
    /// # Errors
    /// `Overloaded`, `Unavailable`, `Corrupt`, `Closed`.
    pub async fn reserve(&self, key: &IdempotencyKey) -> Result<Reservation, LedgerError> {
        self.inner.metrics.counted(self.inner.reserve(key).await)
    }

    /// Frees a key that this instance reserved and did not settle. Harmless otherwise.
    ///
    /// # Errors
    /// `Unavailable`, `Closed`; the key becomes free when its lease ends.
    pub async fn release(&self, key: &IdempotencyKey) -> Result<(), LedgerError> {
        self.inner.reservations.release(key);
        if self.inner.place.is_shared() {
            self.work(WorkRequest::Release(key.clone())).await?;
        }
        Ok(())
    }

    /// Takes up to `limit` promises that nobody holds, oldest first: made by an instance that is
    /// gone, or given back. They are this instance's until [`renew`](Self::renew) was not called
    /// for the length of a lease.
    ///
    /// # Errors
    /// `Overloaded`, `Unavailable`, `Corrupt`, `Closed`.
    pub async fn claim(&self, limit: usize) -> Result<Vec<PendingWork>, LedgerError> {
        let limit = limit.min(CLAIM_MAX);
        let claimed = self.work(WorkRequest::Claim { limit }).await?.rows();
        let mut work = Vec::with_capacity(claimed.len());
        for row in claimed {
            let claim = self.inner.metrics.counted(parse_claim(row))?;
            // Erased since: then nothing is owed any more.
            let Some(decision) = self.decision(claim.decision_id).await? else { continue };
            if !decision.is_erased() && decision.promised.is_some() {
                work.push(PendingWork {
                    decision,
                    promise: claim.promise,
                    promised_at: claim.promised_at,
                    attempts: claim.attempts,
                });
            }
        }
        // Only now that all of it is handed out: of what is not, the lease runs out.
        self.inner.held.take(work.iter().map(|work| work.decision.decision_id));
        Ok(work)
    }

    /// Extends the leases on promises and keys that this instance holds. Deliveries are not
    /// renewed: a claim lasts three minutes.
    ///
    /// # Errors
    /// `Overloaded`, `Unavailable`, `Closed`.
    pub async fn renew(&self) -> Result<(), LedgerError> {
        self.work(WorkRequest::Renew(self.inner.held.all())).await.map(|_| ())
    }

    /// Lets others take these promises at once.
    ///
    /// # Errors
    /// As for [`Self::renew`].
    pub async fn give_back(&self, ids: &[DecisionId]) -> Result<(), LedgerError> {
        // Before asking: if this fails, the leases run out.
        self.inner.held.let_go(ids);
        self.work(WorkRequest::GiveBack(ids.to_vec())).await.map(|_| ())
    }

    /// How much is owed.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn pending(&self) -> Result<Backlog, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.backlog().await)
    }

    /// Takes up to `limit` deliveries to this endpoint whose time has come and that nobody holds.
    /// They are this instance's for three minutes; each must end with [`delivered`](Self::delivered) or
    /// [`undelivered`](Self::undelivered). A message may be delivered twice.
    ///
    /// # Errors
    /// As for [`Self::claim`].
    pub async fn claim_deliveries(
        &self,
        endpoint: &str,
        limit: usize,
    ) -> Result<Vec<Delivery>, LedgerError> {
        let limit = limit.min(CLAIM_MAX);
        let claimed = self
            .work(WorkRequest::ClaimDeliveries { endpoint: endpoint.to_owned(), limit })
            .await?
            .rows();
        let deliveries = claimed.into_iter().map(parse_delivery).collect();
        self.inner.metrics.counted(deliveries)
    }

    /// Forgets a delivery that succeeded.
    ///
    /// # Errors
    /// As for [`Self::renew`].
    pub async fn delivered(&self, id: Uuid) -> Result<(), LedgerError> {
        self.work(WorkRequest::Delivered(id)).await.map(|_| ())
    }

    /// Notes that a delivery failed, and when to try again; never again makes it a dead letter,
    /// which stays until it is revived or retention takes it.
    ///
    /// # Errors
    /// As for [`Self::renew`].
    pub async fn undelivered(
        &self,
        id: Uuid,
        error: String,
        next_attempt_at: Option<Timestamp>,
    ) -> Result<(), LedgerError> {
        self.work(WorkRequest::Undelivered { id, error, next_attempt_at }).await.map(|_| ())
    }

    /// How many deliveries are neither delivered nor given up.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn deliveries_waiting(&self) -> Result<u64, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.deliveries_waiting().await)
    }

    /// A page of deliveries, oldest first.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn deliveries(
        &self,
        state: DeliveryState,
        page: PageRequest,
    ) -> Result<Page<Delivery>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.deliveries(state, page).await)
    }

    /// Tries a dead letter again, now; false when there is none of this name.
    ///
    /// # Errors
    /// As for [`Self::renew`].
    pub async fn revive(&self, id: Uuid) -> Result<bool, LedgerError> {
        self.work(WorkRequest::Revive(id)).await.map(|answer| answer.number() > 0)
    }

    /// Gives back all that this instance holds.
    ///
    /// # Errors
    /// As for [`Self::renew`].
    pub async fn give_back_all(&self) -> Result<(), LedgerError> {
        self.inner.held.let_go_of_all();
        self.work(WorkRequest::GiveBackAll).await.map(|_| ())
    }

    /// Forgets keys whose life is over; returns how many. To be called now and then.
    ///
    /// # Errors
    /// As for [`Self::renew`].
    pub async fn prune_keys(&self) -> Result<u64, LedgerError> {
        let mut pruned = 0;
        loop {
            let count = self.work(WorkRequest::PruneKeys).await?.number();
            pruned += count.unsigned_abs();
            if count < KEYS_CHUNK {
                return Ok(pruned);
            }
        }
    }

    async fn work(&self, request: WorkRequest) -> Result<Answer, LedgerError> {
        self.inner.metrics.counted(self.inner.work(request).await)
    }
}

impl Inner {
    async fn work(&self, request: WorkRequest) -> Written {
        match self.place.workers() {
            None => self.write(Write::Work(request)).await,
            Some(mut workers) => {
                let done = run_work(&mut workers, &request, &self.context).await;
                done.map_err(|error| failure("do this", error))
            }
        }
    }

    async fn reserve(&self, key: &IdempotencyKey) -> Result<Reservation, LedgerError> {
        match self.reservations.take(key, Instant::now()) {
            Taken::Free => {}
            Taken::InFlight => return Ok(Reservation::InFlight),
            Taken::Mismatch => return Ok(Reservation::Mismatch),
            Taken::Full => return Err(LedgerError::Overloaded { retry_after: RETRY_AFTER }),
        }
        let settled = self.settled(key).await;
        let settled = match settled {
            // Other instances must see it too.
            Ok(Reservation::Reserved) if self.place.is_shared() => self.reserve_row(key).await,
            other => other,
        };
        if !matches!(settled, Ok(Reservation::Reserved)) {
            self.reservations.release(key);
        }
        settled
    }

    async fn reserve_row(&self, key: &IdempotencyKey) -> Result<Reservation, LedgerError> {
        let reserved = self.work(WorkRequest::Reserve(key.clone())).await?.number() > 0;
        if reserved { Ok(Reservation::Reserved) } else { self.settled(key).await.map(in_flight) }
    }

    /// What a key stands for that nobody is at; `Reserved` when for nothing.
    async fn settled(&self, key: &IdempotencyKey) -> Result<Reservation, LedgerError> {
        let settled = self.reader.key(key, self.context.instance).await?;
        let Some(settled) = settled else { return Ok(Reservation::Reserved) };
        if settled.fingerprint != key.fingerprint {
            return Ok(Reservation::Mismatch);
        }
        let Some(id) = settled.decision_id else { return Ok(Reservation::InFlight) };
        let decision = self.reader.decision(id).await?;
        // Removed by retention, and its key with it a moment later.
        Ok(decision.map_or(Reservation::Reserved, |found| Reservation::Answered(Box::new(found))))
    }
}

/// A key that could not be reserved is somebody's, also when it came free a moment later.
fn in_flight(reservation: Reservation) -> Reservation {
    if reservation == Reservation::Reserved { Reservation::InFlight } else { reservation }
}
