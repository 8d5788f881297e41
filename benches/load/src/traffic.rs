//! What is sent, and who looks at the answers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::Uri;

/// Requests to be sent: every one is a `POST` of the next body, over and over.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// `http://host:port/path`; TLS is not spoken.
    pub url: Uri,
    /// Bodies as they go over the wire, sent in turn.
    pub bodies: Arc<[Bytes]>,
    /// The `Content-Type` of every request.
    pub content_type: String,
    /// Further headers of every request, by name and value.
    pub headers: Vec<(String, String)>,
}

/// Where to insert a suffix, so that identifiers stay unique when bodies are sent again.
///
/// Pass `p` over the bodies in run `r` inserts `-r.p`; the first pass of run 0 sends the bodies
/// as they are.
#[derive(Debug, Clone)]
pub struct UniqueIds {
    /// For each body, the offset in bytes just behind its identifier.
    pub ends: Arc<[usize]>,
    /// Distinguishes runs that follow each other against the same server.
    pub run: u32,
}

impl UniqueIds {
    /// The body with the suffix of this pass.
    pub(crate) fn apply(&self, body: &Bytes, index: usize, pass: u64) -> Bytes {
        if self.run == 0 && pass == 0 {
            return body.clone();
        }
        let end = self.ends.get(index).copied().unwrap_or(0).min(body.len());
        // Letters between the digits: a longer run of them could pass for a card number.
        let suffix = format!("-r{}p{pass}", self.run);
        let mut unique = Vec::with_capacity(body.len() + suffix.len());
        unique.extend_from_slice(&body[..end]);
        unique.extend_from_slice(suffix.as_bytes());
        unique.extend_from_slice(&body[end..]);
        unique.into()
    }
}

/// One answer, whatever its status.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Which of [`Traffic::bodies`] was sent.
    pub body_index: usize,
    /// HTTP status code.
    pub status: u16,
    /// The whole body.
    pub body: &'a Bytes,
    /// From the intended start to the last byte of the body.
    pub latency: Duration,
    /// From the actual send, on an open connection, to the last byte of the body.
    pub service: Duration,
}

/// Sees every answer to a request that was intended within the measured window; answers of the
/// warm-up are not shown. It runs on the generator's thread: whatever it spends delays requests.
pub trait Observer: Send + Sync {
    /// Called once for each answer, in the order in which answers arrive.
    fn answered(&self, answer: &Answer<'_>);
}

impl Observer for () {
    fn answered(&self, _: &Answer<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_differ_between_passes_and_between_runs() {
        let body = Bytes::from_static(b"{\"id\":\"tx\"}");
        let ids = |run| UniqueIds { ends: Arc::from([9]), run };
        assert_eq!(ids(0).apply(&body, 0, 0), body);
        assert_eq!(ids(0).apply(&body, 0, 2).as_ref(), b"{\"id\":\"tx-r0p2\"}");
        assert_eq!(ids(3).apply(&body, 0, 0).as_ref(), b"{\"id\":\"tx-r3p0\"}");
    }
}
