//! An import of definitions. Each queue of the file, with its binding, counts as a message. So the
//! count is that of one more queue beside thousands, and grows if an import looks at some of the
//! other queues for each.

#[path = "../../definitions/file.rs"]
mod file;

use leveret::Broker;

use self::file::definitions;
use super::CYCLE;

pub fn run(cycles: u64) {
    let file = definitions((cycles * CYCLE) as usize);
    let broker = import(&file);
    let exported = broker.export_definitions().expect("the broker is up");
    assert_eq!(
        exported.matches("\"routing_key\"").count() as u64,
        cycles * CYCLE
    );
}

#[inline(never)]
fn import(file: &str) -> Broker {
    Broker::from_definitions(file).expect("it fits")
}
