//! Reads a body line by line, holding one line at a time.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
};
use bytes::BytesMut;

use crate::{
    api_error::ApiError,
    json_body::{next_chunk, require_type},
    state::AppState,
};

/// The media type of line-delimited JSON in answers.
pub(crate) const NDJSON: &str = "application/x-ndjson";
const ACCEPTED: [&str; 4] =
    [NDJSON, "application/ndjson", "application/jsonl", "application/jsonlines"];

/// One line that is not blank.
pub(crate) struct Line {
    /// From 1, blank lines counted.
    pub(crate) number: u64,
    /// Its bytes, or why it could not be read.
    pub(crate) content: Result<Bytes, ApiError>,
}

/// The lines of a body, of any number but each of bounded length.
pub(crate) struct Lines {
    body: Body,
    limit: usize,
    timeout: Duration,
    buffer: BytesMut,
    /// How much of the buffer holds no line break.
    scanned: usize,
    number: u64,
    /// The rest of an over-long line is being passed over.
    skipping: bool,
    ended: bool,
}

impl FromRequest<AppState> for Lines {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        require_type(request.headers(), |essence| ACCEPTED.contains(&essence), NDJSON)?;
        Ok(Self::new(request.into_body(), state.http.line_limit_bytes, state.body_timeout()))
    }
}

impl Lines {
    fn new(body: Body, limit: usize, timeout: Duration) -> Self {
        Self {
            body,
            limit,
            timeout,
            buffer: BytesMut::new(),
            scanned: 0,
            number: 0,
            skipping: false,
            ended: false,
        }
    }

    /// The next line; `None` at the end. A body that breaks off ends with an error.
    pub(crate) async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            match next_chunk(&mut self.body, self.timeout).await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                // The last line may lack its line break.
                Ok(None) => {
                    self.ended = true;
                    self.buffer.extend_from_slice(b"\n");
                }
                Err(error) => {
                    self.ended = true;
                    self.buffer.clear();
                    self.scanned = 0;
                    return Some(Line { number: self.number + 1, content: Err(error) });
                }
            }
        }
    }

    /// The next line that is neither blank nor the rest of an over-long one, if it is here.
    fn take_line(&mut self) -> Option<Line> {
        while let Some(end) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(self.scanned + end + 1).freeze();
            self.scanned = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            self.number += 1;
            let line = line.slice(..line.len() - 1);
            if line.len() > self.limit {
                return Some(self.too_long());
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(Line { number: self.number, content: Ok(line) });
            }
        }
        self.scanned = self.buffer.len();
        if self.skipping {
            self.buffer.clear();
            self.scanned = 0;
        } else if self.buffer.len() > self.limit {
            self.skipping = true;
            self.buffer.clear();
            self.scanned = 0;
            self.number += 1;
            return Some(self.too_long());
        }
        None
    }

    fn too_long(&self) -> Line {
        let detail = format!("the line is longer than {} bytes", self.limit);
        Line { number: self.number, content: Err(ApiError::TooLarge(detail)) }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Reads `text` cut into chunks of `size` bytes; over-long lines show as "!".
    async fn read(text: &str, size: usize, limit: usize) -> Vec<(u64, String)> {
        let chunks: Vec<_> = text
            .as_bytes()
            .chunks(size)
            .map(|chunk| Ok::<_, Infallible>(Bytes::copy_from_slice(chunk)))
            .collect();
        let body = Body::from_stream(futures::stream::iter(chunks));
        let mut lines = Lines::new(body, limit, Duration::from_secs(5));
        let mut read = Vec::new();
        while let Some(line) = lines.next().await {
            let text = line
                .content
                .map_or_else(|_| "!".to_owned(), |line| String::from_utf8(line.to_vec()).unwrap());
            read.push((line.number, text));
        }
        read
    }

    #[tokio::test]
    async fn lines_are_the_same_however_the_body_is_cut() {
        let text = "one\n\n  \ntwo and a half\nthree\r\nlast";
        let expected: Vec<_> = [(1, "one"), (4, "!"), (5, "three\r"), (6, "last")]
            .map(|(number, line)| (number, line.to_owned()))
            .into();
        for size in 1..text.len() {
            assert_eq!(read(text, size, 8).await, expected, "chunks of {size}");
        }
    }

    #[tokio::test]
    async fn an_over_long_last_line_is_reported_once() {
        assert_eq!(read("0123456789", 3, 4).await, [(1, "!".to_owned())]);
        assert_eq!(read("", 1, 4).await, []);
    }
}
