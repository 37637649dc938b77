//! What an import costs for each queue: as much in a large file as in a small one.

#[path = "../../../benches/definitions/file.rs"]
mod file;

use leveret::Broker;
use stats_alloc::Region;

use self::file::definitions;
use crate::alone::{ALLOCATOR, alone};

const NAME: &str = concat!(
    module_path!(),
    "::a_queue_costs_an_import_as_much_among_many_as_among_few"
);

/// The allocations for each queue with its binding, and the bytes that stay.
fn cost(queues: usize) -> (f64, f64) {
    let file = definitions(queues);
    let region = Region::new(&ALLOCATOR);
    let broker = Broker::from_definitions(file.as_str()).unwrap();
    let change = region.change();
    drop(broker);
    let allocations = change.allocations + change.reallocations;
    let bytes = change.bytes_allocated - change.bytes_deallocated;
    let each = |total: usize| total as f64 / queues as f64;
    (each(allocations), each(bytes))
}

#[test]
fn a_queue_costs_an_import_as_much_among_many_as_among_few() {
    alone(NAME, || {
        let (few, many) = (cost(1_000), cost(10_000));
        // Tables double, so that the bytes of a queue depend on how full they are.
        assert!(many.0 <= few.0 && many.1 <= few.1 * 1.1, "{few:?} {many:?}");
        assert!(many.0 <= 23.0 && many.1 <= 1_350.0, "{many:?}");
    });
}
