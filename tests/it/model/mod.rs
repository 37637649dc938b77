//! Random programs against a naive model of one virtual host, on a manual clock: after every step
//! each event, result and count is compared.
//!
//! As many programs as `PROPTEST_CASES` says; a failure shrinks to the shortest program that shows
//! it.

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
        // Shrinking is worth its time: every step that goes is one less to read.
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_program_does_what_the_model_says(program in prop::collection::vec(ops::any(), 1..120)) {
        check(&program)?;
    }
}

fn check(program: &[Op]) -> Result<(), TestCaseError> {
    let mut real = Real::new();
    // Where several queues are concerned at once, their order is nobody's promise: any will do, but
    // it must be one. What it was may show only later, so every world that agrees so far is kept.
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
