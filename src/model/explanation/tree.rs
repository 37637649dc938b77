//! The explanation of a route as text: a tree, printed without recursion.

use std::{collections::HashSet, fmt};

use super::{
    ExplainedBinding, ExplainedDestination, ExplainedExchange, Explanation, HeaderCondition,
    MatchReason,
};

/// Behind this level the tree grows no wider.
const DEEPEST: usize = 32;

/// A line that is still to be printed.
enum Line<'a> {
    Binding(&'a ExplainedBinding),
    /// The way to an alternate exchange.
    Alternate(&'a str),
    /// The number of bindings that do not lead the message on.
    Others(usize),
    Nothing,
    Delay(std::time::Duration),
}

/// A line with its place: the level, and whether it is the last of its exchange.
struct Placed<'a> {
    line: Line<'a>,
    /// For each level above, whether lines of it follow.
    above: Vec<bool>,
    last: bool,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.exchanges.first() else {
            return Ok(());
        };
        write!(f, "{}", Titled(first))?;
        for (at, key) in self.routing_keys.iter().enumerate() {
            let word = if at == 0 { ", routing key" } else { "," };
            write!(f, "{word} {key:?}")?;
        }
        writeln!(f)?;
        let mut shown = HashSet::from([&first.name]);
        let mut rest = lines(first, Vec::new());
        while let Some(Placed { line, above, last }) = rest.pop() {
            for follows in &above {
                f.write_str(if *follows { "│  " } else { "   " })?;
            }
            f.write_str(if last { "└─ " } else { "├─ " })?;
            let next = match line {
                Line::Others(count) => {
                    let (noun, verb) = match count {
                        1 => ("binding", "does"),
                        _ => ("bindings", "do"),
                    };
                    writeln!(f, "{count} {noun} {verb} not match")?;
                    continue;
                }
                Line::Nothing => {
                    writeln!(f, "no binding matches: the message is dropped")?;
                    continue;
                }
                Line::Delay(delay) => {
                    writeln!(f, "kept for {delay:?}, and routed then")?;
                    continue;
                }
                Line::Alternate(name) => {
                    f.write_str("no binding matches, so to the alternate ")?;
                    name
                }
                Line::Binding(binding) => {
                    write!(f, "{}: ", Reason(binding))?;
                    match &binding.destination {
                        ExplainedDestination::Queue(name) => {
                            write!(f, "queue {:?}", name.as_str())?;
                            match self.queue(name) {
                                Some(queue) => writeln!(f, " {}", queue.outlook)?,
                                None => writeln!(f)?,
                            }
                            continue;
                        }
                        ExplainedDestination::NoQueue(name) => {
                            writeln!(f, "there is no queue {name:?}")?;
                            continue;
                        }
                        ExplainedDestination::ReplyTo(address) => {
                            writeln!(f, "direct reply to {address:?}")?;
                            continue;
                        }
                        ExplainedDestination::Exchange(name) => name,
                    }
                }
            };
            match self.exchange(next) {
                None => writeln!(f, "exchange {next:?}")?,
                Some(exchange) if !shown.insert(&exchange.name) => {
                    writeln!(f, "{} (see above)", Titled(exchange))?;
                }
                Some(exchange) => {
                    writeln!(f, "{}", Titled(exchange))?;
                    let mut above = above;
                    if above.len() < DEEPEST {
                        above.push(!last);
                    }
                    rest.extend(lines(exchange, above));
                }
            }
        }
        Ok(())
    }
}

/// The lines under an exchange, the first one last.
fn lines(exchange: &ExplainedExchange, above: Vec<bool>) -> Vec<Placed<'_>> {
    let mut lines: Vec<_> = exchange.matching.iter().map(Line::Binding).collect();
    lines.extend(exchange.delay.map(Line::Delay));
    lines.extend(exchange.alternate.as_deref().map(Line::Alternate));
    let exists = !exchange.exchange_type.is_empty();
    if lines.is_empty() && exists {
        lines.push(Line::Nothing);
    }
    let others = exchange.others.len();
    lines.extend((others > 0).then_some(Line::Others(others)));
    let count = lines.len();
    let placed = lines.into_iter().enumerate().map(|(at, line)| Placed {
        line,
        above: above.clone(),
        last: at + 1 == count,
    });
    let mut placed: Vec<_> = placed.collect();
    placed.reverse();
    placed
}

/// The title of an exchange.
struct Titled<'a>(&'a ExplainedExchange);

impl fmt::Display for Titled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Titled(exchange) = self;
        match exchange.name.as_str() {
            "" => f.write_str("default exchange")?,
            name => write!(f, "exchange {name:?}")?,
        }
        match exchange.exchange_type.as_str() {
            "" => f.write_str(", which does not exist"),
            _ if exchange.name.is_empty() => Ok(()),
            kind if exchange.internal => write!(f, " ({kind}, internal)"),
            kind => write!(f, " ({kind})"),
        }
    }
}

/// Why a binding leads a message on.
struct Reason<'a>(&'a ExplainedBinding);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0.routing_key.as_str();
        match &self.0.reason {
            MatchReason::Key(_) => write!(f, "{key:?} is a routing key"),
            MatchReason::Pattern(Some(routing_key)) => write!(f, "{key:?} fits {routing_key:?}"),
            MatchReason::Pattern(None) => write!(f, "{key:?} fits no routing key"),
            MatchReason::Always => f.write_str("every binding"),
            MatchReason::Headers {
                x_match,
                conditions,
            } => {
                write!(f, "x-match {x_match}")?;
                for (at, condition) in conditions.iter().enumerate() {
                    f.write_str(if at == 0 { " of " } else { ", " })?;
                    condition.fmt(f)?;
                }
                Ok(())
            }
            MatchReason::Hash(_) => write!(f, "{key:?} (weight), chosen by the hash"),
            MatchReason::Router(_) => write!(f, "{key:?}, chosen by the router"),
            MatchReason::Name => write!(f, "{key:?} is the name"),
            MatchReason::Alias => write!(f, "{key:?} is an alias"),
        }
    }
}

impl fmt::Display for HeaderCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HeaderCondition { name, wanted, .. } = self;
        match wanted.is_void() {
            true => write!(f, "{name:?} present")?,
            false => write!(f, "{name:?} = {wanted}")?,
        }
        f.write_str(if self.holds { "" } else { " (not so)" })
    }
}
