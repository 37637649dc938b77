//! Pictures of the topology, with the numbers of a snapshot: as Mermaid, for Graphviz, and as SVG.
//!
//! `graph` finds the nodes and edges that a picture shows, and the others draw them. `layout` gives
//! each node its place in the SVG.

mod dot;
mod graph;
mod layout;
mod mermaid;
mod svg;

use super::snapshot::{Snapshot, VhostSnapshot};

impl Snapshot {
    /// The topology of all virtual hosts as a [Mermaid](https://mermaid.js.org) flow chart, for a
    /// page in Markdown, with numbers: what exchanges have routed, what queues hold, and how many
    /// consumers they have.
    ///
    /// A picture shows bindings with their keys, and with broken lines the ways to alternate and
    /// dead-letter exchanges that arguments name; those of policies are not shown. An exchange
    /// without a binding, a message and a name of the program's own is left out.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.declare(&Queue::new("errors").bind(&Exchange::topic("logs"), "*.error"))?;
    /// let chart = broker.snapshot()?.to_mermaid();
    /// assert!(chart.starts_with("flowchart LR\n"));
    /// assert!(chart.contains(r#"-- "*.error" -->"#));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        mermaid::draw(&self.vhosts)
    }

    /// As [`to_mermaid`](Self::to_mermaid), in the language of Graphviz: `dot -Tpng` draws it.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.declare(&Queue::new("errors").bind(&Exchange::topic("logs"), "*.error"))?;
    /// let graph = broker.snapshot()?.to_dot();
    /// assert!(graph.starts_with("digraph leveret {\n"));
    /// assert!(graph.contains(r#"[label="*.error"]"#));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot::draw(&self.vhosts)
    }

    /// As [`to_mermaid`](Self::to_mermaid), as a picture that every browser shows. It follows the
    /// light or dark setting of the reader, and needs no other file.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Exchange, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.declare(&Queue::new("errors").bind(&Exchange::topic("logs"), "*.error"))?;
    /// let picture = broker.snapshot()?.to_svg();
    /// assert!(picture.starts_with("<svg "));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::draw(&self.vhosts)
    }
}

impl VhostSnapshot {
    /// As [`Snapshot::to_mermaid`], of this virtual host alone.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        mermaid::draw(std::slice::from_ref(self))
    }

    /// As [`Snapshot::to_dot`], of this virtual host alone.
    #[must_use]
    pub fn to_dot(&self) -> String {
        dot::draw(std::slice::from_ref(self))
    }

    /// As [`Snapshot::to_svg`], of this virtual host alone.
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::draw(std::slice::from_ref(self))
    }
}
