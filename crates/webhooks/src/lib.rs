//! Tells other systems what was decided, by signed HTTP requests as
//! [Standard Webhooks](https://www.standardwebhooks.com) 1.0.0 describes them.
//!
//! What is to be sent lies in an [`Outbox`], which the caller keeps somewhere durable. The
//! [`Dispatcher`] takes from it, sends, and writes back how it went.
//!
//! What always holds:
//! - **At least once, one id.** A delivery may arrive twice; each attempt carries the same
//!   `webhook-id`, so that the receiver can tell. Nothing is forgotten by a crash: what was not
//!   written back as delivered is sent again.
//! - **No endpoint delays another.** Each has places of its own, and only as much is claimed for it
//!   as it has places.
//! - **Bounded.** Requests under way, bytes read of an answer, time, attempts.
//! - **Nowhere else.** Redirects are not followed, and no proxy is used that nobody chose.
//! - **Secrets are shown nowhere**, and neither is what an endpoint answers, because it may repeat
//!   the payload: errors tell the status alone.

mod body;
mod config;
mod dispatcher;
mod endpoint;
mod error;
mod lane;
mod metrics;
mod outbox;
mod pace;
mod plan;
mod secret;
mod sender;

pub use body::body;
pub use config::Config;
pub use dispatcher::{Dispatcher, Nudge};
pub use endpoint::{ENDPOINTS_MAX, Endpoint, NewEndpoint, check_together};
pub use error::{ConfigError, OutboxError};
pub use metrics::Metrics;
pub use outbox::{Due, Outbox};
pub use plan::{Next, Plan};
pub use secret::Secret;
pub use sender::{Message, Sender, Sent};
