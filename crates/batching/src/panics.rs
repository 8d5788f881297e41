//! Turns a panic inside a model into an error, so that its thread lives on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::model::ModelError;

/// Runs `call` on a model; `operation` names it in the log.
pub(crate) fn guarded<T>(operation: &str, call: impl FnOnce() -> T) -> Result<T, ModelError> {
    // The model may be left half-changed. It is reached again only through its own methods,
    // and an implementor that cannot go on answers errors from then on.
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let message = panic_message(payload.as_ref());
        tracing::error!(operation, message, "the model panicked");
        ModelError(format!("the model panicked in {operation}: {message}"))
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
