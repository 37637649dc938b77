//! The topology in the language of Graphviz.

use super::graph::{EdgeKind, Graph, NodeKind};
use crate::management::snapshot::VhostSnapshot;

pub(super) fn draw(vhosts: &[VhostSnapshot]) -> String {
    let mut drawn = "digraph leveret {\n  rankdir=LR;\n".to_owned();
    drawn += "  node [fontname=\"sans-serif\", fontsize=11];\n";
    drawn += "  edge [fontname=\"sans-serif\", fontsize=9];\n";
    for (place, vhost) in vhosts.iter().enumerate() {
        let graph = Graph::of(vhost);
        let title = text(&format!("virtual host {}", graph.vhost));
        drawn += &format!("  subgraph cluster_{place} {{\n    label=\"{title}\";\n");
        for (index, node) in graph.nodes.iter().enumerate() {
            let shape = match node.kind {
                NodeKind::Exchange => "shape=hexagon",
                NodeKind::Queue => "shape=cylinder",
                NodeKind::UnattendedQueue => "shape=cylinder, color=\"#c2410c\"",
                NodeKind::Consumers => "shape=box, style=rounded",
            };
            let mut label = text(&node.name);
            if !node.numbers.is_empty() {
                label += &format!("\\n{}", text(&node.numbers));
            }
            drawn += &format!("    v{place}n{index} [{shape}, label=\"{label}\"];\n");
        }
        for edge in &graph.edges {
            let mut properties = Vec::new();
            if !edge.label.is_empty() {
                properties.push(format!("label=\"{}\"", text(&edge.label)));
            }
            if matches!(edge.kind, EdgeKind::Alternate | EdgeKind::DeadLetter) {
                properties.push("style=dashed".to_owned());
            }
            let (from, to, properties) = (edge.from, edge.to, properties.join(", "));
            drawn += &format!("    v{place}n{from} -> v{place}n{to} [{properties}];\n");
        }
        drawn += "  }\n";
    }
    drawn + "}\n"
}

/// The text between quotation marks.
fn text(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
