//! Where the messages go: a file with its checkpoint beside it, or standard output.
//!
//! The checkpoint file says how many bytes of the output it stands for. Messages are on the disk before the checkpoint
//! that counts them, and the checkpoint is replaced in one step; what a crash leaves behind those bytes is cut off by
//! the next start. So a crash at any byte loses no message and writes none twice.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, StdoutLock, Write};
use std::path::{Path, PathBuf};

use texter_history::Checkpoint;

use crate::common::files::{FileError, STANDARD, lock};

/// What is written, and how much of it.
pub(crate) struct Output {
    sink: Sink,
    bytes: u64,
    pub(crate) messages: u64,
    /// Messages that no checkpoint stands for yet.
    pub(crate) unsaved: u64,
}

enum Sink {
    Standard(BufWriter<StdoutLock<'static>>),
    File { file: BufWriter<File>, path: PathBuf, beside: Beside },
}

/// What lies beside the file.
enum Beside {
    /// Nothing: no message has been written yet.
    Nothing {
        /// Whether the file is this run's own.
        created: bool,
    },
    Checkpoint,
}

/// What the checkpoint file holds.
#[derive(serde::Serialize, serde::Deserialize)]
struct Saved {
    /// How much of the output the checkpoint stands for.
    bytes: u64,
    messages: u64,
    checkpoint: Checkpoint,
}

impl Output {
    /// Standard output, which nothing goes on from.
    pub(crate) fn standard() -> Self {
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        Self { sink: Sink::Standard(out), bytes: 0, messages: 0, unsaved: 0 }
    }

    /// A file, and where the run before left it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Option<Checkpoint>), Box<dyn Error>> {
        let locked = lock(path)?;
        let mut file = locked.file;
        let at = FileError::of(path);
        let length = file.metadata().map_err(&at)?.len();
        let checkpoint_path = checkpoint_path(path);
        let json = match fs::read(&checkpoint_path) {
            Ok(json) => Some(json),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(FileError::of(&checkpoint_path)(error).into()),
        };
        let path = path.to_owned();
        let Some(json) = json else {
            if length > 0 {
                let what = "is there already and was not written by this tool";
                return Err(format!("{} {what}; name another file", path.display()).into());
            }
            let beside = Beside::Nothing { created: locked.created };
            return Ok((Self::of_file(file, path, beside, (0, 0)), None));
        };
        let saved: Option<Saved> = match serde_json::from_slice(&json) {
            // A start that wrote nothing leaves nothing to go on from: the next may be for another chat.
            Ok(saved) => Some(saved).filter(|saved: &Saved| saved.bytes > 0),
            Err(_) if length == 0 => None,
            // What serde says could quote the file.
            Err(_) => {
                let what = "cannot be read; put the right one back, or name another output";
                return Err(format!("{} {what}", checkpoint_path.display()).into());
            }
        };
        let (bytes, messages) =
            saved.as_ref().map_or((0, 0), |saved| (saved.bytes, saved.messages));
        if length < bytes {
            let checkpoint = checkpoint_path.display();
            return Err(format!("{checkpoint} is not of this file; remove one of the two").into());
        }
        // What follows was written after the last checkpoint and will come again.
        file.set_len(bytes).map_err(&at)?;
        file.seek(SeekFrom::Start(bytes)).map_err(&at)?;
        let output = Self::of_file(file, path, Beside::Checkpoint, (bytes, messages));
        Ok((output, saved.map(|saved| saved.checkpoint)))
    }

    fn of_file(file: File, path: PathBuf, beside: Beside, (bytes, messages): (u64, u64)) -> Self {
        let file = BufWriter::with_capacity(1 << 16, file);
        Self { sink: Sink::File { file, path, beside }, bytes, messages, unsaved: 0 }
    }

    /// Writes a message as one line. `begun_at` is where the walk stood before its first message.
    pub(crate) fn write(
        &mut self,
        json: &str,
        begun_at: &Checkpoint,
    ) -> Result<(), Box<dyn Error>> {
        if matches!(self.sink, Sink::File { beside: Beside::Nothing { .. }, .. }) {
            // Before the first message, so that the file is known for ours whenever a crash comes.
            self.save(begun_at)?;
        }
        // Outside of strings, where alone JSON has bare line ends, a space is as good.
        let line = json.replace(['\n', '\r'], " ") + "\n";
        match &mut self.sink {
            Sink::Standard(out) => {
                out.write_all(line.as_bytes()).map_err(FileError::of(Path::new(STANDARD)))?;
            }
            Sink::File { file, path, .. } => {
                file.write_all(line.as_bytes()).map_err(FileError::of(path))?;
            }
        }
        self.bytes += line.len() as u64;
        self.messages += 1;
        self.unsaved += 1;
        Ok(())
    }

    /// Sees to it that all that was written is on the disk, and then says so in the checkpoint.
    pub(crate) fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), Box<dyn Error>> {
        self.unsaved = 0;
        let (file, path, beside) = match &mut self.sink {
            Sink::Standard(out) => {
                return Ok(out.flush().map_err(FileError::of(Path::new(STANDARD)))?);
            }
            Sink::File { file, path, beside } => (file, path, beside),
        };
        let at = FileError::of(path);
        file.flush().map_err(&at)?;
        file.get_ref().sync_data().map_err(&at)?;
        let checkpoint = checkpoint.clone();
        let saved = Saved { bytes: self.bytes, messages: self.messages, checkpoint };
        replace(&checkpoint_path(path), &serde_json::to_vec(&saved)?)?;
        *beside = Beside::Checkpoint;
        Ok(())
    }

    /// After a failure: takes the file away again if this run made it and had nothing to write.
    pub(crate) fn leave_nothing(self) {
        if let Sink::File { path, beside: Beside::Nothing { created: true }, .. } = &self.sink {
            let _ = fs::remove_file(path);
        }
    }
}

fn checkpoint_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".checkpoint");
    name.into()
}

/// Puts new content in a file's place in one step.
fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let new = path.with_extension("checkpoint.new");
    let at = FileError::of(&new);
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&new);
        return Err(at(error));
    }
    fs::rename(&new, path).map_err(FileError::of(path))?;
    // The new name, too, has to outlive a crash of the machine.
    #[cfg(unix)]
    {
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(FileError::of(parent))?;
    }
    Ok(())
}
