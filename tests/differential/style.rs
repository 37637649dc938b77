//! The style of a program: the features of its queues and steps, and the frequency of each
//! operation. Tune the test here.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// The features of one program.
pub struct Style {
    pub dead_letters: bool,
    pub limits: bool,
    /// Messages or leases expire, and the program sleeps.
    pub timed: bool,
    /// Leases expire and messages do not: a message and a lease of the same time would be a race.
    pub leases: bool,
    pub priorities: bool,
    pub single_active: bool,
    pub prefetch: bool,
    pub transactions: bool,
    pub confirms: bool,
    pub copies: bool,
    pub lifecycle: bool,
    pub mistakes: bool,
    /// Some queues are quorum queues.
    pub quorum: bool,
}

/// Programs sleep a multiple of this time. Each time to live is a multiple plus a third. So even a
/// second time to live, which begins when the first ends, never ends close to the end of a sleep.
pub const GRID_MS: u64 = 600;

/// The operations of a program's middle part.
pub const OPERATIONS: [&str; 24] = [
    "publish",
    "get",
    "ack",
    "nack",
    "reject",
    "consume",
    "cancel",
    "qos",
    "recover",
    "sleep",
    "tx_commit",
    "tx_rollback",
    "queue_purge",
    "queue_delete",
    "queue_declare",
    "queue_bind",
    "queue_unbind",
    "exchange_declare",
    "exchange_delete",
    "exchange_bind",
    "exchange_unbind",
    "close_channel",
    "close_connection",
    "mistake",
];

impl Style {
    pub fn new(random: &mut Random) -> Style {
        let timed = random.chance(25);
        let leases = timed && random.chance(15);
        Style {
            dead_letters: random.chance(50),
            limits: random.chance(40),
            timed,
            leases,
            // In a queue with priorities RabbitMQ checks for expired messages only when a consumer
            // or get asks for a message.
            priorities: !timed && random.chance(35),
            single_active: random.chance(15),
            prefetch: random.chance(50),
            transactions: random.chance(20),
            confirms: random.chance(35),
            copies: random.chance(20),
            lifecycle: random.chance(25),
            mistakes: random.chance(20),
            quorum: random.chance(45),
        }
    }

    /// Whether a message that dies at once may reach a quorum queue before another copy of it. Then
    /// no message has two copies.
    pub fn one_copy(&self) -> bool {
        self.quorum && self.dead_letters && (self.limits || self.timed)
    }

    /// Whether messages expire or are delayed.
    fn messages_expire(&self) -> bool {
        self.timed && !self.leases
    }

    /// The relative frequency of each operation.
    pub fn weights(&self) -> [usize; OPERATIONS.len()] {
        let when = |feature: bool, weight: usize| if feature { weight } else { 0 };
        [
            40,
            8,
            12,
            10,
            6,
            9,
            4,
            when(self.prefetch, 4),
            3,
            when(self.timed, 9),
            when(self.transactions, 8),
            when(self.transactions, 3),
            2,
            when(self.lifecycle, 3),
            when(self.lifecycle, 4),
            3,
            2,
            when(self.lifecycle, 2),
            when(self.lifecycle, 2),
            2,
            1,
            2,
            when(self.lifecycle, 1),
            when(self.mistakes, 3),
        ]
    }

    /// The arguments of a queue.
    pub fn arguments(
        &self,
        random: &mut Random,
        queues: &[String],
        exchanges: &[String],
        quorum: bool,
    ) -> Value {
        let mut arguments = Map::new();
        let mut set = |name: &str, value: Value| {
            arguments.insert(name.to_owned(), value);
        };
        if self.dead_letters && random.chance(65) {
            let exchange = if exchanges.is_empty() || random.chance(60) {
                String::new()
            } else {
                random.pick(exchanges).clone()
            };
            if exchange.is_empty() || random.chance(40) {
                set("x-dead-letter-routing-key", json!(random.pick(queues)));
            }
            set("x-dead-letter-exchange", json!(exchange));
        }
        if self.limits && random.chance(65) {
            if random.chance(80) {
                set("x-max-length", json!(random.pick(&[0, 1, 1, 2, 2, 3, 4])));
            }
            if random.chance(30) {
                set("x-max-length-bytes", json!(random.pick(&[0, 3, 6, 10, 15])));
            }
            // A quorum queue refuses a channel, and leveret refuses all channels alike.
            let modes: &[&str] = match quorum {
                true => &["drop-head", "reject-publish-dlx"],
                false => &["drop-head", "reject-publish", "reject-publish-dlx"],
            };
            if random.chance(60) {
                set("x-overflow", json!(random.pick(modes)));
            }
        }
        if self.messages_expire() && random.chance(45) {
            set(
                "x-message-ttl",
                json!(random.pick(&[0, 200, 200, 800, 1400])),
            );
        }
        // A quorum queue looks at its lease only every five seconds.
        if self.leases && !quorum && random.chance(40) {
            set("x-expires", json!(random.pick(&[800, 1400])));
        }
        if self.priorities && !quorum && random.chance(70) {
            set("x-max-priority", json!(random.pick(&[1, 2, 5, 10])));
        }
        if self.single_active && random.chance(70) {
            set("x-single-active-consumer", json!(true));
        }
        // A message on the disk of a lazy queue loses its original expiration when it dies.
        if !self.timed && !quorum && random.chance(8) {
            set("x-queue-mode", json!(random.pick(&["lazy", "default"])));
        }
        if quorum {
            self.quorum_arguments(random, &mut arguments);
        }
        arguments.into()
    }

    /// The arguments that only a quorum queue has.
    fn quorum_arguments(&self, random: &mut Random, arguments: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Value| {
            arguments.insert(name.to_owned(), value);
        };
        set("x-queue-type", json!("quorum"));
        if random.chance(50) {
            set("x-delivery-limit", json!(random.below(4)));
        }
        if self.messages_expire() && random.chance(50) {
            let kinds = ["all", "failed", "returned", "disabled"];
            set("x-delayed-retry-type", json!(random.pick(&kinds)));
            // The same twice, so that no delay ends close to the end of a sleep. No message expires
            // at that time either.
            let delay = random.pick(&[300, 900]);
            set("x-delayed-retry-min", json!(delay));
            set("x-delayed-retry-max", json!(delay));
        }
        if self.dead_letters && !self.limits && random.chance(25) {
            set("x-dead-letter-strategy", json!("at-least-once"));
            set("x-overflow", json!("reject-publish"));
        }
    }

    /// The properties of a message.
    pub fn properties(&self, random: &mut Random, keys: &[String]) -> Value {
        let mut properties = json!({});
        if self.priorities && random.chance(60) {
            properties["priority"] = json!(random.pick(&[0, 1, 2, 3, 5, 9, 12]));
        }
        if self.messages_expire() && random.chance(35) {
            properties["expiration"] = json!(random.pick(&["0", "200", "200", "800", "1400"]));
        }
        if random.chance(15) {
            properties["delivery_mode"] = json!(2);
        }
        if random.chance(10) {
            properties["correlation_id"] = json!("k");
            properties["type"] = json!("t");
        }
        if self.copies && !self.one_copy() && random.chance(40) {
            let name = random.pick(&["CC", "CC", "BCC"]);
            let mut copies = vec![random.pick(keys).clone()];
            if random.chance(40) {
                copies.push(random.pick(keys).clone());
            }
            properties["headers"][name] = json!(copies);
        }
        if random.chance(20) {
            properties["headers"]["h"] = json!(random.pick(&["a", "b"]));
        }
        properties
    }
}
