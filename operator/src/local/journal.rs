//! The journal: a search's events in a file that only grows, one JSON document a line, on disk
//! before anything follows from them. Reads and writes `journal.jsonl` and holds `lock`.
//!
//! The first line describes the search. Each further line has its number, so that a line that is
//! lost or altered is noticed. A last line without its end is what a crash in the middle of a write
//! leaves behind: it is dropped, for nothing had followed from it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use autopeft_crds::spec::PeftSearchSpec;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use autopeft_search::history::{FORMAT, Header, History, Line, LineError, Reader};
use autopeft_search::ledger::{Event, Ledger, LedgerError};

/// The file's name in a work directory.
pub const FILE: &str = "journal.jsonl";
const LOCK: &str = "lock";
/// More than any event needs; a longer line is not ours.
const MAX_LINE: u64 = 4 << 20;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk or the permissions.
    #[error("{path}: {source}; {remedy}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
        /// What would help.
        remedy: &'static str,
    },
    /// Another process works there.
    #[error(
        "{0}: another peft-operator works in this directory; wait for it, stop it, or give another --workdir"
    )]
    Locked(PathBuf),
    /// There is no journal.
    #[error(
        "{0}: there is no search in this directory; start one with `peft-operator run SEARCH.yaml --workdir DIR`"
    )]
    Missing(PathBuf),
    /// A line is not what was written.
    #[error(
        "{path}:{line}: the journal is damaged: {message}; restore the file from a copy, or start again in another --workdir"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        message: String,
    },
    /// It was written in another format.
    #[error(
        "{path}: the journal has format {found}, this program reads {FORMAT}; continue with peft-operator {version}, which started it"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The program that began it.
        version: String,
    },
    /// An event that cannot be written: a defect of this program.
    #[error("an event was rejected by the ledger: {0}")]
    Refused(#[from] LedgerError),
}

/// What an error of the system at `path` is to the user.
fn io(path: &Path, remedy: &'static str) -> impl Fn(std::io::Error) -> JournalError + Copy {
    move |source| JournalError::Io {
        path: path.to_owned(),
        source,
        remedy,
    }
}

/// Sole use of a work directory, until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes a work directory for this process alone, making it where it is missing.
pub fn lock(workdir: &Path) -> Result<Lock, JournalError> {
    let remedy = "give a directory that can be written as --workdir";
    std::fs::create_dir_all(workdir).map_err(io(workdir, remedy))?;
    let path = workdir.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io(&path, remedy))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked(workdir.into())),
        Err(TryLockError::Error(source)) => {
            let remedy = "give a --workdir on a file system that supports locks";
            Err(io(&path, remedy)(source))
        }
    }
}

/// Reads the journal of a work directory; `None` where no search was begun there. A first line that
/// is torn counts as none: nothing had followed from it.
pub fn read(workdir: &Path) -> Result<Option<History>, JournalError> {
    let path = workdir.join(FILE);
    let refused = io(&path, "make the file readable");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error)),
    };
    let mut file = BufReader::new(file);
    let mut reader = Reader::default();
    for line in 1_u64.. {
        let mut bytes = Vec::new();
        Read::take(&mut file, MAX_LINE)
            .read_until(b'\n', &mut bytes)
            .map_err(refused)?;
        let damaged = |message| JournalError::Damaged {
            path: path.clone(),
            line,
            message,
        };
        if bytes.last() != Some(&b'\n') {
            if bytes.len() as u64 == MAX_LINE {
                let message = "the line is longer than any that is written";
                return Err(damaged(message.into()));
            }
            return Ok(reader.end(!bytes.is_empty()));
        }
        reader.line(&bytes).map_err(|error| match error {
            LineError::Damaged(message) => damaged(message),
            LineError::Format { found, version } => JournalError::Format {
                path: path.clone(),
                found,
                version,
            },
        })?;
    }
    Ok(None)
}

/// A journal that is being written, with the ledger that follows from it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    header: Header,
    spec: PeftSearchSpec,
    ledger: Ledger,
}

const FULL: &str = "free some space or make the file writable, then give the same command again";

impl Journal {
    /// Begins a search.
    pub fn create(_lock: &Lock, workdir: &Path, header: Header) -> Result<Self, JournalError> {
        let path = workdir.join(FILE);
        let refused = io(&path, FULL);
        let mut file = File::create(&path).map_err(refused)?;
        append(&mut file, &header).map_err(refused)?;
        // The directory entry too has to outlive a power cut.
        File::open(workdir)
            .and_then(|directory| directory.sync_all())
            .map_err(refused)?;
        Ok(Self {
            ledger: header.ledger(),
            spec: header.spec.clone(),
            path,
            file,
            header,
        })
    }

    /// Goes on with a search that was read, cutting off a torn last line.
    pub fn resume(_lock: &Lock, workdir: &Path, history: History) -> Result<Self, JournalError> {
        let path = workdir.join(FILE);
        let refused = io(&path, FULL);
        let mut file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(refused)?;
        if history.torn {
            file.set_len(history.length).map_err(refused)?;
        }
        file.seek(SeekFrom::End(0)).map_err(refused)?;
        let count = history.events.len() as u64;
        Ok(Self {
            ledger: history.ledger_at(count)?,
            spec: history.spec_at(count).clone(),
            path,
            file,
            header: history.header,
        })
    }

    /// What the search is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The spec, with the changes that the user made on the way.
    pub fn spec(&self) -> &PeftSearchSpec {
        &self.spec
    }

    /// What has happened so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Writes down an event; it is on disk, and in the ledger, when this returns. After an error the
    /// journal must not be written any more; reading it again is safe.
    pub fn write(&mut self, event: Event, at: Timestamp) -> Result<(), JournalError> {
        let mut next = self.ledger.clone();
        next.apply(&event, at)?;
        let line = Line {
            sequence: next.events(),
            at,
            event,
        };
        append(&mut self.file, &line).map_err(io(&self.path, FULL))?;
        if let Event::SpecChanged(spec) = line.event {
            self.spec = *spec;
        }
        self.ledger = next;
        Ok(())
    }
}

fn append(file: &mut File, document: &impl Serialize) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(document)?;
    bytes.push(b'\n');
    file.write_all(&bytes)?;
    file.sync_data()
}
