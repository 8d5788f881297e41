//! The graph alone: what a decoder costs without grammar, choice or schedule. For measurements.

use batching::ModelError;
use ort::session::Session;

use super::Decoder;
use super::memory::Memory;

/// A decoder's graph over rows of key and value caches, driven by hand.
pub struct BareDecoder {
    session: Session,
    memory: Memory,
}

impl BareDecoder {
    pub(super) fn new(decoder: Decoder) -> Self {
        let Decoder { session, memory, .. } = decoder;
        Self { session, memory }
    }

    /// Feeds tokens to one row, behind the `length` that it holds.
    ///
    /// # Errors
    /// When the graph fails.
    pub fn extend(&mut self, row: usize, tokens: &[u32], length: usize) -> Result<(), ModelError> {
        let extended = self.memory.extend(&mut self.session, row, tokens, length);
        extended.map(|_| ()).map_err(|error| ModelError(error.to_string()))
    }

    /// Feeds one token to each of the first rows, behind the `lengths` that they hold.
    ///
    /// # Errors
    /// When the graph fails.
    pub fn step(&mut self, tokens: &[u32], lengths: &[usize]) -> Result<(), ModelError> {
        let stepped = self.memory.step(&mut self.session, tokens, lengths);
        stepped.map(|_| ()).map_err(|error| ModelError(error.to_string()))
    }
}
