//! Bad input: the same bad call fails with the same error by every way that has it.
//!
//! A way is a method of a broker, a connection, a channel or a producer. Each way gets a [`Stage`]
//! of its own, so that no way sees the effects of another.

mod closed;
mod declaring;
mod deleted_queue;
mod names;
mod publishing;
mod tables;

use leveret::{Broker, Channel, Connection, Error, Result};

use crate::common::connect;

/// A broker with its handles, for one call.
pub struct Stage {
    pub broker: Broker,
    pub connection: Connection,
    /// A channel of the connection.
    pub channel: Channel,
    /// Another connection.
    pub other: Connection,
}

impl Stage {
    fn new() -> Result<Stage> {
        let broker = Broker::new();
        let connection = connect(&broker)?;
        Ok(Stage {
            channel: connection.open_channel()?,
            other: connect(&broker)?,
            connection,
            broker,
        })
    }
}

/// The errors of one bad call, by each way that has it.
pub struct Ways {
    set_up: fn(&Stage) -> Result,
    errors: Vec<(String, Error)>,
}

impl Ways {
    /// Each way begins on a stage that is set up like this.
    pub fn after(set_up: fn(&Stage) -> Result) -> Ways {
        Ways {
            set_up,
            errors: Vec::new(),
        }
    }

    pub fn new() -> Ways {
        Ways::after(|_| Ok(()))
    }

    /// Makes the call by one way. It must fail.
    pub fn by<R, E: Into<Error>>(
        &mut self,
        way: impl Into<String>,
        call: impl FnOnce(&Stage) -> Result<R, E>,
    ) {
        let way = way.into();
        let stage = Stage::new().unwrap();
        (self.set_up)(&stage).unwrap_or_else(|error| panic!("setting up for {way}: {error}"));
        match call(&stage) {
            Ok(_) => panic!("{way} succeeded"),
            Err(error) => self.errors.push((way, error.into())),
        }
    }

    /// All ways gave this error: its code, its text, and its fields.
    pub fn all_fail_with(self, code: impl Into<Option<u16>>, text: &str) {
        let code = code.into();
        let Some((_, first)) = self.errors.first() else {
            panic!("no way was tried");
        };
        for (way, error) in &self.errors {
            assert_eq!(
                (error.reply_code(), error.to_string()),
                (code, text.to_owned()),
                "{way}"
            );
            assert_eq!(error, first, "{way}");
        }
    }
}

/// Makes a call by a broker, by a connection and by a channel, which have it alike.
macro_rules! by_each {
    ($ways:expr, $($way:literal: |$host:ident| $call:expr),+ $(,)?) => {$(
        $ways.by(concat!("Broker, ", $way), |stage| { let $host = &stage.broker; $call });
        $ways.by(concat!("Connection, ", $way), |stage| { let $host = &stage.connection; $call });
        $ways.by(concat!("Channel, ", $way), |stage| { let $host = &stage.channel; $call });
    )+};
}

/// Makes a call by methods of a channel.
macro_rules! by_channel {
    ($ways:expr, $($way:literal: |$channel:ident| $call:expr),+ $(,)?) => {$(
        $ways.by($way, |stage| { let $channel = &stage.channel; $call });
    )+};
}

/// All ways to use a queue by its description, and to declare it by that.
macro_rules! by_each_use_of_queue {
    ($ways:expr, $queue:expr) => {
        by_each!($ways,
            "declare": |host| host.declare(&$queue),
            "consumer": |host| host.consumer::<u32>(&$queue),
            "consumer_builder": |host| host.consumer_builder::<u32>(&$queue).build(),
            "also": |host| host.consumer_builder::<u32>("first").also(&$queue).build(),
            "producer": |host| host.producer::<u32>(&$queue),
            "producer_builder": |host| host.producer_builder::<u32>(&$queue).build(),
            "simple_queue": |host| host.simple_queue::<u32>(&$queue),
        );
        $ways.by("set_dead_letter_queue", |stage| {
            stage.connection.set_dead_letter_queue(Some(&$queue))
        });
    };
}

use {by_channel, by_each, by_each_use_of_queue};
