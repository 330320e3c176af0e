//! The conditions of `training.earlyStopping`, of one training.

use autopeft_crds::spec::{EarlyStop, EarlyStoppingSpec};

/// Which conditions stop a training, and how near it is to them.
#[derive(Debug)]
pub(super) struct Guards {
    /// Stop after this many constant epochs in succession.
    constant_limit: Option<u32>,
    /// Stop where the loss or a prediction is not finite, which fails a training otherwise.
    pub(super) not_finite: bool,
    /// The constant epochs since the last one that was not.
    constant_epochs: u32,
}

impl Guards {
    /// The guards of a recipe; `None` has none.
    pub(super) fn new(spec: Option<&EarlyStoppingSpec>) -> Self {
        let constant = spec.and_then(|spec| spec.constant_prediction.as_ref());
        Self {
            constant_limit: constant.map(|constant| constant.after_epochs),
            not_finite: spec.is_some_and(|spec| spec.not_finite),
            constant_epochs: 0,
        }
    }

    /// Counts an epoch, whose predictions may have been constant; says whether the training is to stop.
    pub(super) fn count(&mut self, is_constant: bool) -> Option<EarlyStop> {
        self.constant_epochs = if is_constant {
            self.constant_epochs + 1
        } else {
            0
        };
        let is_over = |limit| self.constant_epochs >= limit;
        let over = self.constant_limit.is_some_and(is_over);
        over.then_some(EarlyStop::ConstantPrediction)
    }
}

#[cfg(test)]
mod tests {
    use autopeft_crds::spec::ConstantPredictionSpec;

    use super::*;

    /// What is said after each epoch.
    fn after(limit: Option<u32>, epochs: &[bool]) -> Vec<bool> {
        let spec = EarlyStoppingSpec {
            constant_prediction: limit.map(|after_epochs| ConstantPredictionSpec { after_epochs }),
            not_finite: false,
        };
        let mut guards = Guards::new(Some(&spec));
        let epochs = epochs.iter();
        epochs.map(|epoch| guards.count(*epoch).is_some()).collect()
    }

    #[test]
    fn only_constant_epochs_in_succession_count() {
        let epochs = [true, true, false, true, true, true];
        let third = [false, false, false, false, false, true];
        assert_eq!(after(Some(3), &epochs), third);
        assert_eq!(after(Some(1), &[false, true]), [false, true]);
        assert_eq!(after(None, &epochs), [false; 6]);
    }
}
