//! Counts and sums over sliding windows in event time, per account, card, device, counterparty
//! and terminal.
//!
//! Invariants:
//! - A window is exactly `(t - w, t]` by the transactions' own timestamps, the transaction at hand
//!   left out. What arrives late is put in its place; ties keep the order of arrival.
//! - Sums are integers until the edge, so that a recount agrees to the bit. Amounts are added as
//!   given: currencies are not converted.
//! - A transaction is counted once, whatever is sent again.
//! - The same stream gives the same facts.
//! - Everything is bounded ([`Config`]); making room costs a call a few steps, never a scan.
//! - No clock is read and no guard escapes a call.
//!
//! ```
//! use domain::{ParseContext, Transaction};
//! use velocity::{Config, VelocityStore};
//!
//! let store = VelocityStore::new(Config::default(), &prometheus::Registry::new())?;
//! let now = "2026-03-01T12:00:00Z".parse()?;
//! let pay = |id: &str| {
//!     let json = serde_json::json!({
//!         "id": id, "timestamp": "2026-03-01T12:00:00Z", "amount": "12.34",
//!         "currency": "EUR", "account": {"id": "acc-1"}
//!     });
//!     Transaction::parse(&json, &ParseContext { now })
//! };
//! assert_eq!(store.observe(&pay("tx-1")?).account.h1.count, 0);
//! assert_eq!(store.observe(&pay("tx-2")?).account.h1.sum, 12.34);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod entity;
mod facts;
mod fraud;
mod habits;
mod index;
mod kind;
mod labels;
mod metrics;
mod roster;
mod store;
mod window;

pub use config::Config;
pub use facts::{
    EntityFacts, FraudFacts, LabelFacts, Novelty, RecentTransaction, VelocityFacts, WindowFacts,
};
pub use store::{LabelEffect, VelocityStore};
