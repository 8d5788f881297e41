//! Where running sequences keep their keys and values, by the kind of graph.

use std::sync::Arc;

use ort::session::Session;
use ort::value::DynValue;

use super::grown::GrownRows;
use super::layout::{Kind, Layout};
use super::slab::KvSlab;

/// The rows in which sequences run. The first ones, without a gap, are what a step computes.
pub(super) enum Memory {
    /// Grouped attention: one slab, in place.
    Slab(KvSlab),
    /// Concatenating attention: a cache of its own for each row.
    Grown(GrownRows),
}

impl Memory {
    /// Room for `rows` sequences of at most `capacity` tokens.
    pub(super) fn new(layout: &Arc<Layout>, rows: usize, capacity: usize) -> ort::Result<Self> {
        match layout.kind {
            Kind::Grouped => KvSlab::new(layout, rows, capacity).map(Self::Slab),
            Kind::Concatenating => Ok(Self::Grown(GrownRows::new(layout, rows))),
        }
    }

    /// Feeds one token to each of the first rows, behind the `lengths` that they hold. Answers
    /// the logits, `[rows, vocabulary]`.
    pub(super) fn step(
        &mut self,
        session: &mut Session,
        tokens: &[u32],
        lengths: &[usize],
    ) -> ort::Result<&[f32]> {
        match self {
            Self::Slab(slab) => slab.step(session, tokens, lengths),
            Self::Grown(rows) => rows.step(session, tokens, lengths),
        }
    }

    /// Feeds several tokens to one row, behind the `length` that it holds. Answers the logits
    /// behind the last one, `[vocabulary]`.
    pub(super) fn extend(
        &mut self,
        session: &mut Session,
        row: usize,
        tokens: &[u32],
        length: usize,
    ) -> ort::Result<Vec<f32>> {
        match self {
            Self::Slab(slab) => slab.extend(session, row, tokens, length),
            Self::Grown(rows) => rows.extend(session, row, tokens, length),
        }
    }

    /// Gives row `to` the first `length` positions of row `from`, which keeps them.
    pub(super) fn copy(&mut self, from: usize, to: usize, length: usize) -> ort::Result<()> {
        match self {
            Self::Slab(slab) => {
                slab.copy(from, to, length);
                Ok(())
            }
            Self::Grown(rows) => rows.copy(from, to, length),
        }
    }
}

/// The logits behind the last of `width` tokens of the only row.
pub(super) fn last_logits(
    logits: &DynValue,
    width: usize,
    vocabulary: usize,
) -> ort::Result<Vec<f32>> {
    let (shape, logits) = logits.try_extract_tensor::<f32>()?;
    // Some exports answer only the last position.
    let given = logits.len().checked_div(vocabulary).unwrap_or(0);
    if (given != width && given != 1) || logits.len() != given * vocabulary {
        return Err(ort::Error::new(format!("the decoder answered logits of shape {shape}")));
    }
    Ok(logits[(given - 1) * vocabulary..].to_vec())
}
