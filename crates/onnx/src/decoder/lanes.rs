//! Runs the graph over a dense slab of sequences.

use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use super::cache::KvSlab;
use super::layout::{IDS, LOGITS, Layout, MASK};

/// A slab bound to the session: the graph reads and appends in place.
pub(super) struct Lanes {
    slab: KvSlab,
    binding: IoBinding,
    mask: Tensor<i64>,
    capacity: usize,
    vocabulary: usize,
}

impl Lanes {
    pub(super) fn new(
        session: &Session,
        layout: &Layout,
        rows: usize,
        capacity: usize,
    ) -> ort::Result<Self> {
        let mut slab = KvSlab::new(layout, rows, capacity)?;
        let mut binding = session.create_binding()?;
        for (names, tensor) in layout.caches.iter().zip(slab.tensors()) {
            binding.bind_input(names.past.as_str(), tensor)?;
            binding.bind_output(names.present.as_str(), &mut *tensor)?;
        }
        let mask = Tensor::<i64>::new(session.allocator(), [rows, capacity])?;
        binding.bind_input(MASK, &mask)?;
        Ok(Self { slab, binding, mask, capacity, vocabulary: layout.vocabulary })
    }

    pub(super) fn rows(&self) -> usize {
        self.slab.rows()
    }

    pub(super) fn slab(&self) -> &KvSlab {
        &self.slab
    }

    pub(super) fn slab_mut(&mut self) -> &mut KvSlab {
        &mut self.slab
    }

    /// Feeds one token to every row. `lengths` are the tokens each row holds before.
    /// Answers the logits, `[rows, vocabulary]`.
    pub(super) fn step(
        &mut self,
        session: &mut Session,
        tokens: &[u32],
        lengths: &[usize],
    ) -> ort::Result<Vec<f32>> {
        debug_assert!(tokens.len() == self.rows() && lengths.len() == self.rows());
        self.run(session, tokens, 1, lengths, 0)
    }

    /// Feeds several tokens to the only row, behind the `length` it holds. Answers the logits
    /// behind the last one, `[vocabulary]`.
    ///
    /// Attention takes several tokens at once only for a batch of one.
    pub(super) fn extend(
        &mut self,
        session: &mut Session,
        tokens: &[u32],
        length: usize,
    ) -> ort::Result<Vec<f32>> {
        debug_assert_eq!(self.rows(), 1);
        self.run(session, tokens, tokens.len(), &[length], tokens.len() - 1)
    }

    fn run(
        &mut self,
        session: &mut Session,
        tokens: &[u32],
        width: usize,
        lengths: &[usize],
        skipped: usize,
    ) -> ort::Result<Vec<f32>> {
        self.set_mask(lengths, width)?;
        let ids: Vec<i64> = tokens.iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::from_array(([self.rows(), width], ids))?;
        self.binding.bind_input(IDS, &ids)?;
        let device = MemoryInfo::new(
            AllocationDevice::CPU,
            0,
            AllocatorType::Device,
            MemoryType::CPUOutput,
        )?;
        // Bound anew each time: a binding reuses its buffer, and the width changes.
        self.binding.bind_output_to_device(LOGITS, &device)?;
        let outputs = session.run_binding(&self.binding)?;
        let (shape, logits) = outputs[LOGITS].try_extract_tensor::<f32>()?;
        let given = shape.get(1).copied().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        // Some exports answer only the last position.
        let skipped = if given == width { skipped } else { 0 };
        let expected = self.rows() * given * self.vocabulary;
        if given == 0 || (given != width && given != 1) || logits.len() != expected {
            return Err(ort::Error::new(format!("the decoder answered logits of shape {shape}")));
        }
        Ok(logits[skipped * self.vocabulary..].to_vec())
    }

    /// The mask always has the slab's full width. Its sum per row tells attention the row's
    /// length; its width is constant, so that nothing is shaped anew from step to step.
    fn set_mask(&mut self, lengths: &[usize], width: usize) -> ort::Result<()> {
        let rows = self.mask.extract_tensor_mut().1.chunks_exact_mut(self.capacity);
        for (row, length) in rows.zip(lengths) {
            let end = length + width;
            if end > self.capacity {
                return Err(ort::Error::new("a sequence outgrew its slot"));
            }
            row[..end].fill(1);
            row[end..].fill(0);
        }
        Ok(())
    }
}
