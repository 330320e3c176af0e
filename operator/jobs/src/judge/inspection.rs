//! The state of an inspection from its Job and pods. No I/O.

use autopeft_crds::PeftSearchSpec;
use autopeft_crds::inspection::{InspectionOutcome, parse_inspection};
use autopeft_crds::trial::FailureReason;
use autopeft_search::inspection::Run;

use super::messages::in_words;
use super::outcome::{Ending, Seen};

/// The run, as the rules of `autopeft-search` see it.
pub fn run(seen: Seen, uid: &str, spec: &PeftSearchSpec) -> Run {
    match seen {
        Seen::Running | Seen::Unclear { .. } => Run::Running,
        Seen::Waiting(trouble) => Run::Waiting(trouble),
        Seen::Ended(Ending::Document(text)) => {
            Run::Ended(match parse_inspection(text.as_bytes(), uid) {
                Ok(result) => Ok(match result.outcome {
                    found @ InspectionOutcome::Found(_) => found,
                    InspectionOutcome::Refused { message } => InspectionOutcome::Refused {
                        message: in_words(&message, spec),
                    },
                    InspectionOutcome::Unavailable { message } => InspectionOutcome::Unavailable {
                        message: in_words(&message, spec),
                    },
                }),
                Err(error) => Err(error.to_string()),
            })
        }
        Seen::Ended(Ending::Without(FailureReason::NoResult, message)) => {
            let image = spec.trainer.image.as_deref();
            let image = image.unwrap_or("the operator's default");
            Run::Ended(Err(format!(
                "{message}; is its image ({image}) one with peft-trainer, of the operator's version?"
            )))
        }
        Seen::Ended(Ending::Without(_, message))
        | Seen::Evicted(message)
        | Seen::Rejected(message) => Run::Ended(Err(message)),
    }
}
