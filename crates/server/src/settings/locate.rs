//! Finds what ships beside the binary.

use std::path::{Path, PathBuf};

/// A relative path resolved against the working directory, then against the folders above the
/// executable, so that `target/release/weir` finds `models/` from anywhere. A path found in
/// neither is answered as it is: whoever opens it reports it.
#[must_use]
pub fn locate(path: &Path) -> PathBuf {
    if path.is_absolute() || path.exists() {
        return path.to_owned();
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let found =
        executable.ancestors().skip(1).map(|folder| folder.join(path)).find(|path| path.exists());
    found.unwrap_or_else(|| path.to_owned())
}
