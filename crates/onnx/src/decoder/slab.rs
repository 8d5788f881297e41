//! One slab of keys and values, and the windows through which the graph appends to it in place.
//!
//! The only module of the project with `unsafe` code. ONNX Runtime has no safe way to bind a part
//! of a tensor, and a binding of the whole would compute every row, also those in which nothing
//! runs.
//!
//! # Invariants
//!
//! 1. **A window lies inside its slab.** [`Shape::span`] checks the rows before a pointer is made
//!    of them; rows are contiguous, because they are the first axis.
//! 2. **A window never outlives its slab.** Windows are private, live in the slab's own struct, in
//!    a field that is dropped before the tensors, and nothing gives one away.
//! 3. **Nobody else reads or writes while the graph runs.** To run a window takes the slab
//!    exclusively, and slices of the tensors exist only inside [`KvSlab::copy`], which takes it
//!    exclusively too. The graph itself reads and writes one row per row of its batch.
//! 4. **Past and present are the same memory**, which is what makes attention append rather than
//!    copy. Both are bound to one value; a window's first run compares the addresses of what came
//!    out with those of the slab, and is an error if they differ.
#![allow(unsafe_code, reason = "part of a tensor can be bound only by its address")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session, SessionOutputs};
use ort::value::{DynValue, Tensor};

use super::layout::{IDS, LOGITS, Layout, MASK};
use super::memory::last_logits;

/// Keys and values of `rows` sequences: per layer two tensors
/// `[rows, heads, capacity, head_size]` of 32-bit floats.
pub(super) struct KvSlab {
    // Dropped before the tensors that they point into.
    windows: BTreeMap<(usize, usize), Window>,
    tensors: Vec<Tensor<f32>>,
    allocator: Allocator,
    layout: Arc<Layout>,
    shape: Shape,
}

/// How a slab is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    rows: usize,
    heads: usize,
    capacity: usize,
    head_size: usize,
}

/// Some neighbouring rows, bound to the session.
struct Window {
    binding: IoBinding,
    /// What is bound as past and present.
    views: Vec<DynValue>,
    /// Whether a run has shown that the graph appends in place.
    in_place: bool,
    /// `[rows, capacity]`. Its sum per row tells attention the row's length; its width is
    /// constant, so that nothing is shaped anew from step to step.
    mask: Tensor<i64>,
    /// `[rows, 1]`, for steps.
    ids: Tensor<i64>,
    /// `[rows, 1, vocabulary]`, for steps.
    logits: Tensor<f32>,
    /// Whether `ids` and `logits` are what is bound.
    stepping: bool,
}

impl KvSlab {
    pub(super) fn new(layout: &Arc<Layout>, rows: usize, capacity: usize) -> ort::Result<Self> {
        let shape = Shape { rows, heads: layout.heads, capacity, head_size: layout.head_size };
        let allocator = Allocator::default();
        let dimensions = [rows, shape.heads, capacity, shape.head_size];
        let mut tensors = Vec::with_capacity(layout.caches.len());
        for _ in &layout.caches {
            let mut tensor = Tensor::<f32>::new(&allocator, dimensions)?;
            // Fresh memory holds anything, a NaN too.
            tensor.extract_tensor_mut().1.fill(0.0);
            tensors.push(tensor);
        }
        let (windows, layout) = (BTreeMap::new(), Arc::clone(layout));
        Ok(Self { windows, tensors, allocator, layout, shape })
    }

    /// Feeds one token to each of the first rows, behind the `lengths` that they hold. Answers
    /// the logits, `[rows, vocabulary]`.
    pub(super) fn step(
        &mut self,
        session: &mut Session,
        tokens: &[u32],
        lengths: &[usize],
    ) -> ort::Result<&[f32]> {
        let (shape, layout) = (self.shape, Arc::clone(&self.layout));
        let window = self.window(session, 0..tokens.len())?;
        window.set_mask(&shape, lengths, 1)?;
        window.step(session, &layout, tokens)
    }

    /// Feeds several tokens to one row, behind the `length` that it holds. Answers the logits
    /// behind the last one, `[vocabulary]`.
    ///
    /// Attention takes several tokens at once only for a batch of one.
    pub(super) fn extend(
        &mut self,
        session: &mut Session,
        row: usize,
        tokens: &[u32],
        length: usize,
    ) -> ort::Result<Vec<f32>> {
        let (shape, layout) = (self.shape, Arc::clone(&self.layout));
        let window = self.window(session, row..row + 1)?;
        window.set_mask(&shape, &[length], tokens.len())?;
        window.extend(session, &layout, tokens)
    }

    /// Copies the first `length` positions of row `from` to row `to`.
    pub(super) fn copy(&mut self, from: usize, to: usize, length: usize) {
        if from == to {
            return;
        }
        for tensor in &mut self.tensors {
            let data = tensor.extract_tensor_mut().1;
            for head in 0..self.shape.heads {
                let source = self.shape.positions(from, head, length);
                data.copy_within(source, self.shape.positions(to, head, 0).start);
            }
        }
    }

    fn window(&mut self, session: &Session, rows: Range<usize>) -> ort::Result<&mut Window> {
        let key = (rows.start, rows.end);
        if !self.windows.contains_key(&key) {
            let views = self.views(&rows)?;
            let window = Window::new(session, &self.layout, &self.shape, rows.len(), views)?;
            self.windows.insert(key, window);
        }
        self.windows.get_mut(&key).ok_or_else(|| ort::Error::new("the window was not kept"))
    }

    /// The rows of each tensor as values that own no memory.
    fn views(&mut self, rows: &Range<usize>) -> ort::Result<Vec<DynValue>> {
        let span = self.shape.span(rows).ok_or_else(|| ort::Error::new("rows beyond the slab"))?;
        let shape = self.shape;
        let dimensions = [rows.len(), shape.heads, shape.capacity, shape.head_size];
        let dimensions = dimensions.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        let mut views = Vec::with_capacity(self.tensors.len());
        for tensor in &mut self.tensors {
            let data = &mut tensor.extract_tensor_mut().1[span.clone()];
            // SAFETY: `data` is `span`, inside the tensor (invariant 1); the value goes into a
            // window, which is dropped before the tensor (2).
            views.push(unsafe { view(&self.allocator, data, &dimensions)? });
        }
        Ok(views)
    }
}

/// A value over `data`, of `dimensions`.
///
/// # Safety
/// `dimensions` must multiply to the length of `data`, whose memory must outlive the value, and
/// nobody may access it while a graph runs to which the value is bound.
unsafe fn view(
    allocator: &Allocator,
    data: &mut [f32],
    dimensions: &[i64; 4],
) -> ort::Result<DynValue> {
    let mut value = std::ptr::null_mut();
    // SAFETY: ONNX Runtime copies the dimensions and keeps the address of the data, which is as
    // long as it is told.
    let status = unsafe {
        (ort::api().CreateTensorWithDataAsOrtValue)(
            allocator.memory_info().ptr(),
            data.as_mut_ptr().cast::<c_void>(),
            std::mem::size_of_val(data),
            dimensions.as_ptr(),
            dimensions.len(),
            ort::sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            &raw mut value,
        )
    };
    if !status.0.is_null() {
        // SAFETY: a status that is not null is ours to release.
        unsafe { (ort::api().ReleaseStatus)(status.0) };
        return Err(ort::Error::new("a view of the key-value slab was refused"));
    }
    let value = NonNull::new(value).ok_or_else(|| ort::Error::new("a view without a value"))?;
    // SAFETY: the value was just made and is owned by nobody else. It owns no memory, so that
    // releasing it frees none of the slab's.
    Ok(unsafe { DynValue::from_ptr(value, Some(allocator)) })
}

impl Window {
    fn new(
        session: &Session,
        layout: &Layout,
        shape: &Shape,
        rows: usize,
        views: Vec<DynValue>,
    ) -> ort::Result<Self> {
        let mut binding = session.create_binding()?;
        let mut views = views;
        for (names, view) in layout.caches.iter().zip(&mut views) {
            binding.bind_input(names.past.as_str(), view)?;
            binding.bind_output(names.present.as_str(), &mut *view)?;
        }
        let allocator = session.allocator();
        let mask = Tensor::<i64>::new(allocator, [rows, shape.capacity])?;
        binding.bind_input(MASK, &mask)?;
        let ids = Tensor::<i64>::new(allocator, [rows, 1])?;
        let logits = Tensor::<f32>::new(allocator, [rows, 1, layout.vocabulary])?;
        Ok(Self { binding, views, in_place: false, mask, ids, logits, stepping: false })
    }

    fn set_mask(&mut self, shape: &Shape, lengths: &[usize], width: usize) -> ort::Result<()> {
        let rows = self.mask.extract_tensor_mut().1.chunks_exact_mut(shape.capacity);
        for (row, length) in rows.zip(lengths) {
            let end = length + width;
            if end > shape.capacity {
                return Err(ort::Error::new("a sequence outgrew its slot"));
            }
            row[..end].fill(1);
            row[end..].fill(0);
        }
        Ok(())
    }

    /// Feeds one token to each row. Answers the logits, `[rows, vocabulary]`.
    fn step(
        &mut self,
        session: &mut Session,
        layout: &Layout,
        tokens: &[u32],
    ) -> ort::Result<&[f32]> {
        for (id, token) in self.ids.extract_tensor_mut().1.iter_mut().zip(tokens) {
            *id = i64::from(*token);
        }
        if !self.stepping {
            self.binding.bind_input(IDS, &self.ids)?;
            self.binding.bind_output(LOGITS, &mut self.logits)?;
            self.stepping = true;
        }
        let outputs = session.run_binding(&self.binding)?;
        check_in_place(&mut self.in_place, &outputs, layout, &self.views)?;
        drop(outputs);
        Ok(self.logits.extract_tensor().1)
    }

    /// Feeds several tokens to the only row. Answers the logits behind the last one.
    fn extend(
        &mut self,
        session: &mut Session,
        layout: &Layout,
        tokens: &[u32],
    ) -> ort::Result<Vec<f32>> {
        let ids: Vec<i64> = tokens.iter().map(|id| i64::from(*id)).collect();
        let ids = Tensor::from_array(([1, tokens.len()], ids))?;
        self.binding.bind_input(IDS, &ids)?;
        let device = MemoryInfo::new(
            AllocationDevice::CPU,
            0,
            AllocatorType::Device,
            MemoryType::CPUOutput,
        )?;
        // Bound anew each time: a binding reuses its buffer, and the width changes.
        self.binding.bind_output_to_device(LOGITS, &device)?;
        self.stepping = false;
        let outputs = session.run_binding(&self.binding)?;
        check_in_place(&mut self.in_place, &outputs, layout, &self.views)?;
        last_logits(&outputs[LOGITS], tokens.len(), layout.vocabulary)
    }
}

fn check_in_place(
    known: &mut bool,
    outputs: &SessionOutputs<'_>,
    layout: &Layout,
    views: &[DynValue],
) -> ort::Result<()> {
    if *known {
        return Ok(());
    }
    for (names, view) in layout.caches.iter().zip(views) {
        let present = outputs[names.present.as_str()].try_extract_tensor::<f32>()?.1;
        let past = view.try_extract_tensor::<f32>()?.1;
        if !std::ptr::eq(present, past) {
            let name = &names.present;
            return Err(ort::Error::new(format!("`{name}` is not where its past is")));
        }
    }
    *known = true;
    Ok(())
}

impl Shape {
    /// Where some rows lie in a tensor; `None` when it has not so many.
    fn span(&self, rows: &Range<usize>) -> Option<Range<usize>> {
        let row = self.heads * self.capacity * self.head_size;
        let inside = rows.start < rows.end && rows.end <= self.rows;
        inside.then(|| rows.start * row..rows.end * row)
    }

    /// Where the first `length` positions of one head of one row lie.
    fn positions(&self, row: usize, head: usize, length: usize) -> Range<usize> {
        debug_assert!(row < self.rows && head < self.heads && length <= self.capacity);
        let start = (row * self.heads + head) * self.capacity * self.head_size;
        start..start + length * self.head_size
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_and_heads_never_overlap_and_fill_the_tensor(
            rows in 1usize..5, heads in 1usize..4, capacity in 1usize..20, head_size in 1usize..9,
        ) {
            let shape = Shape { rows, heads, capacity, head_size };
            let mut covered = vec![0u8; rows * heads * capacity * head_size];
            for row in 0..rows {
                let span = shape.span(&(row..row + 1)).unwrap();
                for head in 0..heads {
                    let positions = shape.positions(row, head, capacity);
                    prop_assert!(span.start <= positions.start && positions.end <= span.end);
                    covered[positions].iter_mut().for_each(|n| *n += 1);
                }
            }
            prop_assert!(covered.iter().all(|n| *n == 1));
        }

        #[test]
        fn no_window_reaches_beyond_its_slab(start in 0usize..9, end in 0usize..9) {
            let shape = Shape { rows: 4, heads: 2, capacity: 3, head_size: 2 };
            let span = shape.span(&(start..end));
            prop_assert_eq!(span.is_some(), start < end && end <= 4);
            prop_assert!(span.is_none_or(|span| span.end <= 4 * 2 * 3 * 2));
        }
    }
}
