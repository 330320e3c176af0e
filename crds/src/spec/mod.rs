//! The parts of a spec, by subject. Defaults are the paper's.

pub(crate) mod defaults;
mod search;
mod source;
mod task;
mod trainer;
mod training;

pub use crate::methods::{BaselineName, BaselineRecipe};
pub use crate::promotion::{EvaluationSpec, PromotionCandidates, PromotionSpec};
pub use crate::tasks::{Metric, TaskKind, TaskName};
pub use crate::transfer::{TransferSpec, TransferTask};
pub use search::{
    AcquisitionSpec, AlgorithmSpec, ConvergenceSpec, InitialDesign, LocalSearchSpec, NutsSpec,
    ObjectiveName, ObjectiveSpec, ScoreScale,
};
pub use source::{ClaimSource, HubSource, ImageSource, ModelSpec, SecretKeyRef, Source};
pub use task::{ClassWeights, CustomTask, TaskForm, TaskSpec};
pub use trainer::{
    TaintEffect, TolerationOperator, TrainerResources, TrainerSpec, TrainerToleration,
};
pub use training::{
    ConstantPredictionSpec, EarlyStop, EarlyStoppingSpec, FidelitySpec, Padding, Precision,
    TrainingSpec,
};
