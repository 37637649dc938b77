//! The exchange type `x-modulus-hash`: messages with the same routing key go to the same
//! destination.

use super::{Router, RouterBinding, RouterMessage};
use crate::engine::phash2::Phash2;

/// Chooses by the hash of the routing keys, modulo the number of bindings. A destination with two
/// bindings gets two shares.
///
/// As long as the bindings stay, RabbitMQ chooses the same queue for the same key: hash and order
/// are the same.
#[derive(Debug)]
pub(super) struct ModulusHash;

impl Router for ModulusHash {
    fn route(&self, message: &RouterMessage<'_>, bindings: &[RouterBinding]) -> Vec<usize> {
        let hash = Phash2::of_list(message.routing_keys()) as usize;
        match bindings.len() {
            0 => Vec::new(),
            bindings => vec![hash % bindings],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::properties::RoutingProperties,
        model::{field_value::FieldTable, name::Name},
    };

    /// Recorded on RabbitMQ 4.3.6: an exchange, then two queues bound twice and one bound once.
    #[test]
    fn it_chooses_as_rabbitmq_does() {
        let (name, table) = (Name::empty(), FieldTable::new());
        let bindings = ["fx", "a", "a", "b", "b", "c"].map(|destination| {
            let destination = Name::new(destination).unwrap();
            RouterBinding::new(&destination, &*destination != "fx", &name, &table)
        });
        let chosen = (0..24).map(|number| {
            let key = format!("key-{number}");
            let keys = [key.as_str()];
            let message = RouterMessage::new(&name, &keys, RoutingProperties::default());
            let at = ModulusHash.route(&message, &bindings);
            bindings[at[0]].destination().clone()
        });
        let recorded = "a fx c b a b a b a fx a c b a b a fx c b b c c b c";
        assert!(chosen.eq(recorded.split(' ')));
        let message = RouterMessage::new(&name, &["k"], RoutingProperties::default());
        assert_eq!(ModulusHash.route(&message, &[]), [0; 0]);
    }
}
