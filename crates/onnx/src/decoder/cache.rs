//! The keys and values of running sequences.

use std::ops::Range;

use ort::memory::Allocator;
use ort::value::Tensor;

use super::layout::Layout;

/// Per layer two tensors `[rows, heads, capacity, head_size]`, allocated by ONNX Runtime.
///
/// Only such tensors can be bound as input and output at once, which is what lets attention
/// append in place. The binding copies borrowed ones in silence and refuses those made from a
/// vector.
pub(super) struct KvSlab {
    shape: SlabShape,
    tensors: Vec<Tensor<f32>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SlabShape {
    rows: usize,
    heads: usize,
    capacity: usize,
    head_size: usize,
}

impl KvSlab {
    pub(super) fn new(layout: &Layout, rows: usize, capacity: usize) -> ort::Result<Self> {
        let shape = SlabShape { rows, heads: layout.heads, capacity, head_size: layout.head_size };
        let allocator = Allocator::default();
        let dimensions = [rows, shape.heads, capacity, shape.head_size];
        let mut tensors = Vec::with_capacity(layout.caches.len());
        for _ in &layout.caches {
            let mut tensor = Tensor::<f32>::new(&allocator, dimensions)?;
            // Fresh memory holds anything, a NaN too.
            tensor.extract_tensor_mut().1.fill(0.0);
            tensors.push(tensor);
        }
        Ok(Self { shape, tensors })
    }

    pub(super) fn rows(&self) -> usize {
        self.shape.rows
    }

    pub(super) fn tensors(&mut self) -> &mut [Tensor<f32>] {
        &mut self.tensors
    }

    /// Copies the positions `tokens` of one row of `from` into `row`.
    pub(super) fn copy_row(
        &mut self,
        row: usize,
        from: &Self,
        source: usize,
        tokens: Range<usize>,
    ) {
        let (to_shape, from_shape) = (self.shape, from.shape);
        for (target, origin) in self.tensors.iter_mut().zip(&from.tensors) {
            let target = target.extract_tensor_mut().1;
            let origin = origin.extract_tensor().1;
            for head in 0..to_shape.heads {
                target[to_shape.span(row, head, &tokens)]
                    .copy_from_slice(&origin[from_shape.span(source, head, &tokens)]);
            }
        }
    }
}

impl SlabShape {
    /// Where the positions `tokens` of one head of one row lie.
    fn span(&self, row: usize, head: usize, tokens: &Range<usize>) -> Range<usize> {
        debug_assert!(row < self.rows && head < self.heads && tokens.end <= self.capacity);
        let base = (row * self.heads + head) * self.capacity;
        (base + tokens.start) * self.head_size..(base + tokens.end) * self.head_size
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn spans_of_different_rows_and_heads_never_overlap_and_stay_inside(
            rows in 1usize..5, heads in 1usize..4, capacity in 1usize..20, head_size in 1usize..9,
        ) {
            let shape = SlabShape { rows, heads, capacity, head_size };
            let mut covered = vec![0u8; rows * heads * capacity * head_size];
            for row in 0..rows {
                for head in 0..heads {
                    covered[shape.span(row, head, &(0..capacity))].iter_mut().for_each(|n| *n += 1);
                }
            }
            prop_assert!(covered.iter().all(|n| *n == 1));
        }
    }
}
