//! An answer as it arrives: piece by piece, or whole.

use std::{pin::Pin, time::Duration};

use futures::{Stream, StreamExt};
use sse_stream::{Sse, SseByteStream};
use tokio::time::timeout;

use crate::{
    form::Form,
    redact::presentable,
    retry::Failure,
    transport::{Body, BodyError, Opened, collect},
    verdict::{Choice, Search, Token, log_probs, search},
    wire::{Piece, Usage, complaint, read},
};

/// How long to wait, after the engine said that it finished, for the usage and the stream's end.
const LINGER: Duration = Duration::from_millis(250);

type Events = Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>;

enum Source {
    Events(Events),
    Whole(Body),
    Ended,
}

/// What has been read of an answer. Dropping it closes the connection.
pub(crate) struct Reply {
    source: Source,
    /// What no error may repeat.
    prompt: String,
    pub(crate) streamed: bool,
    pub(crate) text: String,
    /// How many pieces the text came in.
    pub(crate) pieces: usize,
    pub(crate) tokens: Vec<Token>,
    pub(crate) finish: Option<String>,
    pub(crate) usage: Option<Usage>,
    keep_tokens: bool,
    /// The stream said that it is over.
    done: bool,
}

impl Reply {
    pub(crate) fn new(opened: Opened, prompt: String) -> Self {
        let source = if opened.is_event_stream {
            Source::Events(Box::pin(SseByteStream::new(opened.body)))
        } else {
            Source::Whole(opened.body)
        };
        Self {
            streamed: opened.is_event_stream,
            source,
            prompt,
            text: String::new(),
            pieces: 0,
            tokens: Vec::new(),
            finish: None,
            usage: None,
            keep_tokens: true,
            done: false,
        }
    }

    /// Reads until the verdict is known.
    pub(crate) async fn verdict(&mut self, form: &Form) -> Result<Choice, Failure> {
        loop {
            match search(form, self.text.as_bytes()) {
                Search::Found(index) => return Ok(self.chosen(form, index)),
                Search::Absent => {
                    return Err(Failure::Malformed("it does not begin with a verdict".into()));
                }
                Search::Pending => {}
            }
            if !self.more().await? {
                return Err(self.ended("before its verdict"));
            }
        }
    }

    /// Reads to the end and checks the whole.
    pub(crate) async fn rest(&mut self, form: &Form, word: &str) -> Result<(), Failure> {
        loop {
            let more = if self.finish.is_some() {
                // The answer is complete, so a stream that stays open or breaks here does no harm.
                matches!(timeout(LINGER, self.more()).await, Ok(Ok(true)))
            } else {
                self.more().await?
            };
            if !more {
                break;
            }
        }
        match form.check(&self.text, word) {
            Ok(()) => Ok(()),
            Err(_) if self.broke_off() || self.finish.as_deref() == Some("length") => {
                Err(self.ended("before its end"))
            }
            Err(detail) => Err(Failure::Malformed(detail)),
        }
    }

    /// Reads to the end without looking at what it is.
    pub(crate) async fn drain(&mut self) -> Result<(), Failure> {
        while self.finish.is_none() && self.more().await? {}
        if self.broke_off() && self.text.is_empty() { Err(self.ended("at once")) } else { Ok(()) }
    }

    fn chosen(&mut self, form: &Form, index: usize) -> Choice {
        self.keep_tokens = false;
        let tokens = std::mem::take(&mut self.tokens);
        let spelt: Vec<u8> = tokens.iter().flat_map(|token| &token.bytes).copied().collect();
        // Tokens that spell something else than the text say nothing about it.
        let same = search(form, &spelt) == Search::Found(index);
        let log_probs = if same { log_probs(form, &tokens) } else { None };
        Choice { word: form.choices()[index].clone(), log_probs }
    }

    /// A stream that stops without a word was given up by its engine, as when it is shut down or
    /// turns to another request; that is no fault of the answer.
    fn broke_off(&self) -> bool {
        self.streamed && self.finish.is_none() && !self.done
    }

    fn ended(&self, place: &str) -> Failure {
        if self.broke_off() {
            return Failure::Reset(format!("the stream broke off {place}"));
        }
        Failure::Malformed(match self.finish.as_deref() {
            Some("length") => format!("it was cut at the token limit {place}"),
            Some("content_filter") => format!("the engine's content filter stopped it {place}"),
            _ => format!("it ends {place}"),
        })
    }

    /// Reads one more piece; false at the end.
    async fn more(&mut self) -> Result<bool, Failure> {
        let data = match &mut self.source {
            Source::Ended => return Ok(false),
            Source::Whole(body) => {
                let data = collect(body).await.map_err(broken)?;
                self.source = Source::Ended;
                data
            }
            Source::Events(events) => {
                let Some(event) = events.next().await else {
                    self.source = Source::Ended;
                    return Ok(false);
                };
                match event.map_err(unreadable)?.data {
                    None => return Ok(true),
                    Some(data) if data.trim() == "[DONE]" => {
                        // A connection is used again only once its body was read to the end.
                        let _ = timeout(LINGER, events.next()).await;
                        self.source = Source::Ended;
                        self.done = true;
                        return Ok(false);
                    }
                    Some(data) => data.into_bytes(),
                }
            }
        };
        let piece = read(&data).map_err(Failure::Malformed)?;
        self.add(piece)?;
        Ok(true)
    }

    fn add(&mut self, piece: Piece) -> Result<(), Failure> {
        if let Some(error) = piece.error.filter(|error| !error.is_null()) {
            let text = complaint(&error).unwrap_or("an error without a message");
            return Err(Failure::Complaint(presentable(text, &self.prompt)));
        }
        self.pieces += usize::from(!piece.text.is_empty());
        self.text.push_str(&piece.text);
        if self.keep_tokens {
            self.tokens.extend(piece.tokens);
        }
        self.finish = piece.finish.or(self.finish.take());
        self.usage = piece.usage.or(self.usage);
        Ok(())
    }
}

fn broken(error: BodyError) -> Failure {
    match error {
        BodyError::TooLong(_) => Failure::Malformed(error.to_string()),
        BodyError::Broken(detail) => Failure::Reset(format!("the connection broke: {detail}")),
    }
}

fn unreadable(error: sse_stream::Error) -> Failure {
    match error {
        sse_stream::Error::Body(inner) => match inner.downcast::<BodyError>() {
            Ok(inner) => broken(*inner),
            Err(other) => Failure::Reset(other.to_string()),
        },
        sse_stream::Error::Utf8Parse(_) | sse_stream::Error::UnknownField | _ => {
            Failure::Malformed("it is not an event stream".into())
        }
    }
}
