//! Problems of a search for the condition Degraded. No I/O.

/// The longest message of a trouble, characters: an object's size is limited.
const LONGEST: usize = 600;

/// A problem that the user should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One of the reasons in docs/failures.md.
    pub reason: &'static str,
    /// In one sentence, of at most 600 characters.
    pub message: String,
    /// The UID of the Job whose events say why, where nothing else does.
    pub told_of: Option<String>,
}

impl Trouble {
    /// A trouble; its message is truncated.
    pub fn new(reason: &'static str, message: impl AsRef<str>) -> Self {
        Self {
            reason,
            message: message.as_ref().chars().take(LONGEST).collect(),
            told_of: None,
        }
    }

    /// The same, of a Job whose events say why.
    #[must_use]
    pub fn told_of(self, job_uid: &str) -> Self {
        Self {
            told_of: Some(job_uid.to_owned()),
            ..self
        }
    }

    /// The same with the reason that an event gives.
    #[must_use]
    pub fn because(&self, why: &str) -> Self {
        let sentence = self.message.split(';').next().unwrap_or_default();
        Self::new(self.reason, format!("{sentence}: {why}"))
    }
}
