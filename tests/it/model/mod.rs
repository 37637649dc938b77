//! Random programs against a simple model of one virtual host, on a manual clock. After every step
//! the test compares each event, result and count.
//!
//! `PROPTEST_CASES` sets the number of programs. A failing program shrinks to the shortest program
//! that fails.

mod channel;
mod delivering;
mod ops;
mod outcome;
mod queue;
mod real;
mod settling;
mod world;

use proptest::prelude::*;

use self::{ops::Op, real::Real, world::World};

fn config() -> ProptestConfig {
    ProptestConfig {
        // A long shrink pays off, because each step that it removes is one step less to read.
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..crate::common::cases()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_random_program_has_the_results_of_the_model(
        program in prop::collection::vec(ops::any(), 1..120),
    ) {
        check(&program)?;
    }
}

fn check(program: &[Op]) -> Result<(), TestCaseError> {
    let mut real = Real::new();
    // If a step affects several queues, the broker promises no order among them. It must follow one
    // of the orders, and a later step may show which. So the test keeps every world that agrees so
    // far.
    let mut worlds = vec![World::default()];
    for (step, op) in program.iter().enumerate() {
        let op = worlds[0].resolve(op);
        let observed = real.apply(&op);
        let mut agreed: Vec<World> = Vec::new();
        let mut expected = None;
        for world in &worlds {
            for order in world.orders(&op) {
                let mut next = world.clone();
                let outcome = next.apply(&op, &order);
                if outcome == observed && !agreed.contains(&next) {
                    agreed.push(next);
                }
                expected.get_or_insert(outcome);
            }
        }
        if agreed.is_empty() {
            let done: Vec<_> = program[..=step].iter().collect();
            prop_assert!(
                false,
                "step {step}, {op:?}\nobserved {observed:#?}\nexpected {expected:#?}\nprogram {done:?}"
            );
        }
        worlds = agreed;
    }
    Ok(())
}
