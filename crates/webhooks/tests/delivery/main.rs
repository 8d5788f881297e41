//! Deliveries over real sockets, to endpoints that behave and misbehave.

#![allow(clippy::unwrap_used)]

mod attempts;
mod dispatching;
mod isolation;
mod memory;
mod receiver;
mod signatures;
