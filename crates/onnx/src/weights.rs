//! Reads a graph's large weights, so that several sessions can share one copy of them.
//!
//! ONNX Runtime shares packed weights between sessions only for initializers that the caller
//! supplies; those it finds in the file it packs anew for each session. So they are read here
//! and supplied. This walks just enough of the protobuf to find them.

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

/// The large weights inside the graph file; those in a file beside it are left out.
///
/// # Errors
/// When the file cannot be read or is no protobuf.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Weight>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut weights = Vec::new();
    walk(&mut reader, length, MODEL_GRAPH, &mut |reader, length| {
        walk(reader, length, GRAPH_INITIALIZER, &mut |reader, length| {
            weights.extend(initializer(reader, length)?);
            Ok(())
        })
    })?;
    Ok(weights)
}

/// Visits every length-delimited `field` of the message that the next `length` bytes hold.
fn walk(
    reader: &mut BufReader<File>,
    length: u64,
    field: u64,
    visit: &mut dyn FnMut(&mut BufReader<File>, u64) -> io::Result<()>,
) -> io::Result<()> {
    let end = reader.stream_position()? + length;
    while reader.stream_position()? < end {
        let tag = varint(reader)?;
        let size = match tag & 7 {
            VARINT => {
                varint(reader)?;
                continue;
            }
            FIXED64 => 8,
            FIXED32 => 4,
            LENGTH_DELIMITED => varint(reader)?,
            _ => return Err(malformed()),
        };
        let next = reader.stream_position()?.checked_add(size).ok_or_else(malformed)?;
        if next > end {
            return Err(malformed());
        }
        if tag == field << 3 | LENGTH_DELIMITED {
            visit(reader, size)?;
        }
        let here = reader.stream_position()?;
        reader.seek_relative(i64::try_from(next - here).map_err(|_| malformed())?)?;
    }
    Ok(())
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
}

fn initializer(reader: &mut BufReader<File>, length: u64) -> io::Result<Option<Weight>> {
    let length = usize::try_from(length).map_err(|_| malformed())?;
    if length < BYTES_MIN {
        return Ok(None);
    }
    let mut message = vec![0; length];
    reader.read_exact(&mut message)?;
    let parsed = parse(&message)?;
    if parsed.raw.len() < BYTES_MIN {
        return Ok(None);
    }
    let name = String::from_utf8(parsed.name.to_vec()).map_err(|_| malformed())?;
    Ok(tensor(&parsed)?.map(|value| Weight { name, value: Arc::new(value) }))
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

    fn read_bytes(bytes: &[u8]) -> io::Result<Vec<Weight>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        read(file.path())
    }

    proptest! {
        #[test]
        fn nonsense_is_an_error_or_nothing_and_never_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let found = read_bytes(&bytes).map(|weights| weights.len());
            prop_assert!(found.unwrap_or(0) == 0);
        }

        #[test]
        fn a_parsed_tensor_is_what_was_written(dims in prop::collection::vec(1u8..9, 1..4)) {
            let count: usize = dims.iter().map(|dim| usize::from(*dim)).product();
            let mut message = vec![0x10, 1, 0x42, 1, b'w'];
            for dim in &dims {
                message.extend([0x08, *dim]);
            }
            message.push(0x4a);
            let mut size = count * 4;
            while size >= 0x80 {
                message.push((size & 0x7f) as u8 | 0x80);
                size >>= 7;
            }
            message.push(size as u8);
            message.extend(vec![7; count * 4]);
            let parsed = parse(&message).unwrap();
            let expected: Vec<i64> = dims.iter().map(|dim| i64::from(*dim)).collect();
            prop_assert_eq!(parsed.dims, expected);
            prop_assert_eq!(parsed.raw.len(), count * 4);
            prop_assert_eq!(parsed.name, b"w");
            prop_assert_eq!(parsed.element, FLOAT);
        }
    }
}
