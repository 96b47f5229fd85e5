//! An axis of a plot: from values to places, and which values are written beside it.

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0.
    Linear,
    /// Each decade takes as much room as the next.
    Logarithmic,
}

/// The values between two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis that has room for all values. `None` where there are none to show.
    pub(crate) fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Self> {
        let shown = values.filter(|value| match scale {
            Scale::Linear => value.is_finite(),
            Scale::Logarithmic => value.is_finite() && *value > 0.0,
        });
        let ends = shown.fold(None, |ends: Option<(f64, f64)>, value| {
            let (low, high) = ends.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        });
        let (low, high) = ends?;
        let (low, high) = match scale {
            Scale::Linear => (0.0, if high > 0.0 { high } else { 1.0 }),
            Scale::Logarithmic => (low, high),
        };
        Some(Self { scale, low, high })
    }

    /// The same axis from and to whole decades, or a little further than its values where it is
    /// linear.
    pub(crate) fn rounded(self) -> Self {
        match self.scale {
            Scale::Linear => Self {
                high: self.high * 1.08,
                ..self
            },
            Scale::Logarithmic => {
                let low = self.low.log10().floor();
                let high = self.high.log10().ceil().max(low + 1.0);
                Self {
                    low: 10_f64.powf(low),
                    high: 10_f64.powf(high),
                    ..self
                }
            }
        }
    }

    /// Where a value is: 0 at the low end, 1 at the high one.
    pub(crate) fn place(self, value: f64) -> f64 {
        let on = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(f64::MIN_POSITIVE).log10(),
        };
        let length = on(self.high) - on(self.low);
        if length == 0.0 {
            0.5
        } else {
            ((on(value) - on(self.low)) / length).clamp(0.0, 1.0)
        }
    }

    /// Values to be written: every decade, or a handful of round numbers.
    pub(crate) fn ticks(self) -> Vec<f64> {
        let mut ticks = Vec::new();
        match self.scale {
            Scale::Linear => {
                let step = round_step(self.high / 5.0);
                let mut tick = 0.0;
                while tick <= self.high {
                    ticks.push(tick);
                    tick += step;
                }
            }
            Scale::Logarithmic => {
                let mut decade = self.low.log10().ceil();
                while decade <= self.high.log10() + 1e-9 {
                    ticks.push(10_f64.powf(decade));
                    decade += 1.0;
                }
            }
        }
        ticks
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * power);
    let found = steps.into_iter().find(|step| *step >= least - 1e-12);
    found.unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn decades_take_as_much_room_each() {
        let values = [2.0, 50.0, 900.0].into_iter();
        let axis = Axis::over(Scale::Logarithmic, values)
            .expect("values")
            .rounded();
        assert!(near(axis.place(1.0), 0.0) && near(axis.place(1000.0), 1.0));
        assert!(near(axis.place(10.0), 1.0 / 3.0));
        let ticks = axis.ticks();
        assert_eq!(ticks.len(), 4);
        assert!(near(ticks[3], 1000.0));
    }

    #[test]
    fn a_linear_axis_begins_at_nothing() {
        let axis = Axis::over(Scale::Linear, [1.0, 4.0].into_iter()).expect("values");
        assert!(near(axis.place(2.0), 0.5));
        assert_eq!(axis.ticks(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn what_has_no_logarithm_is_not_shown() {
        let axis = Axis::over(Scale::Logarithmic, [0.0, 5.0].into_iter()).expect("values");
        assert!(near(axis.place(5.0), 0.5));
        assert!(Axis::over(Scale::Logarithmic, [0.0].into_iter()).is_none());
        assert!(Axis::over(Scale::Linear, std::iter::empty()).is_none());
    }

    #[test]
    fn steps_are_round() {
        let steps = [0.15, 0.2, 0.9, 3.0, 7.0].map(round_step);
        let expected = [0.2, 0.2, 1.0, 5.0, 10.0];
        assert!(steps.into_iter().zip(expected).all(|(a, b)| near(a, b)));
    }
}
