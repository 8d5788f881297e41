//! The whole cascade on an engine behind a socket: the real tier 1 and server, and an engine that
//! misbehaves in every way, or `llama-server` itself.

#![allow(clippy::unwrap_used)]

mod coming_and_going;
mod engine;
mod misbehaving;
mod real;
mod service;
#[allow(dead_code, reason = "shared with the tests of the shipped packages, which use all of it")]
#[path = "../shipped/support.rs"]
mod support;
mod verdicts;
