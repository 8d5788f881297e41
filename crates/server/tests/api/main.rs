//! The API from outside: real sockets, real ledger, models replaced by stubs.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod batch;
mod cards;
mod contract;
mod decisions;
mod drain;
mod exports;
mod helpers;
mod labels;
mod ledger_gone;
mod once;
mod overload;
mod policies;
mod promises;
mod quality;
mod screen;
