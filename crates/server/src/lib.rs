//! Weir's outer floor: HTTP, settings, telemetry, the command line, and the wiring.
//!
//! Invariants:
//! * The only crate that knows HTTP; status codes of failures live in `api_error.rs` alone.
//! * Nothing reaches the cascade unparsed, and nothing is written for a request that was
//!   refused.
//! * Everything has a bound: connections, requests, bodies, lines, deadlines, label values.
//! * Settings are checked as a whole before a socket opens.
//! * A request that was taken is answered, also while the service drains.

mod api_error;
mod app;
mod authors;
mod background;
pub mod cli;
mod connections;
mod drift;
mod following;
mod guarded_body;
mod http_metrics;
mod idempotency;
mod json_body;
mod middleware;
pub mod models;
mod ndjson;
mod offline;
mod openapi;
mod outbox;
mod policy_sync;
mod promises;
mod quality;
mod readiness;
mod request_context;
mod router;
mod routes;
mod screening_request;
pub mod settings;
mod shutdown;
mod state;
mod strict_json;
mod telemetry;
mod warming;

pub use app::{App, AppParts, BuildError};
pub use drift::DriftMonitor;
pub use outbox::Announcements;
pub use settings::Settings;
pub use shutdown::{StopError, signal};
