//! The topology as a Mermaid flow chart.

use super::graph::{EdgeKind, Graph, NodeKind};
use crate::management::snapshot::VhostSnapshot;

pub(super) fn draw(vhosts: &[VhostSnapshot]) -> String {
    let mut chart = "flowchart LR\n".to_owned();
    for (place, vhost) in vhosts.iter().enumerate() {
        let graph = Graph::of(vhost);
        let indent = match vhosts.len() {
            1 => "  ",
            _ => "    ",
        };
        if vhosts.len() > 1 {
            let title = text(&format!("virtual host {}", graph.vhost));
            chart += &format!("  subgraph v{place}[\"{title}\"]\n");
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            let mut label = text(&node.name);
            if !node.numbers.is_empty() {
                label += &format!("<br/>{}", text(&node.numbers));
            }
            let (open, close) = match node.kind {
                NodeKind::Exchange => ("{{", "}}"),
                NodeKind::Queue | NodeKind::UnattendedQueue => ("[(", ")]"),
                NodeKind::Consumers => ("([", "])"),
            };
            chart += &format!("{indent}v{place}n{index}{open}\"{label}\"{close}\n");
        }
        for edge in &graph.edges {
            let label = text(&edge.label);
            let arrow = match (edge.kind, label.is_empty()) {
                (EdgeKind::Binding | EdgeKind::Delivery, true) => "-->".to_owned(),
                (EdgeKind::Binding | EdgeKind::Delivery, false) => format!("-- \"{label}\" -->"),
                (EdgeKind::Alternate | EdgeKind::DeadLetter, true) => "-.->".to_owned(),
                (EdgeKind::Alternate | EdgeKind::DeadLetter, false) => {
                    format!("-. \"{label}\" .->")
                }
            };
            let (from, to) = (edge.from, edge.to);
            chart += &format!("{indent}v{place}n{from} {arrow} v{place}n{to}\n");
        }
        if vhosts.len() > 1 {
            chart += "  end\n";
        }
    }
    chart
}

/// The text between quotation marks. Mermaid reads entities, and takes other text as Markdown and
/// HTML.
fn text(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '"' | '<' | '>' | '&' | '#' | ';' | '`' | '\\' | '_' => {
                escaped += &format!("#{};", u32::from(character));
            }
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
