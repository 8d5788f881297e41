//! Reads a graph's large weights, so that several sessions can share one copy of them.
//!
//! ONNX Runtime shares packed weights between sessions only for initializers that the caller
//! supplies; those it finds in the file it packs anew for each session. So they are read here
//! and supplied, and the graph that sessions are opened on is the file without their bytes: to
//! parse those again for each session takes longer than all else and leaves the heap full of
//! holes. This walks just enough of the protobuf to find them.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use ort::value::{DynValue, Tensor};

/// Smaller tensors are not worth sharing.
const BYTES_MIN: usize = 4096;

const MODEL_GRAPH: u64 = 7;
const GRAPH_INITIALIZER: u64 = 5;
const TENSOR_DIMS: u64 = 1;
const TENSOR_DATA_TYPE: u64 = 2;
const TENSOR_NAME: u64 = 8;
const TENSOR_RAW_DATA: u64 = 9;
const TENSOR_EXTERNAL_DATA: u64 = 13;
const TENSOR_DATA_LOCATION: u64 = 14;
const ENTRY_KEY: u64 = 1;
const ENTRY_VALUE: u64 = 2;
/// `TensorProto.DataLocation`: the bytes are not in the graph.
const EXTERNAL: u64 = 1;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

const FLOAT: u64 = 1;
const UINT8: u64 = 2;
const INT8: u64 = 3;

/// One weight, by the name the graph knows it by.
pub(crate) struct Weight {
    pub(crate) name: String,
    pub(crate) value: Arc<DynValue>,
}

/// A model file taken apart.
#[derive(Default)]
pub(crate) struct Parts {
    /// The large weights inside the graph file; those in a file beside it are left out.
    pub(crate) weights: Vec<Weight>,
    /// The graph without the bytes of `weights`; `None` when other files belong to it, which it
    /// would not find from memory.
    pub(crate) graph: Option<Vec<u8>>,
}

/// Takes a model file apart.
///
/// # Errors
/// When the file cannot be read or is no protobuf.
pub(crate) fn read(path: &Path) -> io::Result<Parts> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut weights, mut elsewhere) = (Vec::new(), false);
    let graph = rewrite(&mut reader, length, MODEL_GRAPH, &mut |reader, length| {
        rewrite(reader, length, GRAPH_INITIALIZER, &mut |reader, length| {
            let mut message = vec![0; size(length)?];
            reader.read_exact(&mut message)?;
            let parsed = parse(&message)?;
            elsewhere |= parsed.external;
            let Some(weight) = weight(&parsed)? else { return Ok(message) };
            weights.push(weight);
            Ok(hollow(&parsed))
        })
    })?;
    Ok(Parts { weights, graph: (!elsewhere).then_some(graph) })
}

/// Puts another message in the place of one.
type Replace<'a> = dyn FnMut(&mut BufReader<File>, u64) -> io::Result<Vec<u8>> + 'a;

/// Copies the message that the next `length` bytes hold, with every length-delimited `field`
/// replaced.
fn rewrite(
    reader: &mut BufReader<File>,
    length: u64,
    field: u64,
    replace: &mut Replace<'_>,
) -> io::Result<Vec<u8>> {
    let end = reader.stream_position()?.checked_add(length).ok_or_else(malformed)?;
    let mut out = Vec::new();
    while reader.stream_position()? < end {
        let tag = varint(reader)?;
        put_varint(&mut out, tag);
        let bytes = match tag & 7 {
            VARINT => {
                put_varint(&mut out, varint(reader)?);
                continue;
            }
            FIXED64 => 8,
            FIXED32 => 4,
            LENGTH_DELIMITED => varint(reader)?,
            _ => return Err(malformed()),
        };
        if reader.stream_position()?.checked_add(bytes).is_none_or(|next| next > end) {
            return Err(malformed());
        }
        if tag == field << 3 | LENGTH_DELIMITED {
            let message = replace(reader, bytes)?;
            put_varint(&mut out, message.len() as u64);
            out.extend(message);
            continue;
        }
        if tag & 7 == LENGTH_DELIMITED {
            put_varint(&mut out, bytes);
        }
        let start = out.len();
        out.resize(start + size(bytes)?, 0);
        reader.read_exact(&mut out[start..])?;
    }
    Ok(out)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | LENGTH_DELIMITED);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// The tensor with its bytes said to be elsewhere. Nobody looks there: the caller supplies them.
fn hollow(parsed: &Parsed<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for dim in &parsed.dims {
        put_varint(&mut out, TENSOR_DIMS << 3 | VARINT);
        put_varint(&mut out, dim.cast_unsigned());
    }
    put_varint(&mut out, TENSOR_DATA_TYPE << 3 | VARINT);
    put_varint(&mut out, parsed.element);
    put_bytes(&mut out, TENSOR_NAME, parsed.name);
    let mut entry = Vec::new();
    put_bytes(&mut entry, ENTRY_KEY, b"location");
    put_bytes(&mut entry, ENTRY_VALUE, b"supplied");
    put_bytes(&mut out, TENSOR_EXTERNAL_DATA, &entry);
    put_varint(&mut out, TENSOR_DATA_LOCATION << 3 | VARINT);
    put_varint(&mut out, EXTERNAL);
    out
}

fn size(length: u64) -> io::Result<usize> {
    usize::try_from(length).map_err(|_| malformed())
}

fn varint(reader: &mut impl Read) -> io::Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok(value);
        }
    }
    Err(malformed())
}

#[derive(Default)]
struct Parsed<'a> {
    name: &'a [u8],
    element: u64,
    dims: Vec<i64>,
    raw: &'a [u8],
    external: bool,
}

/// `None` for a small tensor, and for element types that no large weight has.
fn weight(parsed: &Parsed<'_>) -> io::Result<Option<Weight>> {
    if parsed.raw.len() < BYTES_MIN || parsed.external {
        return Ok(None);
    }
    let name = String::from_utf8(parsed.name.to_vec()).map_err(|_| malformed())?;
    Ok(tensor(parsed)?.map(|value| Weight { name, value: Arc::new(value) }))
}

fn parse(message: &[u8]) -> io::Result<Parsed<'_>> {
    let mut parsed = Parsed::default();
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let (field, number, bytes) = match tag & 7 {
            VARINT => (tag >> 3, varint(&mut rest)?, &[][..]),
            FIXED64 => (tag >> 3, 0, take(&mut rest, 8)?),
            FIXED32 => (tag >> 3, 0, take(&mut rest, 4)?),
            LENGTH_DELIMITED => {
                let size = varint(&mut rest)?;
                (tag >> 3, 0, take(&mut rest, size)?)
            }
            _ => return Err(malformed()),
        };
        match field {
            TENSOR_NAME => parsed.name = bytes,
            TENSOR_RAW_DATA => parsed.raw = bytes,
            TENSOR_DATA_TYPE => parsed.element = number,
            TENSOR_DATA_LOCATION => parsed.external = number == EXTERNAL,
            TENSOR_DIMS if tag & 7 == VARINT => parsed.dims.push(dimension(number)?),
            TENSOR_DIMS => {
                let mut packed = bytes;
                while !packed.is_empty() {
                    parsed.dims.push(dimension(varint(&mut packed)?)?);
                }
            }
            _ => {}
        }
    }
    Ok(parsed)
}

fn take<'a>(rest: &mut &'a [u8], size: u64) -> io::Result<&'a [u8]> {
    let size = usize::try_from(size).map_err(|_| malformed())?;
    let (taken, left) = rest.split_at_checked(size).ok_or_else(malformed)?;
    *rest = left;
    Ok(taken)
}

fn dimension(number: u64) -> io::Result<i64> {
    i64::try_from(number).map_err(|_| malformed())
}

/// `None` for element types that no large weight has.
fn tensor(parsed: &Parsed<'_>) -> io::Result<Option<DynValue>> {
    let width = if parsed.element == FLOAT { 4 } else { 1 };
    let count = parsed.dims.iter().try_fold(1i64, |count, dim| count.checked_mul(*dim));
    let bytes = count.and_then(|count| usize::try_from(count).ok()?.checked_mul(width));
    let dims = parsed.dims.clone();
    let value = match parsed.element {
        FLOAT | UINT8 | INT8 if bytes != Some(parsed.raw.len()) => return Err(malformed()),
        FLOAT => {
            let (values, _) = parsed.raw.as_chunks::<4>();
            let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Tensor::from_array((dims, values)).map(Tensor::into_dyn)
        }
        UINT8 => Tensor::from_array((dims, parsed.raw.to_vec())).map(Tensor::into_dyn),
        INT8 => {
            let values: Vec<i8> = parsed.raw.iter().map(|byte| byte.cast_signed()).collect();
            Tensor::from_array((dims, values)).map(Tensor::into_dyn)
        }
        _ => return Ok(None),
    };
    value.map(Some).map_err(io::Error::other)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a well-formed ONNX file")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn read_bytes(bytes: &[u8]) -> io::Result<Parts> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        read(file.path())
    }

    proptest! {
        #[test]
        fn nonsense_is_an_error_or_nothing_and_never_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let found = read_bytes(&bytes).map(|parts| parts.weights.len());
            prop_assert!(found.unwrap_or(0) == 0);
        }

        #[test]
        fn a_parsed_tensor_is_what_was_written(dims in prop::collection::vec(1u8..9, 1..4)) {
            let count: usize = dims.iter().map(|dim| usize::from(*dim)).product();
            let mut message = vec![0x10, 1, 0x42, 1, b'w'];
            for dim in &dims {
                message.extend([0x08, *dim]);
            }
            put_bytes(&mut message, TENSOR_RAW_DATA, &vec![7; count * 4]);
            let parsed = parse(&message).unwrap();
            let expected: Vec<i64> = dims.iter().map(|dim| i64::from(*dim)).collect();
            prop_assert_eq!(parsed.dims, expected);
            prop_assert_eq!(parsed.raw.len(), count * 4);
            prop_assert_eq!(parsed.name, b"w");
            prop_assert_eq!(parsed.element, FLOAT);
        }

        #[test]
        fn a_file_without_large_weights_stays_as_it_is(
            number in any::<u64>(), text in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut tensor = Vec::new();
            put_bytes(&mut tensor, TENSOR_NAME, b"small");
            let mut graph = Vec::new();
            put_bytes(&mut graph, 2, &text);
            put_bytes(&mut graph, GRAPH_INITIALIZER, &tensor);
            let mut model = Vec::new();
            put_varint(&mut model, 1 << 3);
            put_varint(&mut model, number);
            put_bytes(&mut model, MODEL_GRAPH, &graph);
            let parts = read_bytes(&model).unwrap();
            prop_assert!(parts.weights.is_empty());
            prop_assert_eq!(parts.graph.unwrap(), model);
        }
    }

    #[test]
    fn a_file_whose_weights_lie_beside_it_is_not_opened_from_memory() {
        let mut tensor = Vec::new();
        put_bytes(&mut tensor, TENSOR_NAME, b"far");
        put_varint(&mut tensor, TENSOR_DATA_LOCATION << 3 | VARINT);
        put_varint(&mut tensor, EXTERNAL);
        let (mut graph, mut model) = (Vec::new(), Vec::new());
        put_bytes(&mut graph, GRAPH_INITIALIZER, &tensor);
        put_bytes(&mut model, MODEL_GRAPH, &graph);
        assert!(read_bytes(&model).unwrap().graph.is_none());
    }
}
