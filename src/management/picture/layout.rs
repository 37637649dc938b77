//! The places of the nodes in the SVG: columns from left to right, as messages flow, and in each
//! column an order with few crossings.

use super::graph::{Edge, EdgeKind, Graph, Node, NodeKind};

/// The box of a node. Its place is that of the left upper corner.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
}

/// A picture of one virtual host.
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The height of a box.
pub(super) const BOX: f64 = 46.0;
const ROW: f64 = 66.0;
const MARGIN: f64 = 14.0;
/// How wide a character of a name and one of a small text are at most, nearly always.
const LETTER: f64 = 7.9;
pub(super) const SMALL_LETTER: f64 = 6.3;
const LEAST_WIDTH: f64 = 110.0;
/// The least and the most space between two columns.
const GAP: f64 = 70.0;
const MOST_GAP: f64 = 230.0;
/// How many characters of a name are shown.
pub(super) const MOST_LETTERS: usize = 30;
/// How often the order of each column follows that of its neighbours.
const ROUNDS: usize = 6;

impl Layout {
    pub(super) fn of(graph: &Graph) -> Layout {
        let columns = columns(graph);
        let column_count = columns.iter().max().map_or(0, |last| last + 1);
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); column_count];
        for (node, column) in columns.iter().enumerate() {
            rows[*column].push(node);
        }
        order(graph, &columns, &mut rows);
        place(graph, &columns, &rows)
    }
}

/// The column of each node. An exchange is behind those that are bound to it, the queues are behind
/// all exchanges, and consumers are last.
fn columns(graph: &Graph) -> Vec<usize> {
    let mut columns = vec![0; graph.nodes.len()];
    let is_exchange = |node: usize| graph.nodes[node].kind == NodeKind::Exchange;
    let between = |edge: &&Edge| {
        edge.kind <= EdgeKind::Alternate && is_exchange(edge.from) && is_exchange(edge.to)
    };
    let exchanges = graph
        .nodes
        .iter()
        .filter(|it| it.kind == NodeKind::Exchange);
    // Exchanges may be bound in a circle: the number of rounds ends it.
    let most = exchanges.count().min(8);
    for _ in 0..most {
        for edge in graph.edges.iter().filter(between) {
            if columns[edge.to] <= columns[edge.from] && columns[edge.from] + 1 < most {
                columns[edge.to] = columns[edge.from] + 1;
            }
        }
    }
    let exchanges = (0..graph.nodes.len()).filter(|node| is_exchange(*node));
    let behind = exchanges.map(|node| columns[node] + 1).max().unwrap_or(0);
    for (node, column) in graph.nodes.iter().zip(&mut columns) {
        match node.kind {
            NodeKind::Exchange => {}
            NodeKind::Queue | NodeKind::UnattendedQueue => *column = behind,
            NodeKind::Consumers => *column = behind + 1,
        }
    }
    columns
}

/// Orders the nodes of each column by the middle of their neighbours.
fn order(graph: &Graph, columns: &[usize], rows: &mut [Vec<usize>]) {
    let mut neighbours = vec![Vec::new(); graph.nodes.len()];
    for edge in &graph.edges {
        if columns[edge.from] != columns[edge.to] && edge.kind != EdgeKind::DeadLetter {
            neighbours[edge.from].push(edge.to);
            neighbours[edge.to].push(edge.from);
        }
    }
    let mut ranks = vec![0.0; graph.nodes.len()];
    let rank_all = |rows: &[Vec<usize>], ranks: &mut Vec<f64>| {
        for row in rows {
            for (rank, node) in row.iter().enumerate() {
                ranks[*node] = (rank as f64 + 0.5) / row.len() as f64;
            }
        }
    };
    for round in 0..ROUNDS {
        rank_all(rows, &mut ranks);
        let visited: Vec<usize> = match round % 2 {
            0 => (0..rows.len()).collect(),
            _ => (0..rows.len()).rev().collect(),
        };
        for column in visited {
            let middle = |node: usize| {
                let near = &neighbours[node];
                match near.len() {
                    0 => ranks[node],
                    count => near.iter().map(|it| ranks[*it]).sum::<f64>() / count as f64,
                }
            };
            let mut sorted: Vec<(f64, usize)> = rows[column]
                .iter()
                .map(|node| (middle(*node), *node))
                .collect();
            sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
            rows[column] = sorted.into_iter().map(|(_, node)| node).collect();
            for (rank, node) in rows[column].iter().enumerate() {
                ranks[*node] = (rank as f64 + 0.5) / rows[column].len() as f64;
            }
        }
    }
}

fn place(graph: &Graph, columns: &[usize], rows: &[Vec<usize>]) -> Layout {
    let tallest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let height = 2.0 * MARGIN + tallest as f64 * ROW - (ROW - BOX);
    let mut places = vec![Place::default(); graph.nodes.len()];
    let mut x = MARGIN;
    for (column, row) in rows.iter().enumerate() {
        let widths = row.iter().map(|node| width(&graph.nodes[*node]));
        let width = widths.fold(LEAST_WIDTH, f64::max);
        // A column is centred, and consumers stand beside their queue as far as possible.
        let top = MARGIN + (tallest - row.len()) as f64 * ROW / 2.0;
        for (rank, node) in row.iter().enumerate() {
            places[*node] = Place {
                x,
                y: top + rank as f64 * ROW,
                width,
            };
        }
        if column > 0 {
            align(graph, row, &mut places, height);
        }
        let labels = graph
            .edges
            .iter()
            .filter(|edge| columns[edge.from] == column);
        // A way back to another column runs along the left side.
        let labels = labels.filter(|edge| columns[edge.to] >= column);
        let longest = labels.map(|edge| shown(&edge.label).chars().count()).max();
        let gap = longest.unwrap_or(0) as f64 * SMALL_LETTER + 36.0;
        x += width + gap.clamp(GAP, MOST_GAP);
        if column + 1 == rows.len() {
            x -= gap.clamp(GAP, MOST_GAP);
        }
    }
    Layout {
        places,
        width: x + MARGIN,
        height,
    }
}

/// Moves the consumers of a column beside their queues, which have rows of their own.
fn align(graph: &Graph, row: &[usize], places: &mut [Place], height: f64) {
    for node in row {
        let delivery = |edge: &&Edge| edge.to == *node && edge.kind == EdgeKind::Delivery;
        if let Some(edge) = graph.edges.iter().find(delivery) {
            let others = graph.edges.iter().filter(|it| it.from == edge.from);
            let beside = others.filter(|it| it.kind == EdgeKind::Delivery && it.to < *node);
            let y = places[edge.from].y + beside.count() as f64 * (BOX + 4.0);
            places[*node].y = y.min(height - MARGIN - BOX);
        }
    }
}

fn width(node: &Node) -> f64 {
    let name = shown(&node.name).chars().count() as f64 * LETTER;
    let numbers = node.numbers.chars().count() as f64 * SMALL_LETTER;
    name.max(numbers) + 26.0
}

/// The beginning of a long name.
pub(super) fn shown(name: &str) -> String {
    match name.chars().count() > MOST_LETTERS {
        true => {
            let begin = name.chars().take(MOST_LETTERS - 1);
            begin.chain(['…']).collect()
        }
        false => name.to_owned(),
    }
}
