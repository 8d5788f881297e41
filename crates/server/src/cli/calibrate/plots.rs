//! Two plots as SVG text.

use std::ops::Range;

use evaluation::CurvePoint;
use plotters::{
    chart::{ChartBuilder, ChartContext, SeriesLabelPosition},
    coord::{
        Shift,
        combinators::{IntoLogRange, LogCoord},
        types::RangedCoordf64,
    },
    element::DashedPathElement,
    prelude::*,
};

use super::{judge::Judged, propose::Effect, report::Report};

const SIZE: (u32, u32) = (960, 640);
const TALL: (u32, u32) = (960, 860);
const FONT: &str = "sans-serif";
/// Colours that remain apart for the colour-blind (Okabe and Ito).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const PINK: RGBColor = RGBColor(204, 121, 167);
const GREY: RGBColor = RGBColor(90, 90, 90);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type LogLog = Cartesian2d<LogCoord<f64>, LogCoord<f64>>;
type LogShare = Cartesian2d<LogCoord<f64>, RangedCoordf64>;
type Share = fn(&CurvePoint) -> f64;
type Chart<'a, 'b, C> = ChartContext<'a, SVGBackend<'b>, C>;

/// Predicted against observed, on the later labels, both on logarithmic axes: most scores are small.
pub(super) fn reliability(report: &Report) -> anyhow::Result<String> {
    let judged = &report.verdict.judged;
    let floor = floor(judged);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let held = &report.input.held;
        let caption = format!(
            "Reliability on {} later transactions ({} fraud), bins of equal mass",
            held.labels, held.frauds
        );
        let mut chart = ChartBuilder::on(&area)
            .caption(caption, (FONT, 20))
            .margin(16)
            .margin_right(32)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d((floor..1.0).log_scale(), (floor..1.0).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("mean score in the bin")
            .y_desc("share of fraud in the bin, with 95 % interval (Wilson)")
            .x_label_formatter(&|x| percent(*x))
            .y_label_formatter(&|y| percent(*y))
            .label_style((FONT, 14))
            .light_line_style(WHITE)
            .draw()?;
        let diagonal = LineSeries::new([(floor, floor), (1.0, 1.0)], GREY.stroke_width(1));
        chart.draw_series(diagonal)?.label("score = share of fraud").legend(|at| line(at, GREY));
        for (judged, colour) in judged.iter().zip([BLUE, ORANGE, GREEN]) {
            let chosen = judged.name == report.verdict.chosen_name();
            bins(&mut chart, judged, (floor, chosen), colour)?;
        }
        legend(&mut chart, SeriesLabelPosition::UpperLeft)?;
        area.present()?;
    }
    Ok(svg)
}

/// Points with their intervals. A bin without any fraud stands hollow on the lower edge.
fn bins(
    chart: &mut Chart<'_, '_, LogLog>,
    judged: &Judged,
    (floor, chosen): (f64, bool),
    colour: RGBColor,
) -> anyhow::Result<()> {
    let size = if chosen { 5 } else { 3 };
    let clip = |value: f64| value.clamp(floor, 1.0);
    chart.draw_series(judged.bins.iter().map(|bin| {
        let (x, interval) = (clip(bin.predicted), bin.interval);
        let ends = vec![(x, clip(interval.low)), (x, clip(interval.high))];
        PathElement::new(ends, colour.stroke_width(if chosen { 2 } else { 1 }))
    }))?;
    let dots = judged.bins.iter().map(|bin| {
        let style = if bin.frauds > 0 { colour.filled() } else { colour.stroke_width(1) };
        Circle::new((clip(bin.predicted), clip(bin.observed)), size, style)
    });
    let name = format!(
        "{}{}: calibration error {:.4}, log loss {:.4}",
        judged.name,
        if chosen { " (chosen)" } else { "" },
        judged.proper.calibration_error,
        judged.proper.log_loss
    );
    chart
        .draw_series(dots)?
        .label(name)
        .legend(move |(x, y)| Circle::new((x + 10, y), size, colour.filled()));
    Ok(())
}

/// Recall, precision and money against the share escalated; below, what it costs.
pub(super) fn escalation(report: &Report) -> anyhow::Result<String> {
    let first = report.curve.first().map_or(1e-3, |point| point.share);
    let shares = first.clamp(1e-6, 0.1)..1.0;
    let points = spaced(&report.curve);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, TALL).into_drawing_area();
        area.fill(&WHITE)?;
        let (upper, lower) = area.split_vertically(580);
        gains(&upper, report, &points, shares.clone())?;
        costs(&lower, report, &points, shares)?;
        area.present()?;
    }
    Ok(svg)
}

fn gains(
    area: &Area<'_>,
    report: &Report,
    points: &[CurvePoint],
    shares: Range<f64>,
) -> anyhow::Result<()> {
    let held = &report.input.held;
    let caption = format!(
        "Escalation curve on {} later transactions ({} fraud), {} calibration",
        held.labels,
        held.frauds,
        report.verdict.chosen_name()
    );
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 20))
        .margin(16)
        .margin_right(32)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(shares.log_scale(), 0.0..1.0)?;
    share_mesh(&mut chart, "share", &percent)?;
    let above = points.iter().map(|point| (point.share, point.recall_interval.high));
    let below = points.iter().rev().map(|point| (point.share, point.recall_interval.low));
    let band: Vec<_> = above.chain(below).collect();
    chart
        .draw_series([Polygon::new(band, BLUE.mix(0.15))])?
        .label("95 % interval of recall (Wilson)")
        .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 20, y + 5)], BLUE.mix(0.15).filled()));
    let series: [(&str, RGBColor, Share); 3] = [
        ("recall: share of frauds escalated", BLUE, |point| point.recall),
        ("money: share of it in fraud escalated", GREEN, |point| point.value_recall),
        ("precision: fraud among the escalated", ORANGE, |point| point.precision),
    ];
    for (name, colour, value) in series {
        let path = points.iter().map(|point| (point.share, value(point)));
        chart
            .draw_series(LineSeries::new(path, colour.stroke_width(2)))?
            .label(name)
            .legend(move |at| line(at, colour));
    }
    marks(&mut chart, &report.proposal.effects, 1.0, true)?;
    legend(&mut chart, SeriesLabelPosition::MiddleRight)
}

fn costs(
    area: &Area<'_>,
    report: &Report,
    points: &[CurvePoint],
    shares: Range<f64>,
) -> anyhow::Result<()> {
    let most = points.iter().map(|point| point.cost_per_thousand).fold(1e-9, f64::max) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .margin_right(32)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(shares.log_scale(), 0.0..most)?;
    share_mesh(&mut chart, "cost per 1000", &|cost| format!("{cost:.0}"))?;
    let path = points.iter().map(|point| (point.share, point.cost_per_thousand));
    chart
        .draw_series(LineSeries::new(path, PINK.stroke_width(2)))?
        .label("escalations and missed frauds, per 1000 transactions")
        .legend(|at| line(at, PINK));
    marks(&mut chart, &report.proposal.effects, most, false)?;
    legend(&mut chart, SeriesLabelPosition::UpperRight)
}

/// Where each threshold lies, as upright lines.
fn marks(
    chart: &mut Chart<'_, '_, LogShare>,
    effects: &[Effect],
    top: f64,
    named: bool,
) -> anyhow::Result<()> {
    let dashes =
        [(GREY, 6, 4), (BLUE, 2, 3), (BLUE, 8, 3), (GREEN, 8, 3), (PINK, 3, 6), (BLACK, 1, 0)];
    for (effect, (colour, dash, space)) in effects.iter().zip(dashes) {
        let Some(point) = &effect.point else { continue };
        let ends = [(point.share, 0.0), (point.share, top)];
        let style = colour.stroke_width(1);
        let drawn = chart.draw_series(DashedLineSeries::new(ends, dash, space, style))?;
        if named {
            let share = percent(point.share);
            drawn.label(format!("{}: {share} escalated", effect.name)).legend(move |(x, y)| {
                DashedPathElement::new([(x, y), (x + 20, y)], dash, space, style)
            });
        }
    }
    Ok(())
}

fn share_mesh(
    chart: &mut Chart<'_, '_, LogShare>,
    y_desc: &str,
    y_label: &dyn Fn(f64) -> String,
) -> anyhow::Result<()> {
    chart
        .configure_mesh()
        .x_desc("share of transactions escalated")
        .y_desc(y_desc)
        .x_label_formatter(&|share| percent(*share))
        .y_label_formatter(&|value| y_label(*value))
        .y_labels(6)
        .label_style((FONT, 14))
        .light_line_style(WHITE)
        .draw()?;
    Ok(())
}

fn legend<'a, 'b: 'a, C: CoordTranslate>(
    chart: &mut Chart<'a, 'b, C>,
    position: SeriesLabelPosition,
) -> anyhow::Result<()> {
    chart
        .configure_series_labels()
        .position(position)
        .margin(12)
        .background_style(WHITE.mix(0.85))
        .border_style(GREY.mix(0.5))
        .label_font((FONT, 14))
        .draw()?;
    Ok(())
}

fn line((x, y): (i32, i32), colour: RGBColor) -> PathElement<(i32, i32)> {
    PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2))
}

/// The power of ten below every mean score, at most 0.01.
fn floor(judged: &[Judged]) -> f64 {
    let scores = judged.iter().flat_map(|judged| judged.bins.iter().map(|bin| bin.predicted));
    let least = scores.fold(0.01, f64::min).max(1e-6);
    10_f64.powf(least.log10().floor())
}

/// Points that lie apart on a logarithmic axis; the last one always.
fn spaced(curve: &[CurvePoint]) -> Vec<CurvePoint> {
    let mut kept: Vec<CurvePoint> = Vec::new();
    for (n, point) in curve.iter().enumerate() {
        let apart = kept.last().is_none_or(|last| point.share > 1.01 * last.share);
        if apart || n + 1 == curve.len() {
            kept.push(*point);
        }
    }
    kept
}

/// A share in percent, with as many digits as it takes.
fn percent(share: f64) -> String {
    let percent = (share * 1e8).round() / 1e6;
    format!("{} %", if percent >= 1.0 { (percent * 10.0).round() / 10.0 } else { percent })
}
