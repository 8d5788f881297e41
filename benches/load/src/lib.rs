//! Load generator for HTTP/1.1 that is free of coordinated omission.
//!
//! A generator that waits for an answer before it sends the next request is held up by the very
//! stall it should measure. Here every request has an *intended* start, set by a [`Schedule`] that
//! knows nothing of the server, and latency counts from there, whether or not the request could be
//! sent in time. (Gil Tene, "How NOT to Measure Latency"; wrk2 does the same.)
//!
//! What the generator itself adds is measured too: [`Measured::lateness`] holds how late each
//! request was taken up. A reader who finds it small can trust the rest.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use load::{Arrivals, Plan, Traffic};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let traffic = Traffic {
//!     url: "http://127.0.0.1:8080/v1/screen".parse()?,
//!     bodies: Arc::from([r#"{"transaction":{}}"#.into()]),
//!     content_type: "application/json".into(),
//!     headers: Vec::new(),
//! };
//! let plan = Plan {
//!     arrivals: Arrivals::Poisson { per_second: 100.0, seed: 1 },
//!     connections_max: 256,
//!     idle_connections: 0,
//!     warm_up: Duration::from_secs(2),
//!     duration: Duration::from_secs(10),
//!     timeout: Duration::from_secs(5),
//! };
//! let measured = load::run(&traffic, &plan, &(), &()).await?;
//! println!("{:?} at {:.0}/s", measured.quantile(0.99), measured.throughput());
//! # Ok(())
//! # }
//! ```

pub mod cli;
mod connection;
mod engine;
mod error;
mod idle;
mod measured;
mod pacer;
mod plan;
mod progress;
mod recorder;
mod report;
mod schedule;
mod search;
mod session;
mod traffic;

pub use hdrhistogram::Histogram;

pub use crate::{
    error::{Failure, LoadError},
    measured::{Measured, Second},
    plan::{Arrivals, CONNECTIONS_MAX, Plan, RATE_MAX, RUN_MAX, TIMEOUT_MAX},
    progress::{Progress, Snapshot},
    schedule::Schedule,
    search::{Search, TRIALS_MAX},
    session::{Session, run},
    traffic::{Answer, Observer, Traffic, UniqueIds},
};
