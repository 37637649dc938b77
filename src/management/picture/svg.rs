//! The topology as an SVG.

use super::{
    graph::{Edge, EdgeKind, Graph, Node, NodeKind},
    layout::{BOX, Layout, Place, SMALL_LETTER, shown},
};
use crate::management::snapshot::VhostSnapshot;

/// The colours of a light page, and of a dark one. The names begin with `lv-`, since the rules also
/// count for the page that the picture is in.
const STYLE: &str = "\
.lv-picture{font-family:system-ui,sans-serif;--lv-ink:#1c2733;--lv-soft:#5b6b7b;\
--lv-line:#8fa1b3;--lv-page:#ffffff;--lv-exchange:#e5edfb;--lv-exchange-line:#5479c4;\
--lv-queue:#e6f4ec;--lv-queue-line:#3f8f66;--lv-alarm:#fdeee0;--lv-alarm-line:#c2610c;\
--lv-consumer:#f1f3f5;--lv-dead:#b3475b}\
@media(prefers-color-scheme:dark){.lv-picture{--lv-ink:#e6ebf0;--lv-soft:#a3b1bf;\
--lv-line:#70808f;--lv-page:#14191f;--lv-exchange:#1d2b45;--lv-exchange-line:#7ea0e6;\
--lv-queue:#17301f;--lv-queue-line:#62bb8c;--lv-alarm:#3a2511;--lv-alarm-line:#f0a050;\
--lv-consumer:#222a32;--lv-dead:#e58a9b}}\
.lv-name{font-size:13px;font-weight:600;fill:var(--lv-ink)}\
.lv-numbers,.lv-key{font-size:11px;fill:var(--lv-soft)}\
.lv-key{text-anchor:middle;paint-order:stroke;stroke:var(--lv-page);stroke-width:4px}\
.lv-vhost{font-size:14px;font-weight:600;fill:var(--lv-soft)}\
.lv-way{fill:none;stroke:var(--lv-line);stroke-width:1.4}\
.lv-broken{stroke-dasharray:5 4}.lv-dead{stroke:var(--lv-dead)}\
.lv-head{fill:var(--lv-line)}.lv-exchange{fill:var(--lv-exchange);stroke:var(--lv-exchange-line)}\
.lv-queue{fill:var(--lv-queue);stroke:var(--lv-queue-line)}\
.lv-alarm{fill:var(--lv-alarm);stroke:var(--lv-alarm-line)}\
.lv-consumer{fill:var(--lv-consumer);stroke:var(--lv-line)}";

/// The space for the name of a virtual host.
const TITLE: f64 = 30.0;

pub(super) fn draw(vhosts: &[VhostSnapshot]) -> String {
    let (mut body, mut width, mut height) = (String::new(), 0.0_f64, 0.0);
    for vhost in vhosts {
        let graph = Graph::of(vhost);
        if vhosts.len() > 1 {
            let title = escaped(&format!("virtual host {}", graph.vhost));
            body += &format!(
                "<text class=\"lv-vhost\" x=\"14\" y=\"{:.0}\">{title}</text>\n",
                height + 22.0
            );
            height += TITLE;
        }
        let layout = Layout::of(&graph);
        body += &format!("<g transform=\"translate(0 {height:.0})\">\n");
        for edge in &graph.edges {
            body += &way(edge, &layout.places);
        }
        for (node, place) in graph.nodes.iter().zip(&layout.places) {
            body += &shape(node, *place);
        }
        // The keys are above the lines.
        for edge in graph.edges.iter().filter(|edge| !edge.label.is_empty()) {
            body += &key(edge, &layout.places);
        }
        body += "</g>\n";
        width = width.max(layout.width);
        height += layout.height;
    }
    let (width, height) = (width.max(40.0), height.max(20.0));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"lv-picture\" role=\"img\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <title>Exchanges, queues and consumers</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"lv-arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
         markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path class=\"lv-head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n{body}</svg>\n"
    )
}

/// The ends of an edge, and the points to which its curve is drawn.
fn points(edge: &Edge, places: &[Place]) -> [(f64, f64); 4] {
    let (from, to) = (places[edge.from], places[edge.to]);
    let (start_y, end_y) = (from.y + BOX / 2.0, to.y + BOX / 2.0);
    let is_forward = to.x >= from.x + from.width;
    match is_forward {
        true => {
            let (start, end) = (from.x + from.width, to.x);
            let bend = ((end - start) / 2.0).max(24.0);
            [
                (start, start_y),
                (start + bend, start_y),
                (end - bend, end_y),
                (end, end_y),
            ]
        }
        // Back, or to the same column: around the right sides, or from the left side.
        false if to.x == from.x => {
            let right = from.x + from.width.max(to.width);
            let letters = shown(&edge.label).chars().count() as f64;
            let bend = (letters * SMALL_LETTER / 1.5 + 18.0).max(34.0);
            [
                (from.x + from.width, start_y + 8.0),
                (right + bend, start_y + 8.0),
                (right + bend, end_y - 8.0),
                (to.x + to.width, end_y - 8.0),
            ]
        }
        false => {
            let bend = ((from.x - to.x - to.width) / 2.0).max(24.0);
            [
                (from.x, start_y + 10.0),
                (from.x - bend, start_y + 10.0),
                (to.x + to.width + bend, end_y + 10.0),
                (to.x + to.width, end_y + 10.0),
            ]
        }
    }
}

fn way(edge: &Edge, places: &[Place]) -> String {
    let [a, b, c, d] = points(edge, places);
    let class = match edge.kind {
        EdgeKind::Binding | EdgeKind::Delivery => "lv-way",
        EdgeKind::Alternate => "lv-way lv-broken",
        EdgeKind::DeadLetter => "lv-way lv-broken lv-dead",
    };
    format!(
        "<path class=\"{class}\" marker-end=\"url(#lv-arrow)\" \
         d=\"M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}\"/>\n",
        a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1
    )
}

/// The label of an edge, near its end, where ways that begin together are apart.
fn key(edge: &Edge, places: &[Place]) -> String {
    let curve = points(edge, places);
    let at = match edge.kind {
        EdgeKind::DeadLetter => 0.5,
        _ => 0.62,
    };
    let weights = [
        (1.0_f64 - at).powi(3),
        3.0 * (1.0 - at) * (1.0 - at) * at,
        3.0 * (1.0 - at) * at * at,
        at.powi(3),
    ];
    let (mut x, mut y) = (0.0, 0.0);
    for ((px, py), weight) in curve.iter().zip(weights) {
        x += px * weight;
        y += py * weight;
    }
    let label = shown(&edge.label);
    // It does not reach out of the picture at the left.
    let x = x.max(label.chars().count() as f64 * SMALL_LETTER / 2.0 + 4.0);
    format!(
        "<text class=\"lv-key\" x=\"{x:.1}\" y=\"{:.1}\">{}<title>{}</title></text>\n",
        y + 4.0,
        escaped(&label),
        escaped(&edge.label)
    )
}

fn shape(node: &Node, place: Place) -> String {
    let Place { x, y, width } = place;
    let (class, radius) = match node.kind {
        NodeKind::Exchange => ("lv-exchange", 23.0),
        NodeKind::Queue => ("lv-queue", 4.0),
        NodeKind::UnattendedQueue => ("lv-alarm", 4.0),
        NodeKind::Consumers => ("lv-consumer", 10.0),
    };
    let middle = x + width / 2.0;
    let name_y = if node.numbers.is_empty() { 28.0 } else { 20.0 };
    format!(
        "<g><title>{}</title><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" \
         width=\"{width:.1}\" height=\"{BOX}\" rx=\"{radius}\"/>\
         <text class=\"lv-name\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"lv-numbers\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>\
         </g>\n",
        escaped(&node.name),
        y + name_y,
        escaped(&shown(&node.name)),
        y + 36.0,
        escaped(&node.numbers)
    )
}

/// Text for XML, in which most control characters may not stand.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
