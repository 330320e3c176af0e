//! Why an event or a stored ledger is rejected. No I/O.

/// Why an event cannot follow those before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Trials are numbered in the order of planning.
    #[error("trial {found} is planned where trial {expected} comes next")]
    Number {
        /// The next number.
        expected: u32,
        /// The event's.
        found: u32,
    },
    /// The trial was never planned.
    #[error("trial {0} was never planned")]
    Unknown(u32),
    /// The trial has its result, which never changes.
    #[error("trial {0} already has its result")]
    Final(u32),
    /// The attempt is not the one that comes next.
    #[error("attempt {found} of trial {trial} stands where attempt {expected} belongs")]
    Attempt {
        /// The trial.
        trial: u32,
        /// The current attempt.
        expected: u32,
        /// The event's.
        found: u32,
    },
    /// One attempt is started once.
    #[error("attempt {attempt} of trial {trial} was started before")]
    StartedTwice {
        /// The trial.
        trial: u32,
        /// The attempt.
        attempt: u32,
    },
    /// A trial joins the run of another one once, before it is started.
    #[error("trial {trial} cannot join the run of trial {run}: {problem}")]
    Joined {
        /// The trial.
        trial: u32,
        /// The run's first trial.
        run: u32,
        /// What is wrong.
        problem: &'static str,
    },
    /// A trial's purpose does not fit what it is planned with.
    #[error("trial {trial}: {problem}")]
    Inconsistent {
        /// The trial.
        trial: u32,
        /// What is wrong.
        problem: &'static str,
    },
    /// Nothing happens after the end.
    #[error("the search had ended before")]
    Concluded,
    /// Only an end by bad input can be revoked.
    #[error("the search is reopened where no bad input was found")]
    NotEnded,
}

/// Why a search cannot continue from the ledger in its status: something else has written it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Entries were taken away.
    #[error(
        "status.ledger has {found} entries and status.ledgerEntries says {counted}; restore the ledger"
    )]
    Missing {
        /// The entries that are there.
        found: usize,
        /// Those that were written.
        counted: u32,
    },
    /// Entries stand in the order of planning.
    #[error(
        "entry {expected} of status.ledger is trial {found}; trials are numbered from 0, in order and without a gap"
    )]
    Number {
        /// The number that belongs there.
        expected: u32,
        /// The entry's.
        found: u32,
    },
    /// Attempts are numbered from 1, and failed ones are among them.
    #[error(
        "trial {trial} of status.ledger is at attempt {attempt} with {failed} failed attempts, which is impossible"
    )]
    Attempt {
        /// The trial.
        trial: u32,
        /// Its attempt.
        attempt: u32,
        /// Those that failed.
        failed: u32,
    },
    /// An entry contradicts itself.
    #[error("trial {trial} of status.ledger: {problem}")]
    Inconsistent {
        /// The trial.
        trial: u32,
        /// What is wrong.
        problem: &'static str,
    },
}
