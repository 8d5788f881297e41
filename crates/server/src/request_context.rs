//! What identifies a request: `x-request-id` and the W3C trace context.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::contains_card_number;
use tokio::time::Instant;
use uuid::Uuid;

/// Carries the request's identifier in and out.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const REQUEST_ID_LENGTH_MAX: usize = 128;

/// What every part of a request may want to know of it.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    /// The caller's identifier if it is sane, else one of ours. Visible ASCII.
    pub(crate) request_id: String,
    /// Where the request stands in a trace.
    pub(crate) trace: TraceContext,
    /// When its head had arrived.
    pub(crate) arrived: Instant,
}

impl RequestContext {
    pub(crate) fn new(headers: &HeaderMap, arrived: Instant) -> Self {
        let request_id = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|id| is_sane(id))
            .map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned);
        let trace = headers
            .get(TRACEPARENT)
            .and_then(|value| value.to_str().ok())
            .and_then(TraceContext::parse)
            .unwrap_or_else(TraceContext::root);
        Self { request_id, trace, arrived }
    }

    /// Puts both identifiers on a response.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, text) in [(REQUEST_ID, &self.request_id), (TRACEPARENT, &self.trace.to_header())]
        {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
    }
}

fn is_sane(id: &str) -> bool {
    (1..=REQUEST_ID_LENGTH_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic())
        && !contains_card_number(id)
}

/// A place in a trace: the caller's trace, a span of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceContext {
    /// 32 lower-case hexadecimal digits, not all zero.
    pub(crate) trace_id: String,
    /// 16 lower-case hexadecimal digits, not all zero.
    pub(crate) span_id: String,
    flags: String,
}

impl TraceContext {
    /// Joins the caller's trace with a new span; `None` when the header is not valid.
    fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace_id, parent_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let well_formed = is_hex(version, 2)
            && is_hex(trace_id, 32)
            && is_hex(parent_id, 16)
            && is_hex(flags, 2)
            && version != "ff"
            && (version != "00" || parts.next().is_none())
            && [trace_id, parent_id].iter().all(|id| id.bytes().any(|byte| byte != b'0'));
        // A trace of digits alone could smuggle a card number into every log.
        (well_formed && !contains_card_number(trace_id)).then(|| Self {
            trace_id: trace_id.to_owned(),
            span_id: new_span_id(),
            flags: flags.to_owned(),
        })
    }

    /// The first span of a new trace, not sampled.
    fn root() -> Self {
        let trace_id = Uuid::now_v7().simple().to_string();
        Self { trace_id, span_id: new_span_id(), flags: "00".into() }
    }

    fn to_header(&self) -> String {
        format!("00-{}-{}-{}", self.trace_id, self.span_id, self.flags)
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The random half of a version 7 UUID; its variant bits keep it from being zero.
fn new_span_id() -> String {
    Uuid::now_v7().simple().to_string().split_off(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_trace_is_joined_with_a_new_span() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(header).unwrap();
        assert_eq!(context.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(context.span_id, "00f067aa0ba902b7");
        assert!(context.to_header().ends_with("-01"));
    }

    #[test]
    fn invalid_traces_are_replaced() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-00000000000000004111111111111111-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad:?}");
        }
        let root = TraceContext::root();
        assert!(TraceContext::parse(&root.to_header()).is_some());
    }

    #[test]
    fn request_identifiers_that_could_do_harm_are_replaced() {
        let long = "x".repeat(129);
        for bad in ["", "a b", "4111111111111111", "é", long.as_str()] {
            assert!(!is_sane(bad), "{bad:?}");
        }
        assert!(is_sane("req-1/á".trim_end_matches('á')));
    }
}
