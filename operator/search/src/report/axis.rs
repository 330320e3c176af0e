//! Axes: their ranges and ticks.

use super::text;

/// One axis of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// Its quantity, with the unit.
    pub name: String,
    /// The lower end.
    pub least: f64,
    /// The upper end.
    pub most: f64,
    /// Positions with their labels, ascending.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis around the values, with ticks at multiples of 1, 2 or 5.
    pub(super) fn linear(name: String, values: impl IntoIterator<Item = f64>) -> Self {
        Self::with_steps(name, values, 0.0)
    }

    /// A linear axis from 0 to a count, with ticks at whole numbers.
    pub(super) fn counts(name: String, most: usize) -> Self {
        Self::with_steps(name, [0.0, most as f64], 1.0)
    }

    /// Without the ticks whose labels would touch the one before them, on an axis of so many pixels; `width` is that of
    /// a label.
    pub(super) fn thinned(mut self, pixels: i32, width: impl Fn(&str) -> i32) -> Self {
        let scale = f64::from(pixels) / (self.most - self.least);
        let mut free = f64::NEG_INFINITY;
        self.ticks.retain(|(position, label)| {
            let half = f64::from(width(label)) / 2.0;
            let middle = (position - self.least) * scale;
            let fits = middle - half >= free;
            if fits {
                free = middle + half + 8.0;
            }
            fits
        });
        self
    }

    fn with_steps(name: String, values: impl IntoIterator<Item = f64>, least_step: f64) -> Self {
        let (least, most) = bounds(values).unwrap_or((0.0, 1.0));
        let spread = most - least;
        // Equal values: a range in which they stand in the middle.
        let margin = if spread > 1e-9 * most.abs().max(1e-3) {
            0.06 * spread
        } else {
            0.055 * most.abs().max(0.2)
        };
        let (least, most) = (least - margin, most + margin);
        let step = round_step((most - least) / 6.0).max(least_step);
        let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        let first = (least / step).ceil() as i64;
        let last = (most / step).floor() as i64;
        let ticks = (first..=last)
            .map(|index| {
                let position = index as f64 * step;
                (position, format!("{position:.decimals$}").replace('-', "−"))
            })
            .collect();
        Self {
            name,
            least,
            most,
            ticks,
        }
    }
}

/// The logarithmic axis of parameters. Zero, which has no logarithm, is at the left, beyond a break.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ParameterAxis {
    /// The axis; positions are log10 of the parameters.
    pub axis: Axis,
    /// Where zero stands, where it is shown.
    pub zero: Option<f64>,
    /// Where the axis is broken, where it is.
    pub gap: Option<f64>,
}

impl ParameterAxis {
    /// The axis of these counts: in percent of `backbone` where it is known, else in parameters.
    pub(super) fn new(counts: impl IntoIterator<Item = u64>, backbone: Option<u64>) -> Self {
        let counts: Vec<u64> = counts.into_iter().collect();
        let positive = counts.iter().filter(|count| **count > 0);
        let positions = positive.map(|count| (*count as f64).log10());
        let (least, most) = bounds(positions).unwrap_or((3.0, 5.0));
        // At least a factor of 6, so that ticks at 1, 2 and 5 are among it.
        let margin = (0.05 * (most - least))
            .max((0.78 - (most - least)) / 2.0)
            .max(0.04);
        let (least, most) = (least - margin, most + margin);

        let unit = backbone.map_or(1.0, |backbone| backbone as f64 / 100.0);
        let mut ticks = logarithmic_ticks(least, most, unit, backbone.is_some());
        let (mut zero, mut gap, mut start) = (None, None, least);
        if counts.contains(&0) {
            let place = 0.12 * (most - least);
            start = least - place;
            zero = Some(least - 0.6 * place);
            gap = Some(least - 0.2 * place);
            let label = if backbone.is_some() { "0 %" } else { "0" };
            ticks.insert(0, (least - 0.6 * place, label.into()));
        }
        let name = match backbone {
            Some(_) => "trainable parameters, head left out (% of the backbone's)",
            None => "trainable parameters, head left out",
        };
        Self {
            axis: Axis {
                name: name.into(),
                least: start,
                most,
                ticks,
            },
            zero,
            gap,
        }
    }

    /// Where a count stands.
    pub(super) fn position(&self, count: u64) -> f64 {
        match (count, self.zero) {
            (0, Some(zero)) => zero,
            (0, None) => self.axis.least,
            (count, _) => (count as f64).log10(),
        }
    }
}

/// Ticks at 1, 2 and 5 times powers of ten of the unit; over wide ranges at 1 only.
fn logarithmic_ticks(least: f64, most: f64, unit: f64, percent: bool) -> Vec<(f64, String)> {
    let (low, high) = (least - unit.log10(), most - unit.log10());
    let factors: &[f64] = match high - low {
        wide if wide > 4.0 => &[1.0],
        middle if middle > 2.6 => &[1.0, 3.0],
        _ => &[1.0, 2.0, 5.0],
    };
    let mut ticks = Vec::new();
    for power in low.floor() as i32..=high.ceil() as i32 {
        for factor in factors {
            let value = factor * 10f64.powi(power);
            if (low..=high).contains(&value.log10()) {
                let label = if percent {
                    let decimals = usize::try_from(-power).unwrap_or(0);
                    format!("{value:.decimals$} %")
                } else {
                    text::thousands(value as u64)
                };
                ticks.push(((value * unit).log10(), label));
            }
        }
    }
    ticks
}

fn bounds(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter(|value| value.is_finite())
        .fold(None, |bounds, value| match bounds {
            None => Some((value, value)),
            Some((least, most)) => Some((f64::min(least, value), f64::max(most, value))),
        })
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factors = [1.0, 2.0, 5.0].into_iter();
    let fitting = factors
        .map(|factor| factor * power)
        .find(|round| *round >= step);
    fitting.unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn a_linear_axis_has_round_ticks() {
        let axis = Axis::linear("score".into(), [0.61, 0.83]);
        assert_eq!(labels(&axis), ["0.60", "0.65", "0.70", "0.75", "0.80"]);
    }

    #[test]
    fn labels_that_would_touch_are_left_out() {
        let axis = Axis::counts("trials".into(), 10);
        let of_width = |pixels| labels(&axis.clone().thinned(pixels, |_| 20)).join(" ");
        assert_eq!(of_width(600), "0 2 4 6 8 10");
        assert_eq!(of_width(120), "0 4 8");
    }

    #[test]
    fn counts_have_whole_ticks() {
        let labels_of = |count| labels(&Axis::counts("trials".into(), count)).join(" ");
        assert_eq!(labels_of(2), "0 1 2");
        assert_eq!(labels_of(10), "0 2 4 6 8 10");
    }

    #[test]
    fn equal_values_stand_in_the_middle_of_a_linear_axis() {
        let axis = Axis::linear("score".into(), [0.8, 0.8, 0.8]);
        assert!((axis.least + axis.most - 1.6).abs() < 1e-12);
        assert!(axis.ticks.len() >= 3, "{axis:?}");
    }

    #[test]
    fn zero_parameters_stand_left_of_a_break() {
        let axis = ParameterAxis::new([0, 1_000, 100_000], Some(10_000_000));
        assert_eq!(
            labels(&axis.axis),
            [
                "0 %", "0.01 %", "0.02 %", "0.05 %", "0.1 %", "0.2 %", "0.5 %", "1 %"
            ]
        );
        let gap = axis.gap.unwrap_or(f64::NAN);
        assert!(axis.position(0) < gap && gap < axis.position(1_000));
    }

    #[test]
    fn a_single_count_still_has_ticks_on_both_sides() {
        let axis = ParameterAxis::new([768], None);
        assert_eq!(labels(&axis.axis), ["500", "1,000"]);
        assert_eq!(axis.zero, None);
    }
}
