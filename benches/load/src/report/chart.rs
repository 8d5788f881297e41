//! Line charts as SVG text. Colours come from the page's style, by class.

use std::fmt::Write as _;

/// Size of a chart in its own units, which the page scales.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
/// Where the plot begins and ends within the chart.
const LEFT: f64 = 70.0;
const RIGHT: f64 = WIDTH - 32.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = HEIGHT - 40.0;

/// A scale from values to positions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    Linear {
        from: f64,
        to: f64,
    },
    /// Both above 0.
    Log {
        from: f64,
        to: f64,
    },
}

impl Scale {
    /// From 0 to a round number that holds the value.
    pub(super) fn linear_to(value: f64) -> Self {
        let step = step(value);
        Self::Linear { from: 0.0, to: (value / step).ceil().max(1.0) * step }
    }

    /// Whole decades that hold both values; values of 0 and less count as 1.
    pub(super) fn log_around(low: f64, high: f64) -> Self {
        let (low, high) = (low.max(1.0), high.max(low).max(1.0));
        let from = low.log10().floor();
        let to = high.log10().ceil().max(from + 1.0);
        Self::Log { from: 10_f64.powf(from), to: 10_f64.powf(to) }
    }

    /// 0 at the start of the scale and 1 at its end; what lies outside is drawn at the edge.
    fn position(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear { from, to } => (value - from) / (to - from),
            Self::Log { from, to } => (value.max(from) / from).log10() / (to / from).log10(),
        };
        share.clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { from, to } => {
                let step = step(to - from);
                let count = ((to - from) / step).round() as usize;
                (0..=count).map(|n| from + n as f64 * step).collect()
            }
            Self::Log { from, to } => {
                let count = (to / from).log10().round() as i32;
                (0..=count).map(|n| from * 10_f64.powi(n)).collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, so that some five of them span the range.
fn step(range: f64) -> f64 {
    let rough = range.max(1e-9) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= rough * 0.999);
    times.unwrap_or(10.0) * power
}

/// An axis: its scale, what it means, how its values are written.
pub(super) struct Axis {
    pub(super) name: &'static str,
    pub(super) scale: Scale,
    pub(super) label: fn(f64) -> String,
}

/// One line; its colour is the class `s0`, `s1`, … by its place.
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Draws the lines; a name of an axis or a line must need no escaping.
pub(super) fn lines(x: &Axis, y: &Axis, series: &[Series]) -> String {
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n");
    let at_x = |value: f64| LEFT + x.scale.position(value) * (RIGHT - LEFT);
    let at_y = |value: f64| BOTTOM - y.scale.position(value) * (BOTTOM - TOP);
    for tick in y.scale.ticks() {
        let at = at_y(tick);
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>\
             <text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            (y.label)(tick)
        );
    }
    for tick in x.scale.ticks() {
        let at = at_x(tick);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {TOP}V{BOTTOM}\"/>\
             <text class=\"x\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
            BOTTOM + 16.0,
            (x.label)(tick)
        );
    }
    let middle = LEFT.midpoint(RIGHT);
    let _ = writeln!(
        svg,
        "<text class=\"x\" x=\"{middle}\" y=\"{:.1}\">{}</text>\
         <text class=\"name\" x=\"8\" y=\"16\">{}</text>",
        HEIGHT - 6.0,
        x.name,
        y.name
    );
    for (index, series) in series.iter().enumerate() {
        let key = RIGHT - 150.0 * (index + 1) as f64;
        let _ = writeln!(
            svg,
            "<path class=\"line s{index}\" d=\"M{key} 12h18\"/>\
             <text class=\"name\" x=\"{}\" y=\"16\">{}</text>",
            key + 24.0,
            series.name
        );
        svg.push_str(&path(index, series.points.iter().map(|&(x, y)| (at_x(x), at_y(y)))));
    }
    svg.push_str("</svg>\n");
    svg
}

fn path(index: usize, points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (nth, (x, y)) in points.enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if nth == 0 { 'M' } else { 'L' });
    }
    format!("<path class=\"line s{index}\" d=\"{path}\"/>\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_scale_holds_its_values_and_has_few_ticks(value in 0.0_f64..1e9) {
            for scale in [Scale::linear_to(value), Scale::log_around(1.0, value)] {
                let ticks = scale.ticks();
                prop_assert!((2..=11).contains(&ticks.len()), "{ticks:?}");
                prop_assert!(*ticks.last().unwrap() >= value * 0.999, "{ticks:?}");
                prop_assert!(scale.position(ticks[0]).abs() < 1e-9);
                prop_assert!((scale.position(*ticks.last().unwrap()) - 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn every_point_lies_within_the_plot() {
        let axis = |name, scale| Axis { name, scale, label: |value| value.to_string() };
        let series = Series { name: "a", points: vec![(0.0, 0.0), (5.0, 1e9), (10.0, -1.0)] };
        let svg = lines(
            &axis("x", Scale::linear_to(10.0)),
            &axis("y", Scale::log_around(1.0, 100.0)),
            &[series],
        );
        assert!(svg.contains("M70.0 260.0L449.0 34.0L828.0 260.0"), "{svg}");
        assert!(!svg.contains("NaN"));
    }
}
