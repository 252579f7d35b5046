//! Files that are written: locked against a second run, and named by every error.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// What errors call standard output.
pub(crate) const STANDARD: &str = "standard output";

/// What went wrong with which file. The system's own words name none.
#[derive(Debug)]
pub(crate) struct FileError {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

impl FileError {
    /// For `map_err`.
    pub(crate) fn of(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |error| Self { path: path.to_owned(), error }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

impl Error for FileError {}

/// A file that no other run writes as long as this one has it open.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) file: File,
    /// Whether it was not there before.
    pub(crate) created: bool,
}

/// Opens a file for writing, with what it holds; makes it if it is not there.
pub(crate) fn lock(path: &Path) -> Result<Locked, Box<dyn Error>> {
    // To open a named pipe would wait for a reader.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let path = path.display();
        return Err(
            format!("{path} is no regular file; name one, or `-` for standard output").into()
        );
    }
    let at = FileError::of(path);
    let mut last = io::ErrorKind::NotFound.into();
    // Another run that ends just now may take the file away between two steps. Then it is made anew.
    for _ in 0..10 {
        let (file, created) = match File::options().write(true).create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match File::options().write(true).open(path) {
                    Ok(file) => (file, false),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        last = error;
                        continue;
                    }
                    Err(error) => return Err(at(error).into()),
                }
            }
            Err(error) => return Err(at(error).into()),
        };
        #[allow(clippy::incompatible_msrv, reason = "only the library keeps to the oldest Rust")]
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let path = path.display();
                let what =
                    "another run is writing it; wait until that has ended, or name another file";
                return Err(format!("{path}: {what}").into());
            }
            Err(TryLockError::Error(error)) => return Err(at(error).into()),
        }
        if is_still(&file, path) {
            return Ok(Locked { file, created });
        }
    }
    Err(at(last).into())
}

/// Whether the path still leads to this file.
#[cfg(unix)]
pub(crate) fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(own), Ok(there)) => (own.dev(), own.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// An open file cannot be taken away here.
#[cfg(not(unix))]
pub(crate) fn is_still(_: &File, _: &Path) -> bool {
    true
}
