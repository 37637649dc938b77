//! Policies against many queues and exchanges.

use leveret::{Broker, Exchange, Policy, Queue, Result};

/// There are very many ways to cut a long name into these parts.
fn hard() -> Policy {
    Policy::new("hard", "^x?(a|b|ab)*(?>c)").setting("max-length", 1)
}

/// A name that the hard pattern takes too many steps for.
fn long(number: u32) -> String {
    format!("{}{number:04}", "ab".repeat(100))
}

fn unfinished(broker: &Broker) -> Result<u64> {
    Ok(broker.snapshot()?.vhosts[0].policies[0].unfinished_matches)
}

/// How many of three messages the queue keeps.
fn kept(broker: &Broker, queue: &str) -> Result<usize> {
    let queue = broker.simple_queue::<u32>(queue)?;
    for number in 0..3 {
        assert_eq!(queue.put(number)?.routed, 1);
    }
    let kept = queue.len().unwrap();
    assert_eq!(queue.purge().unwrap(), kept as u64);
    Ok(kept)
}

#[test]
fn a_change_tries_a_hard_pattern_for_a_few_names_only_and_counts_all() -> Result {
    let broker = Broker::new();
    for number in 0..2_000 {
        broker.declare(&Queue::new(long(number)))?;
    }
    // The first and the last in the order of the alphabet.
    broker.declare(&Queue::new("aabc"))?;
    broker.declare(&Queue::new("xabc"))?;
    let root = broker.vhost("/")?;
    root.set_policy(hard())?;
    assert_eq!(unfinished(&broker)?, 2_001);
    assert_eq!(kept(&broker, "aabc")?, 1);
    assert_eq!(kept(&broker, "xabc")?, 3);

    // Each declaration tries it again.
    broker.declare(&Queue::new("xabcc"))?;
    assert_eq!(kept(&broker, "xabcc")?, 1);
    assert_eq!(unfinished(&broker)?, 2_001);

    // Each change begins anew.
    for number in 8..2_000 {
        broker.delete(&Queue::new(long(number)))?;
    }
    broker.delete(&Queue::new(long(0)))?;
    root.set_policy(hard())?;
    assert_eq!(unfinished(&broker)?, 7);
    assert_eq!(kept(&broker, "xabc")?, 1);
    Ok(())
}

#[test]
fn a_hard_pattern_leaves_the_other_policies_alone() -> Result {
    let broker = Broker::new();
    for number in 0..20 {
        broker.declare(&Queue::new(long(number)))?;
    }
    let root = broker.vhost("/")?;
    root.set_policy(Policy::new("two", "ab").setting("max-length", 2))?;
    root.set_policy(hard().priority(1))?;
    assert_eq!(unfinished(&broker)?, 20);
    for number in [0, 7, 8, 19] {
        assert_eq!(kept(&broker, &long(number))?, 2);
    }
    Ok(())
}

#[test]
fn a_declaration_of_many_exchanges_tries_a_hard_pattern_for_a_few_names_only() -> Result {
    let broker = Broker::new();
    broker.vhost("/")?.set_policy(hard())?;
    let exchanges = (0..20).map(|number| Exchange::fanout(long(number)));
    let queue = exchanges.fold(Queue::new("q"), |queue, exchange| queue.bind(&exchange, ""));
    broker.declare(&queue)?;
    assert_eq!(unfinished(&broker)?, 20);
    Ok(())
}
