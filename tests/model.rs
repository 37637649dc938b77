//! Random programs against a naive model of one virtual host, on a manual clock: after every step each event, result and count is compared.
//!
//! 256 programs, or as many as `PROPTEST_CASES` says; a failure shrinks to the shortest program that shows it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "model/ops.rs"]
mod ops;
#[path = "model/queue.rs"]
mod queue;
#[path = "model/real.rs"]
mod real;
#[path = "model/world.rs"]
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
    let mut world = World::default();
    for (step, op) in program.iter().enumerate() {
        let op = world.resolve(op);
        let observed = real.apply(&op);
        // Where several queues are concerned at once, their order is nobody's promise: any will do, but it must be one.
        let mut expected = Vec::new();
        let agreed = world.orders(&op).into_iter().find_map(|order| {
            let mut next = world.clone();
            let outcome = next.apply(&op, &order);
            let agrees = outcome == observed;
            expected.push(outcome);
            agrees.then_some(next)
        });
        match agreed {
            Some(next) => world = next,
            None => {
                let done: Vec<_> = program[..=step].iter().collect();
                prop_assert!(
                    false,
                    "step {step}, {op:?}\nobserved {observed:#?}\nexpected {:#?}\nprogram {done:?}",
                    expected[0]
                );
            }
        }
    }
    Ok(())
}
