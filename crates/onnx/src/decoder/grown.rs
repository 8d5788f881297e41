//! Caches of graphs that concatenate: each run takes the past and gives a longer present.
//!
//! Slower than the slab: the whole cache is copied at every step, and rows of different lengths
//! cannot share a run, so that each is a run of its own. What a row computes therefore depends on
//! nothing but itself.

use std::sync::Arc;

use ort::memory::Allocator;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor};

use super::layout::{IDS, LOGITS, Layout, MASK, POSITIONS};
use super::memory::last_logits;

/// Rows of key and value tensors `[1, heads, length, head_size]`.
pub(super) struct GrownRows {
    layout: Arc<Layout>,
    /// Empty until the row has been fed.
    rows: Vec<Vec<DynValue>>,
    logits: Vec<f32>,
}

impl GrownRows {
    pub(super) fn new(layout: &Arc<Layout>, rows: usize) -> Self {
        let rows = (0..rows).map(|_| Vec::new()).collect();
        Self { layout: Arc::clone(layout), rows, logits: Vec::new() }
    }

    /// Feeds one token to each of the first rows. Answers the logits, `[rows, vocabulary]`.
    pub(super) fn step(
        &mut self,
        session: &mut Session,
        tokens: &[u32],
        lengths: &[usize],
    ) -> ort::Result<&[f32]> {
        self.logits.clear();
        for (row, (token, length)) in tokens.iter().zip(lengths).enumerate() {
            let logits = self.extend(session, row, &[*token], *length)?;
            self.logits.extend(logits);
        }
        Ok(&self.logits)
    }

    /// Feeds several tokens to one row. Answers the logits behind the last one.
    pub(super) fn extend(
        &mut self,
        session: &mut Session,
        row: usize,
        tokens: &[u32],
        length: usize,
    ) -> ort::Result<Vec<f32>> {
        let past = std::mem::take(&mut self.rows[row]);
        let past = if length == 0 || past.is_empty() { self.nothing()? } else { past };
        let mut inputs = vec![
            (IDS, integers(tokens.iter().map(|id| i64::from(*id)))?),
            (MASK, integers(std::iter::repeat_n(1, length + tokens.len()))?),
        ];
        if self.layout.positions {
            let positions = (length..length + tokens.len()).map(|at| at as i64);
            inputs.push((POSITIONS, integers(positions)?));
        }
        let pasts = self.layout.caches.iter().map(|names| names.past.as_str()).zip(past);
        inputs.extend(pasts.map(|(name, value)| (name, SessionInputValue::from(value))));
        let mut outputs = session.run(inputs)?;
        let presents = self.layout.caches.iter().map(|names| outputs.remove(&names.present));
        let missing = || ort::Error::new("the decoder gave no cache");
        self.rows[row] = presents.collect::<Option<Vec<_>>>().ok_or_else(missing)?;
        last_logits(&outputs[LOGITS], tokens.len(), self.layout.vocabulary)
    }

    /// Gives row `to` the first `length` positions of row `from`, which keeps them.
    pub(super) fn copy(&mut self, from: usize, to: usize, length: usize) -> ort::Result<()> {
        if from == to {
            return Ok(());
        }
        let Layout { heads, head_size, .. } = *self.layout;
        let allocator = Allocator::default();
        let mut copies = Vec::with_capacity(self.rows[from].len());
        for value in &self.rows[from] {
            let (shape, data) = value.try_extract_tensor::<f32>()?;
            let held = shape.get(2).and_then(|held| usize::try_from(*held).ok()).unwrap_or(0);
            let kept = length.min(held) * head_size;
            let mut copy = Tensor::<f32>::new(&allocator, [1, heads, length.min(held), head_size])?;
            let target = copy.extract_tensor_mut().1.chunks_exact_mut(kept.max(1));
            for (to, from) in target.zip(data.chunks_exact((held * head_size).max(1))) {
                to.copy_from_slice(&from[..kept]);
            }
            copies.push(copy.into_dyn());
        }
        self.rows[to] = copies;
        Ok(())
    }

    /// A past of length zero for each cache.
    fn nothing(&self) -> ort::Result<Vec<DynValue>> {
        let Layout { heads, head_size, .. } = *self.layout;
        let allocator = Allocator::default();
        let empty = |_| Tensor::<f32>::new(&allocator, [1, heads, 0, head_size]);
        self.layout.caches.iter().map(empty).map(|tensor| Ok(tensor?.into_dyn())).collect()
    }
}

fn integers(values: impl Iterator<Item = i64>) -> ort::Result<SessionInputValue<'static>> {
    let values: Vec<i64> = values.collect();
    Ok(Tensor::from_array(([1, values.len()], values))?.into())
}
