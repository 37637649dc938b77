//! Descriptions for an engine outside of this process.

use super::{Overflow, Queue, names as x};

impl Queue {
    /// An argument that only the engine in this process knows, for people.
    pub(crate) fn embedded_only(&self) -> Option<String> {
        let own = [
            x::BUDGET,
            x::CLASSIC_DELIVERY_LIMIT,
            x::DURABILITY,
            x::INITIATION_QUEUE,
            x::TRIGGER,
        ];
        let arguments = self.argument_table();
        if let Some(name) = own.into_iter().find(|name| arguments.contains_key(name)) {
            return Some(format!("the argument '{name}'"));
        }
        let overflow = arguments.get(x::OVERFLOW)?.as_str()?;
        (overflow == Overflow::Block.as_str()).then(|| "an overflow that blocks".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_engine_knows_is_named() {
        let plain = Queue::new("q").max_length(1);
        assert_eq!(plain.embedded_only(), None);
        let blocks = plain.clone().overflow(Overflow::Block).embedded_only();
        assert_eq!(blocks.as_deref(), Some("an overflow that blocks"));
        let rejects = plain.clone().overflow(Overflow::RejectPublish);
        assert_eq!(rejects.embedded_only(), None);
        let budget = plain.budget("b").embedded_only();
        assert_eq!(budget.as_deref(), Some("the argument 'x-budget'"));
    }
}
