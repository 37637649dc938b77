//! Where the broker of a scenario has its data: in memory, or in a folder of its own. Only with a
//! folder it can be started again.

use std::{env, sync::LazyLock};

use leveret::{Broker, ManualClock};

use crate::Outcome;
#[cfg(feature = "durable")]
use crate::folder::Folder;

/// Whether every queue is declared as durable, and every message is published as persistent.
pub fn all_survive() -> bool {
    static ALL: LazyLock<bool> =
        LazyLock::new(|| env::var("LEVERET_CONFORMANCE_DURABLE").is_ok_and(|which| which == "all"));
    *ALL
}

/// How a broker ends, in the words of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order: its handle is dropped.
    Stop,
    /// At any moment, as by `SIGKILL`. What it has handed to the operating system stays.
    Kill,
}

impl End {
    /// Reads the `how` of a step.
    pub fn of(how: &str) -> Outcome<End> {
        match how {
            "stop" => Ok(End::Stop),
            "kill" => Ok(End::Kill),
            other => Err(format!("a broker does not end by '{other}'")),
        }
    }
}

/// The place of the data of one broker. It outlives the broker.
pub enum Home {
    /// The data ends with the broker.
    Memory,
    /// The data is in a folder.
    #[cfg(feature = "durable")]
    Folder(Folder),
}

impl Home {
    /// A place in a new folder.
    #[cfg(feature = "durable")]
    pub fn in_folder() -> Home {
        Home::Folder(Folder::new())
    }

    /// Without the feature `durable` no scenario needs a folder: they are left out.
    #[cfg(not(feature = "durable"))]
    pub fn in_folder() -> Home {
        Home::Memory
    }

    /// Starts a broker with the data that is here.
    pub fn open(&self, clock: &ManualClock) -> Outcome<Broker> {
        let builder = Broker::builder().clock(clock.clone());
        match self {
            Home::Memory => Ok(builder.build()),
            #[cfg(feature = "durable")]
            Home::Folder(folder) => {
                let broker = builder.data_dir(folder.path()).build();
                broker.map_err(|error| format!("the broker does not start: {error}"))
            }
        }
    }

    /// The data that a kill of the broker would leave now, in a place of its own. `None` if it is
    /// in memory.
    pub fn as_left_by_a_kill(&self, broker: &Broker) -> Outcome<Option<Home>> {
        #[cfg(feature = "durable")]
        if let Home::Folder(folder) = self {
            let copy = folder.as_left_by_a_kill(broker)?;
            return Ok(Some(Home::Folder(copy)));
        }
        let _ = broker;
        Ok(None)
    }

    /// Ends the broker that was opened here.
    pub fn end(&mut self, broker: Broker, end: End) -> Outcome {
        let left = match end {
            End::Stop => None,
            End::Kill => self.as_left_by_a_kill(&broker)?,
        };
        if let Some(left) = left {
            *self = left;
        }
        drop(broker);
        Ok(())
    }
}
