//! The operator in its pod and trainers in theirs, on a real kubelet (docs/cluster-tests.md). Rows are
//! those of the fault table in docs/faults.md. Without root these tests are skipped, and say so.

mod deletion;
mod endings;
mod example;
mod waiting;
