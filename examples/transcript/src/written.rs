//! The file that a transcript is written to: it takes its place when all of it is there.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::common::files::{FileError, STANDARD, lock};
use crate::page::GENERATOR;

pub(crate) enum Written {
    Standard(io::BufWriter<io::Stdout>),
    File {
        file: BufWriter<File>,
        /// Where it is written.
        new: PathBuf,
        /// Where it belongs.
        path: PathBuf,
    },
}

impl Written {
    pub(crate) fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        if path == Path::new("-") {
            return Ok(Self::Standard(BufWriter::new(io::stdout())));
        }
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        for path in [path, &new] {
            if !is_replaceable(path).map_err(FileError::of(path))? {
                let path = path.display();
                return Err(format!(
                    "{path} is there already and is no transcript; name another file"
                )
                .into());
            }
        }
        let file = lock(&new)?.file;
        // A run that was killed may have left its part.
        file.set_len(0).map_err(FileError::of(&new))?;
        let file = BufWriter::with_capacity(1 << 16, file);
        Ok(Self::File { file, new, path: path.to_owned() })
    }

    pub(crate) fn write(&mut self, piece: &str) -> Result<(), FileError> {
        match self {
            Self::Standard(out) => {
                out.write_all(piece.as_bytes()).map_err(FileError::of(Path::new(STANDARD)))
            }
            Self::File { file, new, .. } => {
                file.write_all(piece.as_bytes()).map_err(FileError::of(new))
            }
        }
    }

    pub(crate) fn keep(mut self) -> Result<(), FileError> {
        let kept = match &mut self {
            Self::Standard(out) => return out.flush().map_err(FileError::of(Path::new(STANDARD))),
            Self::File { file, new, path } => {
                let written = file.flush().and_then(|()| file.get_ref().sync_all());
                let written = written.map_err(FileError::of(new));
                written.and_then(|()| fs::rename(new, &path).map_err(FileError::of(path)))
            }
        };
        if kept.is_err() {
            self.discard();
        }
        kept
    }

    pub(crate) fn discard(self) {
        if let Self::File { new, .. } = &self {
            let _ = fs::remove_file(new);
        }
    }
}

/// Whether nothing is there, or nothing but a transcript.
fn is_replaceable(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => file.take(1_000).read_to_end(&mut head)?,
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(head.is_empty() || String::from_utf8_lossy(&head).contains(GENERATOR))
}
