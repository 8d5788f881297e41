//! Where an export goes: to a file that appears once it is whole, or to a stream.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

/// A buffered output. What was written to a file is lost unless [`Output::keep`] is called.
pub(super) struct Output(BufWriter<Sink>);

enum Sink {
    Stream(Box<dyn Write + Send>),
    File { draft: NamedTempFile, target: PathBuf, force: bool },
}

impl Output {
    /// `-` is the standard output. A file that exists is refused unless `force` allows to replace it;
    /// a device or a pipe is written to as it is. The draft lies beside the file, readable by its
    /// owner alone, so that a failure leaves neither half a file nor the old one destroyed.
    pub(super) fn open(path: &Path, force: bool) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self(BufWriter::new(Sink::Stream(Box::new(io::stdout())))));
        }
        let shown = || path.display().to_string();
        let (target, exists) = match fs::metadata(path) {
            Ok(found) if found.is_file() => (fs::canonicalize(path).with_context(shown)?, true),
            Ok(found) if found.is_dir() => bail!("{} is a folder", path.display()),
            Ok(_) => {
                let stream = File::options().write(true).open(path).with_context(shown)?;
                return Ok(Self(BufWriter::new(Sink::Stream(Box::new(stream)))));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), false),
            Err(error) => return Err(error).with_context(shown),
        };
        if exists && !force {
            bail!("{}", taken(path));
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let draft = tempfile::Builder::new()
            .prefix(".weir-export-")
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .with_context(shown)?;
        Ok(Self(BufWriter::new(Sink::File { draft, target, force })))
    }

    /// Ends it: what was written is flushed, and the file appears under its name.
    pub(super) fn keep(self) -> anyhow::Result<()> {
        match self.0.into_inner().map_err(io::IntoInnerError::into_error)? {
            Sink::Stream(mut stream) => stream.flush()?,
            Sink::File { draft, target, force } => {
                draft.as_file().sync_all()?;
                let kept =
                    if force { draft.persist(&target) } else { draft.persist_noclobber(&target) };
                match kept.map_err(|failed| failed.error) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        bail!("{}", taken(&target));
                    }
                    kept => kept.map(drop).with_context(|| target.display().to_string())?,
                }
            }
        }
        Ok(())
    }
}

fn taken(path: &Path) -> String {
    format!("{} is there already; --force replaces it", path.display())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.write(bytes),
            Self::File { draft, .. } => draft.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.flush(),
            Self::File { draft, .. } => draft.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, force: bool, text: &str) -> anyhow::Result<()> {
        let mut output = Output::open(path, force)?;
        output.write_all(text.as_bytes())?;
        output.keep()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_by_force_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write(&path, false, "one").unwrap();
        let error = write(&path, false, "two").unwrap_err().to_string();
        assert!(error.contains("--force"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write(&path, true, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn an_export_that_fails_leaves_the_folder_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        let mut output = Output::open(&path, true).unwrap();
        output.write_all(b"half of the new").unwrap();
        output.flush().unwrap();
        drop(output);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn a_file_that_came_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let output = Output::open(&path, false).unwrap();
        fs::write(&path, "another's").unwrap();
        assert!(output.keep().unwrap_err().to_string().contains("--force"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_and_stays_a_device() {
        use std::os::unix::fs::FileTypeExt as _;
        write(Path::new("/dev/null"), false, "nothing").unwrap();
        write(Path::new("/dev/null"), true, "nothing").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_what_was_exported() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write(&path, false, "personal").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
