//! Simulated scores with a known truth.

#![allow(dead_code)]

use evaluation::Labelled;
use rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};

pub(crate) fn rng(seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(seed)
}

/// The standard normal distribution (Box and Muller).
pub(crate) fn normal(rng: &mut ChaCha12Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

pub(crate) fn logistic(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// Margins from N(-2, 2), fraud with the probability that `truth` gives them.
pub(crate) fn margins(n: usize, seed: u64, truth: impl Fn(f64) -> f64) -> Vec<Labelled> {
    let mut rng = rng(seed);
    (0..n)
        .map(|_| {
            let score = 2.0 * normal(&mut rng) - 2.0;
            Labelled { score, fraud: rng.random::<f64>() < truth(score) }
        })
        .collect()
}
