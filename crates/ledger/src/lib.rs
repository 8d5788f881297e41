//! The durable record of what was decided, and of what turned out to be true.
//!
//! The only crate that knows SQL. Today the record is one SQLite file; callers see no sign
//! of it.
//!
//! What always holds:
//! - **Acknowledged means durable.** [`Ledger::append`] and its siblings return `Ok` only after
//!   a commit that was flushed to the disk: the entry survives `kill -9` and loss of power.
//! - **Append-only.** Decisions and labels are never changed or removed, and the store itself
//!   refuses to. Only events, which are observations, can be pruned.
//! - **One commit carries many.** A single writer takes whatever waits and commits it together,
//!   so the cost of a flush is shared; a lone append is never held back to wait for company.
//! - **A bad entry harms only its caller.** Its neighbours in the same commit stay.
//! - **Bounded.** A full queue refuses with [`LedgerError::Overloaded`]; pages have a maximum.
//! - **One order.** Every entry has a place (`seq`) in a single sequence over decisions, events
//!   and labels, so that a replay meets them as they came. The sequence may have gaps.
//!
//! Records and responses are opaque text here. Times are kept to the microsecond; finer
//! digits are cut off.

mod config;
mod entry;
mod error;
mod ledger;
mod metrics;
mod page;
mod sqlite;
mod writer;

pub use config::Config;
pub use entry::{
    Entry, LabelId, NewCompletion, NewDecision, NewEvent, NewLabel, Origin, StoredDecision,
    StoredLabel, StoredTransaction,
};
pub use error::LedgerError;
pub use ledger::{Ledger, Replay};
pub use metrics::LedgerMetrics;
pub use page::{Cursor, DecisionFilter, PAGE_LIMIT_MAX, Page};
