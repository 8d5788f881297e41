//! Arithmetic on logits, in double precision and in index order: the same bits every time.

/// `ln(sum(exp(values)))`, stable for large values.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return top;
    }
    top + values.map(|value| (value - top).exp()).sum::<f64>().ln()
}

/// The log-odds of `index` against all others: `z_index - ln(sum(exp(z_other)))`.
pub(crate) fn margin(logits: &[f32], index: usize) -> f64 {
    let others = logits.iter().enumerate().filter(|(other, _)| *other != index);
    f64::from(logits[index]) - log_sum_exp(others.map(|(_, logit)| f64::from(*logit)))
}

/// The highest logit among those allowed; the lowest index wins a tie. `None` when nothing that
/// is a number is allowed.
pub(crate) fn argmax(logits: &[f32], allowed: impl Fn(usize) -> bool) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (index, logit) in logits.iter().enumerate() {
        if logit.is_nan() || !allowed(index) {
            continue;
        }
        if best.is_none_or(|best| *logit > logits[best]) {
            best = Some(index);
        }
    }
    best
}

/// How many logits are compared side by side.
const LANES: usize = 16;

/// The highest logit of all; the lowest index wins a tie. `None` when none is a number.
///
/// The same as [`argmax`] with everything allowed, in lanes that the compiler turns into vectors:
/// it runs once for each token that is generated.
pub(crate) fn top(logits: &[f32]) -> Option<usize> {
    let mut highest = [f32::NEG_INFINITY; LANES];
    let whole = logits.chunks_exact(LANES);
    let rest = whole.remainder();
    for chunk in whole {
        for (highest, logit) in highest.iter_mut().zip(chunk) {
            // Never true for what is not a number.
            if *logit > *highest {
                *highest = *logit;
            }
        }
    }
    let all = highest.iter().chain(rest).copied();
    let highest = all.filter(|logit| !logit.is_nan()).fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|logit| *logit == highest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_margin_is_the_logit_of_the_softmax(
            logits in prop::collection::vec(-8.0f32..8.0, 2..5),
        ) {
            let sum: f64 = logits.iter().map(|z| f64::from(*z).exp()).sum();
            let p = f64::from(logits[0]).exp() / sum;
            prop_assert!((margin(&logits, 0) - (p / (1.0 - p)).ln()).abs() < 1e-9);
        }
    }

    proptest! {
        #[test]
        fn the_top_is_what_a_plain_search_finds(
            logits in prop::collection::vec(
                prop_oneof![
                    8 => (-3i8..3).prop_map(f32::from),
                    1 => Just(f32::NAN),
                    1 => Just(f32::NEG_INFINITY),
                    1 => Just(-0.0f32),
                ],
                0..70,
            ),
        ) {
            prop_assert_eq!(top(&logits), argmax(&logits, |_| true));
        }
    }

    #[test]
    fn the_margin_stays_finite_for_logits_whose_exponential_does_not() {
        assert!((margin(&[1000.0, 0.0], 0) - 1000.0).abs() < 1e-9);
        assert!((margin(&[-1000.0, 0.0, 0.0], 0) + 1000.0 + 2f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn the_lowest_index_wins_a_tie_and_what_is_masked_never_wins() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 9.0], |index| index != 3), Some(1));
        assert_eq!(argmax(&[f32::NAN, f32::NEG_INFINITY], |_| true), Some(1));
        assert_eq!(argmax(&[1.0], |_| false), None);
    }
}
