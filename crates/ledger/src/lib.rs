//! The durable record of what was decided, and of what turned out to be true.
//!
//! The only crate that knows SQL. The record is one SQLite file, or a PostgreSQL database that
//! several instances share; callers see no sign of it.
//!
//! What always holds:
//! - **Acknowledged means durable.** [`Ledger::append`] and its siblings return `Ok` only after
//!   a commit that was flushed to the disk: the entry survives `kill -9` and loss of power.
//! - **Append-only.** Entries are never changed, and the store itself refuses to. Erasure
//!   removes what is personal, retention removes the oldest entries; both leave an entry that
//!   says so. Only events, which are observations, can be pruned.
//! - **Chained.** Each entry's hash covers the entry before it, so [`Ledger::verify`] finds what
//!   was changed, removed or moved.
//! - **One commit carries many.** A single writer takes whatever waits and commits it together,
//!   so the cost of a flush is shared; a lone append is never held back to wait for company.
//! - **A bad entry harms only its caller.** Its neighbours in the same commit stay.
//! - **What is promised is kept.** What a decision owes is recorded with it. It belongs to one
//!   instance while that lives, then to whoever claims it, and is finished exactly once.
//! - **Bounded.** A full queue refuses with [`LedgerError::Overloaded`]; pages have a maximum.
//! - **One order.** Every entry has a place (`seq`) in a single sequence, so that a replay meets
//!   them as they came. The sequence may have gaps.
//!
//! Records and responses are opaque text here. Times are kept to the microsecond; finer
//! digits are cut off.

#![allow(
    clippy::useless_vec,
    reason = "`values!` makes rows, which are lists, and lists of values alike"
)]

mod beside;
mod chain;
mod config;
mod entry;
mod error;
mod held;
mod ledger;
mod metrics;
mod page;
mod postgres;
mod read;
mod reservations;
mod secret_url;
mod sql;
mod sqlite;
mod store;
mod verify;
mod work;
mod writer;

pub use beside::{NewNote, NewPolicy, NoteKind, StoredNote, StoredPolicy};
pub use config::{Config, StoreConfig};
pub use entry::{
    DecisionContent, Entry, LabelId, NewCompletion, NewDecision, NewEvent, NewLabel, Origin,
    StoredDecision, StoredLabel, StoredTransaction,
};
pub use error::LedgerError;
pub use ledger::{Erased, Ledger, OutcomeRow, Outcomes, Replay, Retained};
pub use metrics::LedgerMetrics;
pub use page::{Cursor, DecisionFilter, PAGE_LIMIT_MAX, Page, PageRequest};
pub use secret_url::SecretUrl;
pub use verify::{Fault, Verification, Verified};
pub use work::{
    Backlog, Delivery, DeliveryState, IdempotencyKey, NewDelivery, PendingWork, Promise,
    Reservation,
};
