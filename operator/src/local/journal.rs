//! The journal: a search's events in an append-only file, one JSON document per line, on disk before they take
//! effect. Reads and writes `journal.jsonl` and holds `lock`.
//!
//! The first line describes the search. Each further line has its number, so that a missing or
//! altered line is detected. A last line without a newline was truncated by a crash: it is dropped, because it had not
//! taken effect.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use autopeft_crds::PeftSearchSpec;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use autopeft_search::history::{FORMAT, Header, History, Line, LineError, Reader};
use autopeft_search::ledger::{Event, Ledger, LedgerError};

/// The file's name in a work directory.
pub const FILE: &str = "journal.jsonl";
const LOCK: &str = "lock";
/// More than any event needs; a longer line was not written by this program.
const MAX_LINE: u64 = 4 << 20;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// An I/O error.
    #[error("{path}: {source}; {remedy}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
        /// What would help.
        remedy: &'static str,
    },
    /// Another process holds the lock.
    #[error(
        "{0}: another peft-operator uses this directory; wait for it, stop it, or give another --workdir"
    )]
    Locked(PathBuf),
    /// There is no journal.
    #[error(
        "{0}: there is no search in this directory; start one with `peft-operator run SEARCH.yaml --workdir DIR`"
    )]
    Missing(PathBuf),
    /// A line was altered.
    #[error(
        "{path}:{line}: the journal is damaged: {message}; restore the file from a copy, or start again in another --workdir"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The problem.
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
        /// The version that started it.
        version: String,
    },
    /// An event that cannot be written: a defect of this program.
    #[error("an event was rejected by the ledger: {0}")]
    Refused(#[from] LedgerError),
}

/// An I/O error at `path`, with its remedy.
fn io(path: &Path, remedy: &'static str) -> impl Fn(std::io::Error) -> JournalError + Copy {
    move |source| JournalError::Io {
        path: path.to_owned(),
        source,
        remedy,
    }
}

/// Exclusive use of a work directory, until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Locks a work directory, which is created if it is missing.
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

/// Reads the journal of a work directory; `None` if no search was started there. A truncated first line counts as
/// none: it had not taken effect.
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
                let message = "the line is longer than any event";
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

/// A journal open for appending, with its ledger.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    header: Header,
    spec: PeftSearchSpec,
    ledger: Ledger,
}

const FULL: &str = "free some space or make the file writable, then run the same command again";

impl Journal {
    /// Starts a search.
    pub fn create(_lock: &Lock, workdir: &Path, header: Header) -> Result<Self, JournalError> {
        let path = workdir.join(FILE);
        let refused = io(&path, FULL);
        let mut file = File::create(&path).map_err(refused)?;
        append(&mut file, &header).map_err(refused)?;
        // The directory entry must survive a power cut too.
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

    /// Resumes a search, removing a truncated last line.
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

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The spec, with the user's changes since the start.
    pub fn spec(&self) -> &PeftSearchSpec {
        &self.spec
    }

    /// The ledger after all events so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Appends an event; it is on disk and in the ledger when this returns. After an error the journal must not be
    /// written any more; reading it again is safe.
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
