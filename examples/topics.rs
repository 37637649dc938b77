//! Tutorial 5, "Topics": wildcards in binding keys. `*` is one word, `#` any number of words.
//!
//! Mirrors <https://www.rabbitmq.com/tutorials/tutorial-five-python>.
//! `cargo run --example topics` prints
//!
//! ```text
//! *.orange.* caught quick.orange.rabbit lazy.orange.elephant
//! *.*.rabbit caught quick.orange.rabbit lazy.pink.rabbit
//! lazy.# caught lazy.orange.elephant lazy.pink.rabbit lazy
//! # caught quick.orange.rabbit lazy.orange.elephant lazy.pink.rabbit stock.usd.nyse nyse.vmw lazy
//! lazy.# or *.*.rabbit caught quick.orange.rabbit lazy.orange.elephant lazy.pink.rabbit lazy
//! ```
//!
//! Other binding keys: `cargo run --example topics -- '*.usd.*' 'stock.#'`.

use std::{env, thread};

use leveret::{Broker, Exchange, Queue, Result, SimpleQueue};

const ANIMALS: [&str; 3] = [
    "quick.orange.rabbit",
    "lazy.orange.elephant",
    "lazy.pink.rabbit",
];
const OTHERS: [&str; 3] = ["stock.usd.nyse", "nyse.vmw", "lazy"];

fn main() -> Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mut patterns: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if patterns.is_empty() {
        patterns.extend(["*.orange.*", "*.*.rabbit", "lazy.#", "#"]);
    }
    let broker = Broker::open(&env::var("LEVERET_URL").unwrap_or_default())?;
    let topics = Exchange::topic("topics");
    let listen = |key: &&str| broker.simple_queue(Queue::exclusive().bind(&topics, *key));
    let listeners = patterns.iter().map(listen).collect::<Result<Vec<_>>>()?;
    let twice = Queue::exclusive().bind(&topics, "lazy.#");
    let twice = broker.simple_queue(twice.bind(&topics, "*.*.rabbit"))?;

    let publisher = broker.producer::<String>(&topics)?;
    let emitter = thread::spawn(move || -> Result {
        for key in ANIMALS.iter().chain(&OTHERS) {
            publisher.publish_to(key, key.to_string())?;
        }
        Ok(())
    });
    emitter.join().unwrap()?;

    let mut caught = Vec::new();
    for (pattern, listener) in patterns.iter().zip(&listeners) {
        let keys = drain(listener)?;
        println!("{pattern} caught {}", keys.join(" "));
        caught.push(keys);
    }
    let [quick, elephant, pink] = ANIMALS;
    let once = drain(&twice)?;
    println!("lazy.# or *.*.rabbit caught {}", once.join(" "));

    assert_eq!(once, [quick, elephant, pink, "lazy"]); // `pink` once, though both match
    if arguments.is_empty() {
        assert_eq!(caught[0], [quick, elephant]);
        assert_eq!(caught[1], [quick, pink]);
        assert_eq!(caught[2], [elephant, pink, "lazy"]); // `#` may be no word at all
        assert_eq!(caught[3], [ANIMALS, OTHERS].concat());
    }
    Ok(())
}

/// When a publish returns, the message is in its queues: no wait is needed.
fn drain(queue: &SimpleQueue<String>) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    while let Ok(key) = queue.try_get() {
        keys.push(key.payload().clone());
        key.ack()?;
    }
    Ok(keys)
}
