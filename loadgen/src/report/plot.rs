//! Two plots by hand: latencies over percentiles, and over time.

use std::fmt::Write;

use hdrhistogram::Histogram;

use super::Plotted;
use super::figures::micros;
use crate::load::INTERVAL;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 80.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 12.0;
/// Most points of one curve.
const POINTS: u32 = 200;
/// Told apart also by people who see fewer colours.
const COLOURS: [&str; 6] = ["#1b6ca8", "#d1495b", "#3a7d44", "#8a5a00", "#6a4c93", "#444444"];

/// A point: place on the horizontal axis, nanoseconds.
type Point = (f64, f64);

/// A curve.
struct Curve {
    name: String,
    points: Vec<Point>,
    is_dashed: bool,
}

/// Latency over percentile; the axis is logarithmic in what is left to 100 %.
pub(super) fn percentiles(plotted: &[Plotted]) -> String {
    let curves: Vec<_> = plotted
        .iter()
        .map(|plotted| Curve {
            name: plotted.name.clone(),
            points: quantile_points(&plotted.recorder.response),
            is_dashed: false,
        })
        .collect();
    let ticks = [(0.0, "0 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %"), (5.0, "99.999 %")];
    let ticks: Vec<_> = ticks.iter().map(|(place, name)| (*place, (*name).to_owned())).collect();
    draw("Latency by percentile", &curves, &ticks)
}

/// Median and 99th percentile over time.
pub(super) fn series(plotted: &[Plotted]) -> String {
    let of = |plotted: &Plotted, quantile: f64, is_dashed| {
        let seconds = INTERVAL.as_secs_f64();
        let points = plotted.recorder.series.iter().enumerate().filter(|(_, interval)| !interval.is_empty());
        let points = points
            .map(|(place, interval)| (place as f64 * seconds, interval.value_at_quantile(quantile).max(1) as f64));
        let suffix = if is_dashed { "p99" } else { "p50" };
        Curve { name: format!("{} {suffix}", plotted.name), points: points.collect(), is_dashed }
    };
    let curves: Vec<_> =
        plotted.iter().flat_map(|plotted| [of(plotted, 0.5, false), of(plotted, 0.99, true)]).collect();
    let longest = curves.iter().flat_map(|curve| curve.points.last()).map(|point| point.0).fold(1.0, f64::max);
    let step = (longest / 8.0).max(0.25);
    let ticks: Vec<_> =
        (0..=8).map(|tick| (f64::from(tick) * step, format!("{:.1} s", f64::from(tick) * step))).collect();
    draw("Latency over time", &curves, &ticks)
}

fn quantile_points(histogram: &Histogram<u64>) -> Vec<Point> {
    if histogram.is_empty() {
        return Vec::new();
    }
    // Beyond this there is less than one value.
    let last = (histogram.len() as f64).log10().min(6.0);
    let place = |step: u32| last * f64::from(step) / f64::from(POINTS);
    let value = |place: f64| histogram.value_at_quantile(1.0 - 10_f64.powf(-place)).max(1) as f64;
    (0..=POINTS).map(|step| (place(step), value(place(step)))).collect()
}

fn draw(title: &str, curves: &[Curve], ticks: &[(f64, String)]) -> String {
    let all = || curves.iter().flat_map(|curve| curve.points.iter());
    let right = all().map(|point| point.0).fold(1.0, f64::max);
    let low = all().map(|point| point.1).fold(f64::MAX, f64::min).clamp(1.0, 1e12).log10().floor();
    let high = all().map(|point| point.1).fold(10.0, f64::max).log10().ceil().max(low + 1.0);
    let x = |place: f64| LEFT + place / right * (WIDTH - LEFT - 10.0);
    let y = |value: f64| TOP + (high - value.log10()) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    let mut decade = low;
    while decade <= high {
        let (height, name) = (y(10_f64.powf(decade)), axis_name(decade));
        put(
            &mut svg,
            format_args!(
                "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{height:.1}\" y2=\"{height:.1}\" class=\"grid\"/><text x=\"{:.1}\" y=\"{:.1}\" class=\"left\">{name}</text>",
                LEFT - 6.0,
                height + 4.0
            ),
        );
        decade += 1.0;
    }
    for (place, name) in ticks.iter().filter(|(place, _)| *place <= right) {
        put(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" class=\"below\">{name}</text>",
                x(*place),
                HEIGHT - BOTTOM + 18.0
            ),
        );
    }
    for (number, curve) in curves.iter().enumerate() {
        let pairs = curves.iter().any(|curve| curve.is_dashed);
        let colour = COLOURS[if pairs { number / 2 } else { number } % COLOURS.len()];
        let dashes = if curve.is_dashed { " stroke-dasharray=\"4 3\"" } else { "" };
        let points: String =
            curve.points.iter().map(|(place, value)| format!("{:.1},{:.1} ", x(*place), y(*value))).collect();
        put(&mut svg, format_args!("<polyline points=\"{points}\" stroke=\"{colour}\"{dashes}/>"));
    }
    svg.push_str("</svg><p>");
    for (number, curve) in curves.iter().enumerate() {
        let pairs = curves.iter().any(|curve| curve.is_dashed);
        let colour = COLOURS[if pairs { number / 2 } else { number } % COLOURS.len()];
        let mark = if curve.is_dashed { "┄" } else { "━" };
        put(
            &mut svg,
            format_args!("<span style=\"color:{colour}\">{mark}</span> {} ", super::page::escape(&curve.name)),
        );
    }
    svg.push_str("</p></figure>");
    svg
}

fn axis_name(decade: f64) -> String {
    let value = 10_f64.powf(decade);
    if value < 1e18 { micros(value as u64) } else { String::new() }
}

fn put(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = text.write_fmt(part);
}
