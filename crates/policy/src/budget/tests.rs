use domain::Score;
use jiff::Timestamp;
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::ChaCha8Rng};

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn budget() -> Budget {
    Budget {
        target_share: 0.05,
        window: 4_000,
        min_observations: 400,
        min_shift: Shift::new(-4.0).unwrap(),
        max_shift: Shift::new(4.0).unwrap(),
        max_step: 0.3,
    }
}

fn thresholds() -> Thresholds {
    Thresholds { escalate: Score::new(0.02).unwrap(), decline: Score::new(0.999).unwrap() }
}

fn controller(budget: Budget) -> Controller {
    budget.check().unwrap();
    Controller::new(budget, thresholds())
}

/// Traffic whose log-odds are normal: mean, deviation, and the share that rules escalate.
#[derive(Clone, Copy)]
struct Mix {
    mean: f64,
    deviation: f64,
    forced: f64,
}

struct Run {
    controller: Controller,
    random: ChaCha8Rng,
    moves: Vec<f64>,
}

impl Run {
    fn new(controller: Controller, seed: u64) -> Self {
        Self { controller, random: ChaCha8Rng::seed_from_u64(seed), moves: Vec::new() }
    }

    /// Lets `count` transactions pass; returns the share escalated.
    fn pass(&mut self, mix: Mix, count: usize) -> f64 {
        let mut escalated = 0;
        for _ in 0..count {
            // The sum of twelve uniform numbers less six is nearly normal, of deviation 1.
            let normal = (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0;
            let margin = mix.mean + mix.deviation * normal;
            let forced = self.random.random::<f64>() < mix.forced;
            let demand = if forced { Demand::Always } else { Demand::Margin(margin) };
            let asked = forced || margin >= self.controller.shift().value();
            escalated += usize::from(asked);
            let observation = Observation { demand, escalated: asked };
            if let Some(adjustment) = self.controller.observe(observation, NOW) {
                assert!(adjustment.from != adjustment.state.shift);
                self.moves.push(adjustment.state.shift.value());
            }
            let state = self.controller.state();
            assert!(state.shift >= self.controller.budget.min_shift);
            assert!(state.shift <= self.controller.budget.max_shift);
        }
        escalated as f64 / count as f64
    }
}

fn near(share: f64, target: f64) -> bool {
    (share / target - 1.0).abs() <= 0.15
}

#[test]
fn the_share_comes_back_after_the_mix_drifts_fivefold_up_and_down() {
    // Normal margins: at a mean of -1.645 deviations a twentieth lies above 0, at -0.674 a quarter,
    // at -2.326 a hundredth.
    let at = |deviations: f64| Mix { mean: 1.5 * deviations, deviation: 1.5, forced: 0.0 };
    for seed in 0..4 {
        let mut run = Run::new(controller(budget()), seed);
        let settled = run.pass(at(-1.645), 30_000);
        assert!(near(settled, 0.05), "seed {seed}: settled {settled}");
        for (name, mix) in [("up", at(-0.674)), ("back", at(-1.645)), ("down", at(-2.326))] {
            run.pass(mix, 8_000);
            let share = run.pass(mix, 30_000);
            assert!(near(share, 0.05), "seed {seed}, {name}: {share}");
        }
    }
}

#[test]
fn without_the_controller_the_drift_would_show() {
    let mut frozen = budget();
    (frozen.min_observations, frozen.target_share) = (frozen.window, 0.999);
    let mut run = Run::new(Controller::new(frozen, thresholds()), 1);
    let share = run.pass(Mix { mean: -1.011, deviation: 1.5, forced: 0.0 }, 3_900);
    assert!(share > 0.2, "{share}");
}

#[test]
fn once_it_has_settled_it_does_not_swing() {
    let mut run = Run::new(controller(budget()), 7);
    let mix = Mix { mean: -1.0, deviation: 1.5, forced: 0.0 };
    run.pass(mix, 20_000);
    run.moves.clear();
    run.pass(mix, 60_000);
    let low = run.moves.iter().copied().fold(f64::INFINITY, f64::min);
    let high = run.moves.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // A twentieth of 4,000 is 200, known to 14: a seventh of the odds here.
    assert!(high - low < 0.45, "between {low} and {high}");
    let mut steps = run.moves.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    assert!(steps.all(|step| step < 0.15), "{:?}", run.moves);
}

#[test]
fn what_rules_escalate_is_taken_from_the_models_share() {
    let mut run = Run::new(controller(budget()), 3);
    let mix = Mix { mean: -1.5, deviation: 1.5, forced: 0.03 };
    run.pass(mix, 12_000);
    let share = run.pass(mix, 30_000);
    assert!(near(share, 0.05), "{share}");
    // Rules that take more than the budget leave models nothing, and it says so.
    run.pass(Mix { forced: 0.2, ..mix }, 20_000);
    let state = run.controller.state();
    assert_eq!((state.limited, state.shift.value()), (Some(Limit::MaxShift), 4.0));
    assert!(state.share > 0.15);
}

#[test]
fn it_says_why_it_goes_no_further() {
    let mut run = Run::new(controller(budget()), 5);
    assert_eq!(run.controller.state().limited, Some(Limit::Observations));
    run.pass(Mix { mean: 3.0, deviation: 0.1, forced: 0.0 }, 390);
    assert_eq!((run.moves.len(), run.controller.state().limited), (0, Some(Limit::Observations)));
    run.pass(Mix { mean: 3.0, deviation: 0.1, forced: 0.0 }, 100);
    assert_eq!(run.controller.state().limited, Some(Limit::Step));
    assert!(run.moves.iter().zip([0.3, 0.6]).all(|(a, b)| (a - b).abs() < 1e-9));
    run.pass(Mix { mean: -9.0, deviation: 0.1, forced: 0.0 }, 20_000);
    let state = run.controller.state();
    assert_eq!((state.limited, state.shift.value()), (Some(Limit::MinShift), -4.0));
    assert!(state.threshold < thresholds().escalate);
}

#[test]
fn a_restart_goes_on_where_it_was_and_waits_until_it_has_seen_enough() {
    let mut run = Run::new(controller(budget()), 9);
    let mix = Mix { mean: -0.5, deviation: 1.5, forced: 0.0 };
    run.pass(mix, 20_000);
    let json = serde_json::to_string(&run.controller.state()).unwrap();
    let state: ControllerState = serde_json::from_str(&json).unwrap();
    let again = controller(budget()).restored(&state);
    assert_eq!(again.shift(), state.shift);
    let mut run = Run::new(again, 10);
    let share = run.pass(mix, 390);
    assert_eq!(run.moves.len(), 0);
    assert!(share < 0.1, "{share}");
    // Under narrower limits the shift starts at the nearest.
    let narrow = Budget { max_shift: Shift::new(0.1).unwrap(), ..budget() };
    assert_eq!(controller(narrow).restored(&state).shift().value(), 0.1);
}

#[test]
fn a_mass_of_equal_scores_stays_on_one_side() {
    let mut run = Run::new(controller(budget()), 2);
    let equal = Mix { mean: 0.5, deviation: 0.0, forced: 0.0 };
    run.pass(equal, 12_000);
    run.moves.clear();
    let share = run.pass(equal, 12_000);
    // All or none: none is within the budget.
    assert_eq!((share, run.moves.len()), (0.0, 0));
}

#[test]
fn scores_at_the_ends_have_demands_without_a_nan() {
    let of = |score: f64, escalate: f64, decline: f64| {
        let [score, escalate, decline] = [score, escalate, decline].map(|p| Score::new(p).unwrap());
        Demand::of(score, &Thresholds { escalate, decline })
    };
    assert_eq!(of(0.0, 0.0, 0.9), Demand::Always);
    assert_eq!(of(1.0, 1.0, 1.0), Demand::Always);
    assert_eq!(of(0.5, 1.0, 1.0), Demand::Never);
    assert_eq!(of(0.95, 0.02, 0.95), Demand::Always);
    assert_eq!(of(0.0, 0.02, 0.95), Demand::Margin(f64::NEG_INFINITY));
    assert_eq!(of(0.02, 0.02, 0.95), Demand::Margin(0.0));
}

proptest! {
    #[test]
    fn a_margin_reaches_the_shift_where_the_score_reaches_the_shifted_threshold(
        score in 0.0..=1.0_f64, escalate in 0.0..=0.9_f64, shift in -4.0..=4.0_f64
    ) {
        let thresholds = Thresholds {
            escalate: Score::new(escalate).unwrap(),
            decline: Score::new(0.95).unwrap(),
        };
        let moved = thresholds.shifted(Shift::new(shift).unwrap());
        let escalated = score >= moved.escalate.value();
        match Demand::of(Score::new(score).unwrap(), &thresholds) {
            Demand::Always => prop_assert!(escalated),
            Demand::Never => prop_assert!(!escalated),
            // Rounding may move what lies on the line.
            Demand::Margin(margin) if (margin - shift).abs() > 1e-6 => {
                prop_assert_eq!(escalated, margin >= shift);
            }
            Demand::Margin(_) => {}
        }
    }

    #[test]
    fn hostile_traffic_moves_it_only_inside_its_limits(
        ends in prop::collection::vec((0_u8..5, any::<bool>()), 100..900)
    ) {
        let small = Budget { window: 100, min_observations: 10, ..budget() };
        let mut controller = controller(small);
        for (kind, escalated) in ends {
            let demand = match kind {
                0 => Demand::Always,
                1 => Demand::Never,
                2 => Demand::Margin(f64::NEG_INFINITY),
                3 => Demand::Margin(f64::NAN),
                _ => Demand::Margin(1e300),
            };
            let before = controller.shift().value();
            controller.observe(Observation { demand, escalated }, NOW);
            let state = controller.state();
            prop_assert!((-4.0..=4.0).contains(&state.shift.value()));
            prop_assert!((state.shift.value() - before).abs() <= small.max_step + 1e-12);
            prop_assert!((0.0..=1.0).contains(&state.share));
        }
    }
}
