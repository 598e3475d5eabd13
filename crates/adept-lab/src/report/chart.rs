//! Validation curves as inline SVG: no scripts, no external resources, colours from the page's stylesheet.

use std::fmt::Write as _;

use super::text::escape_html;

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 42.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 36.0;

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Tooltip text.
    pub label: String,
    /// CSS class that determines its colour.
    pub class: String,
    /// Points: optimiser step and value.
    pub points: Vec<(usize, f64)>,
}

/// A chart of several lines over optimiser steps; empty if no line has a finite point.
#[must_use]
pub fn chart(title: &str, lines: &[Line]) -> String {
    let points = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .filter(|point| point.1.is_finite())
    };
    let Some(last_step) = points().map(|point| point.0).max() else {
        return String::new();
    };
    let lowest = points().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let highest = points().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let ticks = ticks(lowest, highest);
    let (bottom, top) = (ticks[0], ticks[ticks.len() - 1]);
    let x = |step: usize| LEFT + (WIDTH - LEFT - RIGHT) * step as f64 / last_step.max(1) as f64;
    let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - bottom) / (top - bottom);

    let title = escape_html(title);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n");
    for tick in &ticks {
        let height = y(*tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{height:.1}\" y2=\"{height:.1}\"/>",
            WIDTH - RIGHT
        );
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 5.0,
            height + 4.0,
            number(*tick)
        );
    }
    for part in [0.0, 0.5, 1.0] {
        let step = (last_step as f64 * part).round() as usize;
        let anchor = if part == 1.0 { "end" } else { "middle" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{step}</text>",
            x(step),
            HEIGHT - BOTTOM + 16.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">step</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 5.0
    );
    for line in lines {
        let finite: Vec<_> = line.points.iter().filter(|point| point.1.is_finite()).collect();
        let path: Vec<String> = finite
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1)))
            .collect();
        let (class, label) = (escape_html(&line.class), escape_html(&line.label));
        let _ = writeln!(
            svg,
            "<g class=\"{class}\"><title>{label}</title><polyline points=\"{}\"/>",
            path.join(" ")
        );
        for point in finite {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"/>",
                x(point.0),
                y(point.1)
            );
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>");
    svg
}

/// At least two round values that enclose `lowest..=highest`.
fn ticks(lowest: f64, highest: f64) -> Vec<f64> {
    let span = (highest - lowest).max(1e-6);
    let raw = span / 4.0;
    let magnitude = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|factor| factor * magnitude)
        .into_iter()
        .find(|step| *step >= raw);
    let step = step.unwrap_or(raw);
    let first = (lowest / step).floor();
    let last = (highest / step).ceil().max(first + 1.0);
    (0..=(last - first) as usize)
        .map(|index| (first + index as f64) * step)
        .collect()
}

/// A tick label without unnecessary digits.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        assert_eq!(ticks(52.0, 88.0), [50.0, 60.0, 70.0, 80.0, 90.0]);
        for (lowest, highest) in [(50.0, 50.0), (0.0, 100.0), (-3.2, 4.1), (99.1, 99.2)] {
            let ticks = ticks(lowest, highest);
            assert!(ticks.len() >= 2 && ticks.len() <= 8, "{ticks:?}");
            assert!(ticks[0] <= lowest && ticks[ticks.len() - 1] >= highest, "{ticks:?}");
        }
    }

    #[test]
    fn labels_are_escaped_and_values_that_are_no_numbers_left_out() {
        let line = Line {
            label: "<script>".to_owned(),
            class: "m-pt".to_owned(),
            points: vec![(0, 50.0), (10, f64::NAN), (20, 60.0)],
        };
        let svg = chart("a & b", &[line]);
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;script&gt;") && !svg.contains("<script>"));
        assert!(!svg.contains("NaN"));
        assert_eq!(svg.matches("<circle").count(), 2);
        assert_eq!(chart("nothing", &[]), "");
    }
}
