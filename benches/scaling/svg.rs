//! Curves as an SVG: six panels, three in a row. The code is short. A plotting crate would be the
//! largest dependency of the bench.

use std::fmt::Write;

/// The scale of the vertical axis.
#[derive(Clone, Copy, PartialEq)]
pub enum Scale {
    /// A linear scale from 0.
    Linear,
    Log,
}

pub struct Panel {
    pub title: &'static str,
    pub scale: Scale,
    pub series: Vec<Series>,
}

pub struct Series {
    pub name: &'static str,
    /// Pairs of x and nanoseconds per message.
    pub points: Vec<(u64, f64)>,
}

const COLUMNS: usize = 3;
/// The size of a panel, with its margins.
const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 56.0;
/// The height above all panels.
const HEAD: f64 = 64.0;

const INK: &str = "#1f2328";
const FAINT: &str = "#59636e";
const GRID: &str = "#e4e7ea";
const COLOURS: [&str; 2] = ["#0b62c4", "#8a929b"];

pub fn draw(panels: &[Panel]) -> String {
    let width = WIDTH * COLUMNS as f64;
    let height = HEAD + HEIGHT * panels.len().div_ceil(COLUMNS) as f64;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
"#
    );
    text(
        &mut svg,
        LEFT,
        28.0,
        "start",
        INK,
        r#"font-size="17" font-weight="bold""#,
        "Nanoseconds per message, the more there is of everything",
    );
    let names = panels.iter().flat_map(|panel| &panel.series);
    let mut seen: Vec<&str> = Vec::new();
    for series in names {
        if !seen.contains(&series.name) {
            seen.push(series.name);
        }
    }
    let mut x = LEFT;
    for (name, colour) in seen.iter().zip(COLOURS) {
        let _ = writeln!(
            svg,
            r#"<line x1="{x}" y1="46" x2="{}" y2="46" stroke="{colour}" stroke-width="3"/>"#,
            x + 22.0
        );
        text(&mut svg, x + 28.0, 50.0, "start", INK, "", name);
        x += 50.0 + 7.0 * name.len() as f64;
    }
    let note = "published, routed, received, acknowledged; medians; lower is better";
    text(&mut svg, x, 50.0, "start", FAINT, "", note);
    for (place, panel) in panels.iter().enumerate() {
        let (column, row) = (place % COLUMNS, place / COLUMNS);
        let _ = writeln!(
            svg,
            r#"<g transform="translate({} {})">"#,
            column as f64 * WIDTH,
            HEAD + row as f64 * HEIGHT
        );
        draw_panel(&mut svg, panel, &seen);
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn draw_panel(svg: &mut String, panel: &Panel, names: &[&str]) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let highest = points().map(|(_, y)| *y).fold(1.0, f64::max);
    let lowest = points().map(|(_, y)| *y).fold(highest, f64::min);
    let (ys, place): (Vec<f64>, Box<dyn Fn(f64) -> f64>) = match panel.scale {
        Scale::Linear => {
            let step = step(highest);
            let top = (highest / step).ceil() * step;
            let ys = (0..=(top / step).round() as usize).map(|n| n as f64 * step);
            (ys.collect(), Box::new(move |y| y / top))
        }
        Scale::Log => {
            let ticks: Vec<f64> = (0..7)
                .flat_map(|power| [1.0, 2.0, 5.0].map(|part| part * 10f64.powi(power)))
                .collect();
            let first = ticks.iter().rposition(|&y| y <= lowest).unwrap_or(0);
            let last = ticks.iter().position(|&y| y >= highest);
            let ys = ticks[first..=last.unwrap_or(ticks.len() - 1)].to_vec();
            let (low, high) = (ys[0].ln(), ys[ys.len() - 1].ln());
            let place = move |y: f64| (y.ln() - low) / (high - low).max(1e-9);
            (ys, Box::new(place))
        }
    };
    let at_y = |y: f64| bottom - place(y) * (bottom - TOP);
    for &y in &ys {
        let line = at_y(y);
        let _ = writeln!(
            svg,
            r#"<line x1="{LEFT}" y1="{line:.1}" x2="{right}" y2="{line:.1}" stroke="{GRID}"/>"#
        );
        text(svg, LEFT - 6.0, line + 4.0, "end", FAINT, "", &short(y));
    }
    let xs: Vec<u64> = panel.series.first().map_or(Vec::new(), |series| {
        series.points.iter().map(|(x, _)| *x).collect()
    });
    let (Some(&first), Some(&last)) = (xs.first(), xs.last()) else {
        return;
    };
    let span = (last as f64 / first as f64).ln().max(1e-9);
    let at_x = |x: u64| LEFT + (x as f64 / first as f64).ln() / span * (right - LEFT);
    for &x in &xs {
        let place = at_x(x);
        let _ = writeln!(
            svg,
            r#"<line x1="{place:.1}" y1="{bottom}" x2="{place:.1}" y2="{}" stroke="{FAINT}"/>"#,
            bottom + 4.0
        );
        text(
            svg,
            place,
            bottom + 18.0,
            "middle",
            FAINT,
            "",
            &short(x as f64),
        );
    }
    let _ = writeln!(
        svg,
        r#"<line x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="{FAINT}"/>"#
    );
    let title = match panel.scale {
        Scale::Linear => panel.title.to_owned(),
        Scale::Log => format!("{} (both axes logarithmic)", panel.title),
    };
    let middle = (LEFT + right) / 2.0;
    let style = r#"font-weight="bold""#;
    text(svg, middle, bottom + 38.0, "middle", INK, style, &title);
    // leveret's line is drawn last, so that it is on top.
    for series in panel.series.iter().rev() {
        let colour = names
            .iter()
            .position(|name| *name == series.name)
            .map_or(INK, |n| COLOURS[n % COLOURS.len()]);
        let path: Vec<String> = series
            .points
            .iter()
            .map(|&(x, y)| format!("{:.1},{:.1}", at_x(x), at_y(y)))
            .collect();
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-linejoin="round"/>"#,
            path.join(" ")
        );
        for &(x, y) in &series.points {
            let _ = writeln!(
                svg,
                r#"<circle cx="{:.1}" cy="{:.1}" r="3" fill="{colour}"/>"#,
                at_x(x),
                at_y(y)
            );
        }
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, style: &str, text: &str) {
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}" {style}>{text}</text>"#
    );
}

/// The distance of the axis marks: 1, 2 or 5 times a power of ten, with at most five marks.
fn step(highest: f64) -> f64 {
    let magnitude = 10f64.powf((highest / 5.0).log10().floor());
    let part = highest / 5.0 / magnitude;
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|&step| step >= part);
    step.unwrap_or(10.0) * magnitude
}

/// A number in its shortest form for an axis. Powers of two from 1024 on are in kibi.
fn short(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{}M", value / 1e6),
        _ if value >= 1e3 && value % 1024.0 == 0.0 => format!("{}Ki", value / 1024.0),
        _ if value >= 1e4 => format!("{}k", value / 1e3),
        _ => format!("{value}"),
    }
}
