//! Platt scaling.

use serde::{Deserialize, Serialize};

use crate::{error::EvaluationError, sample::Sample};

const STEPS_MAX: usize = 100;
/// The gradient at which the fit is done: Lin, Lin and Weng's.
const GRADIENT_ENOUGH: f64 = 1e-5;
/// Added to the Hessian's diagonal so that it can always be inverted.
const RIDGE: f64 = 1e-12;

/// `p = 1 / (1 + exp(-(a * margin + b)))`, with `a > 0`.
///
/// Platt, "Probabilistic outputs for support vector machines" (1999). Fitted by Newton's method
/// with backtracking and the smoothed targets `(n1 + 1) / (n1 + 2)` and `1 / (n0 + 2)`, as in Lin,
/// Lin and Weng, "A note on Platt's probabilistic outputs" (Machine Learning 68, 2007,
/// algorithm 1), whose `A` and `B` are `-a` and `-b`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    /// Slope: probability in log-odds per unit of margin.
    pub a: f64,
    /// Intercept, in log-odds.
    pub b: f64,
}

impl Platt {
    /// Fits to margins in log-odds.
    ///
    /// # Errors
    /// When fraud does not become more likely as the margin rises.
    pub fn fit(sample: &Sample) -> Result<Self, EvaluationError> {
        let (frauds, legitimate) = (sample.frauds() as f64, sample.legitimate() as f64);
        let high = (frauds + 1.0) / (frauds + 2.0);
        let low = 1.0 / (legitimate + 2.0);
        let points: Vec<_> = sample
            .rising()
            .iter()
            .map(|point| (point.score, if point.fraud { high } else { low }))
            .collect();
        let mut fit = Self { a: 0.0, b: ((frauds + 1.0) / (legitimate + 1.0)).ln() };
        let mut loss = fit.loss(&points);
        for _ in 0..STEPS_MAX {
            let slope = fit.gradient(&points);
            if slope.a.abs() < GRADIENT_ENOUGH && slope.b.abs() < GRADIENT_ENOUGH {
                break;
            }
            let Some((next, next_loss)) = fit.step(&points, slope, loss) else { break };
            (fit, loss) = (next, next_loss);
        }
        if fit.a > 0.0 { Ok(fit) } else { Err(EvaluationError::NotRising { slope: fit.a }) }
    }

    /// The probability of fraud, 0 to 1, for a margin in log-odds.
    #[must_use]
    pub fn probability(&self, margin: f64) -> f64 {
        1.0 / (1.0 + (-(self.a * margin + self.b)).exp())
    }

    /// The cross entropy against the smoothed targets, in nats.
    fn loss(&self, points: &[(f64, f64)]) -> f64 {
        let softplus = |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p();
        points
            .iter()
            .map(|(margin, target)| {
                let z = self.a * margin + self.b;
                softplus(z) - target * z
            })
            .sum()
    }

    fn gradient(&self, points: &[(f64, f64)]) -> Slope {
        let ridged = Slope { aa: RIDGE, bb: RIDGE, ..Slope::default() };
        points.iter().fold(ridged, |sum, (margin, target)| {
            let p = self.probability(*margin);
            let (error, weight) = (p - target, p * (1.0 - p));
            Slope {
                a: sum.a + error * margin,
                b: sum.b + error,
                aa: sum.aa + weight * margin * margin,
                ab: sum.ab + weight * margin,
                bb: sum.bb + weight,
            }
        })
    }

    /// A Newton step, halved until the loss falls enough (Armijo's rule with 1e-4).
    fn step(&self, points: &[(f64, f64)], at: Slope, loss: f64) -> Option<(Self, f64)> {
        let determinant = at.aa * at.bb - at.ab * at.ab;
        let da = -(at.bb * at.a - at.ab * at.b) / determinant;
        let db = -(at.aa * at.b - at.ab * at.a) / determinant;
        let descent = at.a * da + at.b * db;
        let mut length = 1.0;
        while length >= 1e-10 {
            let next = Self { a: self.a + length * da, b: self.b + length * db };
            let next_loss = next.loss(points);
            if next_loss < loss + 1e-4 * length * descent {
                return Some((next, next_loss));
            }
            length /= 2.0;
        }
        None
    }
}

/// First and second derivatives of the loss.
#[derive(Debug, Clone, Copy, Default)]
struct Slope {
    a: f64,
    b: f64,
    aa: f64,
    ab: f64,
    bb: f64,
}
