//! Chooses a token among those allowed.

use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};

use crate::logits::{argmax, top};

/// How tokens are chosen. A verdict never is: it is always the likeliest of its choices.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Sampling {
    /// The likeliest token, the lowest id in a tie. Decisions are made so.
    #[default]
    Greedy,
    /// At random from the likeliest tokens (nucleus sampling, Holtzman et al. 2020). The same
    /// seed and prompt always give the same answer, whatever else runs.
    Nucleus {
        /// Divides the logits; above 0. Towards 0 it becomes greedy.
        temperature: f32,
        /// The smallest set of likeliest tokens whose probabilities sum up to this is drawn
        /// from; above 0, up to 1.
        top_p: f32,
        /// Where the randomness starts.
        seed: u64,
    },
}

impl Sampling {
    /// Whether the numbers mean anything.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self::Nucleus { temperature, top_p, .. } = *self else { return Ok(()) };
        if !temperature.is_finite() || temperature <= 0.0 {
            return Err(format!("a temperature of {temperature} is not above 0"));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(format!("a top_p of {top_p} is not above 0 and up to 1"));
        }
        Ok(())
    }
}

/// The choices of one sequence.
pub(super) enum Sampler {
    Greedy,
    Nucleus { temperature: f32, top_p: f32, random: Box<ChaCha12Rng> },
}

impl From<Sampling> for Sampler {
    fn from(sampling: Sampling) -> Self {
        match sampling {
            Sampling::Greedy => Self::Greedy,
            Sampling::Nucleus { temperature, top_p, seed } => {
                let random = Box::new(ChaCha12Rng::seed_from_u64(seed));
                Self::Nucleus { temperature, top_p, random }
            }
        }
    }
}

impl Sampler {
    pub(super) fn is_greedy(&self) -> bool {
        matches!(self, Self::Greedy)
    }

    /// A token; `None` when no logit is a number.
    pub(super) fn choose_any(&mut self, logits: &[f32]) -> Option<u32> {
        match self {
            Self::Greedy => top(logits).and_then(|index| u32::try_from(index).ok()),
            Self::Nucleus { .. } => self.choose(logits, |_| true),
        }
    }

    /// A token among those allowed; `None` when no allowed logit is a number.
    pub(super) fn choose(&mut self, logits: &[f32], allowed: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            Self::Greedy => best(logits, allowed),
            Self::Nucleus { temperature, top_p, random } => {
                let nucleus = nucleus(logits, allowed, *temperature, *top_p);
                draw(&nucleus, random.random::<f64>())
            }
        }
    }
}

/// The likeliest allowed token; the lowest id wins a tie.
pub(super) fn best(logits: &[f32], allowed: impl Fn(u32) -> bool) -> Option<u32> {
    let token = |index: usize| u32::try_from(index).ok();
    argmax(logits, |index| token(index).is_some_and(&allowed)).and_then(token)
}

/// The smallest set of likeliest tokens that holds `top_p` of the probability, likeliest first,
/// with weights that are not normalised.
fn nucleus(
    logits: &[f32],
    allowed: impl Fn(u32) -> bool,
    temperature: f32,
    top_p: f32,
) -> Vec<(u32, f64)> {
    let tokens = (0..).zip(logits).filter(|(token, logit)| !logit.is_nan() && allowed(*token));
    let scaled = tokens.map(|(token, logit)| (token, f64::from(*logit) / f64::from(temperature)));
    let mut candidates: Vec<(u32, f64)> = scaled.collect();
    candidates.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top = candidates.first().map_or(0.0, |(_, logit)| *logit);
    for (_, weight) in &mut candidates {
        *weight = (*weight - top).exp();
    }
    let wanted = f64::from(top_p) * candidates.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut held = 0.0;
    let inside = candidates.iter().take_while(|(_, weight)| {
        let more = held < wanted;
        held += weight;
        more
    });
    let count = inside.count();
    candidates.truncate(count);
    candidates
}

/// The token at `point`, 0 to 1, of the weights laid end to end.
fn draw(nucleus: &[(u32, f64)], point: f64) -> Option<u32> {
    let mut left = point * nucleus.iter().map(|(_, weight)| weight).sum::<f64>();
    for (token, weight) in nucleus {
        left -= weight;
        if left < 0.0 {
            return Some(*token);
        }
    }
    nucleus.last().map(|(token, _)| *token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f32, top_p: f32, seed: u64) -> Sampler {
        Sampling::Nucleus { temperature, top_p, seed }.into()
    }

    #[test]
    fn a_seed_always_draws_the_same_and_others_draw_otherwise() {
        let logits = [0.0; 50];
        let drawn = |seed| {
            let mut sampler = sampler(1.0, 1.0, seed);
            (0..20).map(|_| sampler.choose(&logits, |_| true).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_likely() {
        // Probabilities 0.7, 0.2 and 0.1 at a temperature of 2.
        let logits = [0.7f32, 0.2, 0.1].map(|p| 2.0 * p.ln());
        let mut sampler = sampler(2.0, 1.0, 3);
        let mut counts = [0usize; 3];
        for _ in 0..10_000 {
            counts[sampler.choose(&logits, |_| true).unwrap() as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([7000usize, 2000, 1000]) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
    }

    #[test]
    fn only_the_nucleus_and_only_what_is_allowed_is_drawn() {
        let logits = [0.6f32, 0.3, 0.1].map(f32::ln);
        let weights = nucleus(&logits, |_| true, 1.0, 0.7);
        assert_eq!(weights.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [0, 1]);
        let mut sampler = sampler(1.0, 0.5, 4);
        assert!((0..100).all(|_| sampler.choose(&logits, |token| token != 0) == Some(1)));
        assert_eq!(sampler.choose(&logits, |_| false), None);
        assert_eq!(sampler.choose(&[f32::NAN], |_| true), None);
    }

    #[test]
    fn numbers_without_meaning_are_refused() {
        for (temperature, top_p) in [(0.0, 0.5), (f32::NAN, 0.5), (1.0, 0.0), (1.0, 1.1)] {
            assert!(Sampling::Nucleus { temperature, top_p, seed: 0 }.check().is_err());
        }
        assert!(Sampling::Nucleus { temperature: 0.7, top_p: 1.0, seed: 0 }.check().is_ok());
    }
}
