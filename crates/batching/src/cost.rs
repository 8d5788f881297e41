//! What a batch costs: `a + b*n*L + c*n*L^2` seconds of a core, fitted while serving.
//!
//! `n` texts padded to `L` tokens pay once for the call, once per token for the matrices, and
//! once per pair of tokens for the attention. Everything that batching decides follows from it:
//! a batch saves `a` for each text but the first, and pays for padding.
//!
//! The fit is weighted least squares on *relative* errors, `sum(w * (1 - predicted / measured)^2)`
//! with non-negative coefficients, so that a short text counts as much as a long batch and a
//! stalled run, however long, counts for at most one. Huber weights temper the rest
//! (P. J. Huber, Robust Estimation of a Location Parameter, 1964). Old runs fade; a prior that
//! keeps the proportions of the warm-up holds the coefficients where the traffic, all of one
//! shape, could not tell them apart. None falls below a quarter of the prior's: a call that
//! seemed to cost nothing, on a noisy machine, would end all batches and with them every chance
//! to see that it does.

use std::time::Duration;

/// How much of its weight a run keeps with each later one: half after about 180.
const MEMORY: f64 = 1.0 - 1.0 / 256.0;
/// How many runs the prior weighs that a warm-up made, and the default one. Little: a run tells
/// little of a coefficient that is a small part of it.
const WARM_PRIOR_RUNS: f64 = 0.05;
const DEFAULT_PRIOR_RUNS: f64 = 0.005;
/// Share of the newest run in the running level and error.
const NEWEST: f64 = 1.0 / 32.0;
/// Residuals beyond so many times the usual one lose weight.
const HUBER: f64 = 2.0;
/// No residual below twice this is odd, however well the model has fitted so far.
const ERROR_MIN: f64 = 0.05;
/// The usual residual before there was one: shapes differ more than the proportions tell.
const ERROR_AT_FIRST: f64 = 0.5;
/// The proportions of a DistilBERT: a call costs what eight tokens cost, and attention as much as
/// the matrices at a thousand tokens.
const DEFAULT_PROPORTIONS: [f64; 3] = [8.0, 1.0, 1e-3];
/// The least share of a prior coefficient.
const SHARE_MIN: f64 = 0.25;
/// A first guess, for the time before anything has run: 0.1 ms a token.
const DEFAULT_LEVEL: f64 = 1e-4;

/// The rectangle that a model computes: `texts` rows, each padded to `tokens`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchShape {
    /// Rows.
    pub texts: usize,
    /// Tokens of the longest row.
    pub tokens: usize,
}

impl BatchShape {
    fn features(self) -> [f64; 3] {
        let (texts, tokens) = (self.texts as f64, self.tokens as f64);
        [1.0, texts * tokens, texts * tokens * tokens]
    }
}

/// How long a batch took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTime {
    /// From its start to its end.
    pub wall: Duration,
    /// While it kept a core busy: `wall` less the time that the core was given to others.
    pub busy: Duration,
}

impl RunTime {
    /// A batch that had its core for itself.
    #[must_use]
    pub fn undisturbed(wall: Duration) -> Self {
        Self { wall, busy: wall }
    }
}

/// The coefficients of a [`CostModel`], in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// `a`: per call.
    pub call: f64,
    /// `b`: per token.
    pub token: f64,
    /// `c`: per pair of tokens of one text.
    pub token_pair: f64,
}

/// Predicts how long a batch takes on one kind of session, and learns from each that ran.
#[derive(Debug, Clone)]
pub struct CostModel {
    proportions: [f64; 3],
    prior_runs: f64,
    /// How the proportions are scaled to today's speed; `None` before the first run.
    level: Option<f64>,
    /// Weighted moments of `features / measured`.
    squares: [[f64; 3]; 3],
    sums: [f64; 3],
    coefficients: [f64; 3],
    error: f64,
}

impl CostModel {
    /// A model that has seen `warm_up`, runs of as many shapes as possible on a quiet machine.
    #[must_use]
    pub fn new(warm_up: &[(BatchShape, Duration)]) -> Self {
        let mut model = Self::with_prior(DEFAULT_PROPORTIONS, DEFAULT_PRIOR_RUNS);
        for (shape, elapsed) in warm_up {
            model.observe(*shape, *elapsed);
        }
        if warm_up.len() < 6 {
            return model;
        }
        let level = model.level.unwrap_or(DEFAULT_LEVEL);
        let least = |index: usize| SHARE_MIN * DEFAULT_PROPORTIONS[index] * level;
        let proportions = std::array::from_fn(|at| model.coefficients[at].max(least(at)));
        let mut model = Self::with_prior(proportions, WARM_PRIOR_RUNS);
        model.level = Some(1.0);
        model.coefficients = proportions;
        model
    }

    fn with_prior(proportions: [f64; 3], prior_runs: f64) -> Self {
        Self {
            proportions,
            prior_runs,
            level: None,
            squares: [[0.0; 3]; 3],
            sums: [0.0; 3],
            coefficients: proportions.map(|share| share * DEFAULT_LEVEL),
            error: ERROR_AT_FIRST,
        }
    }

    /// The predicted time of one batch, in seconds.
    #[must_use]
    pub fn seconds(&self, shape: BatchShape) -> f64 {
        dot(self.coefficients, shape.features())
    }

    /// The predicted time of `texts` texts run one by one, in seconds, from the sum of their
    /// lengths and of the squares of their lengths.
    #[must_use]
    pub(crate) fn seconds_apart(&self, texts: usize, tokens: f64, token_pairs: f64) -> f64 {
        dot(self.coefficients, [texts as f64, tokens, token_pairs])
    }

    /// The coefficients in force.
    #[must_use]
    pub fn coefficients(&self) -> Coefficients {
        let [call, token, token_pair] = self.coefficients;
        Coefficients { call, token, token_pair }
    }

    /// The usual relative error of a prediction, 0 to 1, as a running mean.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.error
    }

    /// A batch of this shape took `elapsed`.
    pub fn observe(&mut self, shape: BatchShape, elapsed: Duration) {
        let measured = elapsed.as_secs_f64();
        let features = shape.features();
        let prior = dot(self.proportions, features);
        if shape.texts == 0 || measured <= 0.0 || prior <= 0.0 {
            return;
        }
        let ratio = measured / prior;
        let level = match self.level {
            // One run may not move the level by more than it could in truth have changed.
            Some(level) => level + NEWEST * (ratio.clamp(level / 2.0, level * 2.0) - level),
            None => ratio,
        };
        let first = self.level.replace(level).is_none();
        let residual = if first {
            0.0
        } else {
            (1.0 - dot(self.coefficients, features) / measured).abs().min(1.0)
        };
        let usual = HUBER * self.error.max(ERROR_MIN);
        let weight = if residual > usual { usual / residual } else { 1.0 };
        self.error += NEWEST * (residual - self.error);
        self.accumulate(features.map(|feature| feature / measured), weight);
        self.solve(level);
    }

    fn accumulate(&mut self, relative: [f64; 3], weight: f64) {
        for (row, squares) in self.squares.iter_mut().enumerate() {
            self.sums[row] = self.sums[row] * MEMORY + weight * relative[row];
            for (column, square) in squares.iter_mut().enumerate() {
                *square = *square * MEMORY + weight * relative[row] * relative[column];
            }
        }
    }

    /// Least squares with the prior and a lower bound. Unknowns are multiples of the prior's
    /// coefficients beyond the bound, which also keeps the numbers of one size.
    fn solve(&mut self, level: f64) {
        let scale = self.proportions.map(|share| share * level);
        let mut matrix = [[0.0; 3]; 3];
        let mut right = [0.0; 3];
        for row in 0..3 {
            for (column, cell) in matrix[row].iter_mut().enumerate() {
                *cell = self.squares[row][column] * scale[row] * scale[column];
            }
            matrix[row][row] += self.prior_runs;
            let at_bound = SHARE_MIN * matrix[row].iter().sum::<f64>();
            right[row] = self.sums[row] * scale[row] + self.prior_runs - at_bound;
        }
        if let Some(beyond) = non_negative(&matrix, &right) {
            self.coefficients =
                std::array::from_fn(|index| (SHARE_MIN + beyond[index]) * scale[index]);
        }
    }
}

fn dot(left: [f64; 3], right: [f64; 3]) -> f64 {
    left[0] * right[0] + left[1] * right[1] + left[2] * right[2]
}

/// The non-negative minimiser of `x'Mx/2 - x'r` for a positive definite `M`: with three unknowns,
/// the best of the at most eight stationary points that are non-negative.
fn non_negative(matrix: &[[f64; 3]; 3], right: &[f64; 3]) -> Option<[f64; 3]> {
    let mut best: Option<(f64, [f64; 3])> = None;
    for free in 0..8_u8 {
        let Some(point) = stationary(matrix, right, free) else { continue };
        if point.iter().any(|value| *value < 0.0 || !value.is_finite()) {
            continue;
        }
        let value = 0.5 * dot(point, matrix.map(|row| dot(row, point))) - dot(point, *right);
        if best.is_none_or(|(least, _)| value < least) {
            best = Some((value, point));
        }
    }
    best.map(|(_, point)| point)
}

/// Solves for the unknowns whose bit is set in `free`; the others are zero.
fn stationary(matrix: &[[f64; 3]; 3], right: &[f64; 3], free: u8) -> Option<[f64; 3]> {
    let is_free = |index: usize| free & (1 << index) != 0;
    let mut rows = [[0.0; 4]; 3];
    for (index, row) in rows.iter_mut().enumerate() {
        if is_free(index) {
            for column in (0..3).filter(|column| is_free(*column)) {
                row[column] = matrix[index][column];
            }
            row[3] = right[index];
        } else {
            row[index] = 1.0;
        }
    }
    // No pivoting: the matrix is positive definite.
    for pivot in 0..3 {
        let top = rows[pivot];
        if top[pivot].abs() < f64::MIN_POSITIVE {
            return None;
        }
        for row in &mut rows[pivot + 1..] {
            let factor = row[pivot] / top[pivot];
            for (cell, above) in row.iter_mut().zip(top) {
                *cell -= factor * above;
            }
        }
    }
    let mut solution = [0.0; 3];
    for index in (0..3).rev() {
        let known: f64 = (index + 1..3).map(|later| rows[index][later] * solution[later]).sum();
        solution[index] = (rows[index][3] - known) / rows[index][index];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [f64; 3] = [4e-4, 8e-5, 1e-7];

    fn truth(shape: BatchShape) -> f64 {
        dot(TRUTH, shape.features())
    }

    fn shapes() -> impl Iterator<Item = BatchShape> {
        let lengths = [24, 31, 40, 48, 56, 64, 80, 96, 112, 128];
        (0..).map(move |index: usize| BatchShape {
            texts: 1 + index * 5 % 8,
            tokens: lengths[index * 7 % lengths.len()],
        })
    }

    fn fitted(runs: usize, noise: impl Fn(usize) -> f64) -> CostModel {
        let mut model = CostModel::new(&[]);
        for (index, shape) in shapes().take(runs).enumerate() {
            model.observe(shape, Duration::from_secs_f64(truth(shape) * noise(index)));
        }
        model
    }

    fn worst_error(model: &CostModel) -> f64 {
        let error = |shape| (model.seconds(shape) / truth(shape) - 1.0).abs();
        shapes().take(80).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn the_fit_finds_the_truth() {
        assert!(worst_error(&fitted(400, |_| 1.0)) < 0.02);
    }

    #[test]
    fn a_tenth_of_stalled_runs_hardly_moves_it() {
        let model = fitted(800, |index| if index % 10 == 0 { 20.0 } else { 1.0 });
        assert!(worst_error(&model) < 0.15, "{}", worst_error(&model));
    }

    #[test]
    fn it_follows_a_machine_that_became_twice_as_slow() {
        let model = fitted(1600, |index| if index < 800 { 0.5 } else { 1.0 });
        assert!(worst_error(&model) < 0.1, "{}", worst_error(&model));
    }

    #[test]
    fn traffic_of_one_shape_keeps_the_proportions_of_the_warm_up() {
        let warm_up: Vec<_> =
            shapes().take(40).map(|shape| (shape, Duration::from_secs_f64(truth(shape)))).collect();
        let mut model = CostModel::new(&warm_up);
        let only = BatchShape { texts: 1, tokens: 50 };
        for _ in 0..5000 {
            model.observe(only, Duration::from_secs_f64(truth(only) * 1.3));
        }
        let other = BatchShape { texts: 8, tokens: 100 };
        let ratio = model.seconds(other) / truth(other);
        assert!((1.2..1.4).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_noisy_warm_up_does_not_end_all_batches() {
        // Single texts seem to cost nothing but their tokens, and batches more than they do.
        let noisy: Vec<_> = shapes()
            .take(8)
            .map(|shape| {
                let tokens = (shape.texts * shape.tokens) as f64;
                (shape, Duration::from_secs_f64(TRUTH[1] * tokens * (1.0 + 0.1 * tokens / 500.0)))
            })
            .collect();
        let mut model = CostModel::new(&noisy);
        assert!(model.coefficients().call > 0.0);
        for shape in shapes().take(1000) {
            model.observe(shape, Duration::from_secs_f64(truth(shape)));
        }
        let call = model.coefficients().call / TRUTH[0];
        assert!((0.4..1.3).contains(&call), "{call}");
    }

    #[test]
    fn coefficients_are_never_negative_and_nonsense_is_ignored() {
        let mut model = CostModel::new(&[]);
        let before = model.coefficients();
        model.observe(BatchShape { texts: 0, tokens: 5 }, Duration::from_millis(1));
        model.observe(BatchShape { texts: 1, tokens: 5 }, Duration::ZERO);
        assert_eq!(model.coefficients(), before);
        // Longer texts that are faster: no model fits, but none may be negative.
        for index in 0..300_u32 {
            let tokens = 10 + (index as usize % 10) * 10;
            let millis = 110 - u64::try_from(tokens).unwrap();
            model.observe(BatchShape { texts: 1, tokens }, Duration::from_millis(millis));
            let Coefficients { call, token, token_pair } = model.coefficients();
            assert!(call > 0.0 && token > 0.0 && token_pair > 0.0);
        }
    }

    #[test]
    fn the_error_tells_how_good_the_predictions_are() {
        assert!(fitted(400, |_| 1.0).error() < 0.02);
        let noisy = fitted(400, |index| if index % 2 == 0 { 0.8 } else { 1.2 });
        assert!((0.1..0.3).contains(&noisy.error()), "{}", noisy.error());
    }
}
