//! The policy from outside: documents in, assessments and conclusions out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod documents;
mod hostile;
mod outcomes;
mod rules;
mod support;
