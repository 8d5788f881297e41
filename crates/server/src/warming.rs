//! Rebuilds velocity from the ledger, and keeps the two in step.

use std::time::{Duration, Instant};

use domain::{Label, Transaction, TransactionId};
use jiff::{SignedDuration, Timestamp};
use ledger::{Entry, Ledger, LedgerError, Origin, StoredTransaction};
use serde::Deserialize;
use velocity::{LabelEffect, VelocityStore};

/// The longest window is 30 days; a day more for transactions that come late.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(31 * 24);
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What a replay counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Warmed {
    pub(crate) transactions: u64,
    pub(crate) labels: u64,
    pub(crate) unreadable: u64,
    /// The last entry of the ledger when this was begun.
    pub(crate) until: i64,
}

/// Counts everything recorded within the look-back or, when nothing is, everything there is.
pub(crate) async fn warm(
    ledger: &Ledger,
    velocity: &VelocityStore,
    now: Timestamp,
) -> Result<Warmed, LedgerError> {
    let started = Instant::now();
    let recent = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
    let mut warmed = replay_since(ledger, velocity, recent).await?;
    if warmed.transactions == 0 {
        // Samples and backtests lie in a period of their own, where the clock is of no help.
        warmed = replay_since(ledger, velocity, Timestamp::MIN).await?;
    }
    let took_ms = started.elapsed().as_millis();
    let Warmed { transactions, labels, unreadable, .. } = warmed;
    tracing::info!(transactions, labels, unreadable, took_ms, "velocity is warm");
    Ok(warmed)
}

async fn replay_since(
    ledger: &Ledger,
    velocity: &VelocityStore,
    since: Timestamp,
) -> Result<Warmed, LedgerError> {
    let mut reported = Instant::now();
    let mut warmed = Warmed::default();
    let mut replay = ledger.replay_since(since).await?;
    warmed.until = replay.until();
    loop {
        let page = replay.next_page().await?;
        if page.is_empty() {
            return Ok(warmed);
        }
        for entry in page {
            replay_entry(ledger, velocity, entry, &mut warmed).await?;
        }
        if reported.elapsed() >= PROGRESS_EVERY {
            reported = Instant::now();
            tracing::info!(
                transactions = warmed.transactions,
                labels = warmed.labels,
                "warming velocity"
            );
        }
    }
}

pub(crate) async fn replay_entry(
    ledger: &Ledger,
    velocity: &VelocityStore,
    entry: Entry,
    warmed: &mut Warmed,
) -> Result<(), LedgerError> {
    match entry {
        Entry::Transaction(stored) => match read(&stored) {
            Some(transaction) => {
                velocity.observe(&transaction);
                warmed.transactions += 1;
            }
            None => warmed.unreadable += 1,
        },
        Entry::Label(stored) => {
            apply_label(ledger, velocity, &stored.transaction_id, &stored.label).await?;
            warmed.labels += 1;
        }
    }
    Ok(())
}

/// Gives velocity a label; a transaction that it has forgotten, or not seen since the start,
/// is looked up in the ledger first.
pub(crate) async fn apply_label(
    ledger: &Ledger,
    velocity: &VelocityStore,
    id: &TransactionId,
    label: &Label,
) -> Result<(), LedgerError> {
    if velocity.label(id, label) == LabelEffect::UnknownTransaction
        && let Some(stored) = ledger.transaction(id).await?
        && let Some(transaction) = read(&stored)
    {
        velocity.observe(&transaction);
        velocity.label(id, label);
    }
    Ok(())
}

/// Whether a label's transaction is known anywhere. One that only velocity knows was seen, but
/// not decided; it is labelled by the way.
pub(crate) async fn is_known(
    ledger: &Ledger,
    velocity: &VelocityStore,
    id: &TransactionId,
    label: &Label,
) -> Result<bool, LedgerError> {
    Ok(ledger.has_transaction(id).await?
        || velocity.label(id, label) != LabelEffect::UnknownTransaction)
}

/// The part of a decision's record that velocity counts.
#[derive(Deserialize)]
struct RecordedDecision {
    facts: RecordedFacts,
}

#[derive(Deserialize)]
struct RecordedFacts {
    transaction: Transaction,
}

fn read(stored: &StoredTransaction) -> Option<Transaction> {
    let read = match stored.origin {
        Origin::Decision => serde_json::from_str::<RecordedDecision>(&stored.record)
            .map(|record| record.facts.transaction),
        Origin::Event => serde_json::from_str(&stored.record),
    };
    read.inspect_err(|error| {
        tracing::error!(seq = stored.seq, %error, "a record cannot be read; velocity misses it");
    })
    .ok()
}
