//! `peft-operator run` and `replay` with a trainer that trains nothing (`trainer.sh`).

mod bad_input;
mod bench;
mod closed_pipe;
mod compare;
mod failures;
mod interruptions;
mod journal;
mod manifest_file;
mod promotion;
mod transfer;
