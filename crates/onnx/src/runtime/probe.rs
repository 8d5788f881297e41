//! Looks at a library file before the loader does: a wrong file must be an error, never a hang.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{RuntimeError, VERSION_MINIMUM};

const ELF: [u8; 4] = [0x7f, b'E', b'L', b'F'];
const MACHO: [[u8; 4]; 3] =
    [[0xcf, 0xfa, 0xed, 0xfe], [0xce, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe]];
const PE: [u8; 2] = *b"MZ";

/// Resolves `path` (a library, or a folder that holds one) to a file that looks loadable.
pub(super) fn probe(path: &Path) -> Result<PathBuf, RuntimeError> {
    let file = if path.is_dir() {
        find_in(path).ok_or_else(|| RuntimeError::Missing { path: path.into() })?
    } else {
        path.to_path_buf()
    };
    if !file.is_file() {
        return Err(RuntimeError::Missing { path: file });
    }
    // The loader resolves a relative path against the executable, not the working directory.
    let file =
        file.canonicalize().map_err(|source| RuntimeError::Unreadable { path: file, source })?;
    check_magic(&file)?;
    check_named_version(&file)?;
    Ok(file)
}

/// The newest-named ONNX Runtime library directly inside `dir`.
pub(super) fn find_in(dir: &Path) -> Option<PathBuf> {
    let mut candidates: Vec<PathBuf> = std::fs::read_dir(dir)
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| is_library_name(path))
        .collect();
    candidates.sort();
    candidates.pop()
}

fn is_library_name(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let stem = name.strip_prefix("lib").unwrap_or(name);
    let Some(rest) = stem.strip_prefix("onnxruntime.") else {
        return false;
    };
    rest == "dll" || rest == "so" || rest.starts_with("so.") || rest.ends_with("dylib")
}

fn check_magic(file: &Path) -> Result<(), RuntimeError> {
    let mut magic = [0u8; 4];
    let read = File::open(file).and_then(|mut handle| handle.read_exact(&mut magic)).is_ok();
    if read && (magic == ELF || MACHO.contains(&magic) || magic[..2] == PE) {
        Ok(())
    } else {
        Err(RuntimeError::NotALibrary { path: file.into() })
    }
}

/// A version in the file name (`libonnxruntime.so.1.22.0`) tells without loading anything.
fn check_named_version(file: &Path) -> Result<(), RuntimeError> {
    match file.file_name().and_then(|name| name.to_str()).and_then(named_version) {
        Some((1, minor)) if minor < VERSION_MINIMUM => {
            Err(RuntimeError::TooOld { path: file.into(), found: format!("1.{minor}") })
        }
        _ => Ok(()),
    }
}

fn named_version(name: &str) -> Option<(u32, u32)> {
    let digits = name.find(|c: char| c.is_ascii_digit())?;
    let mut parts = name[digits..].split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_that_a_library_name_carries() {
        assert_eq!(named_version("libonnxruntime.so.1.31.1"), Some((1, 31)));
        assert_eq!(named_version("libonnxruntime.1.22.0.dylib"), Some((1, 22)));
        assert_eq!(named_version("libonnxruntime.so"), None);
    }

    #[test]
    fn knows_a_library_by_its_name_on_every_platform() {
        for name in [
            "libonnxruntime.so",
            "libonnxruntime.so.1.31.1",
            "libonnxruntime.1.31.1.dylib",
            "onnxruntime.dll",
        ] {
            assert!(is_library_name(Path::new(name)), "{name}");
        }
        for name in ["libonnxruntime_providers_shared.so", "onnxruntime.h", "libfoo.so"] {
            assert!(!is_library_name(Path::new(name)), "{name}");
        }
    }
}
