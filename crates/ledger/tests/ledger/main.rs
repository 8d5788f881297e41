//! The ledger on real files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appending;
mod killing;
mod labels;
mod opening;
mod reading;
mod support;
