//! The settings of a durable broker.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::{Broker, BrokerBuilder};
use crate::{
    engine::store::{
        DiskSettings, FreeSpace,
        log::{LogStore, Progress},
    },
    model::{descriptions::Durability, disk_alarm::OnDiskAlarm, error::Result},
    session::broker_core::BrokerCore,
};

/// The free space below which the disk alarm is raised, if nothing else is set: RabbitMQ's 50 MB.
const DISK_FREE_LIMIT: u64 = 50_000_000;

/// Opens a broker that keeps its data in a folder. [`BrokerBuilder::data_dir`] returns it.
///
/// Durable queues, all exchanges, the bindings between them, policies, budgets, virtual hosts and
/// the persistent messages of durable queues are there again when the folder is opened the next
/// time, whether the program ended in order, was killed, or lost power. Quorum queues keep every
/// message. Exclusive queues and queues with generated names do not come back.
///
/// A publish of a persistent message to a durable queue returns when it is on disk. Many publishes
/// at once share one sync. A plain publish is not persistent, and a classic queue does not keep it.
/// The page [`guide::durability`](crate::guide::durability) tells the rest.
///
/// # RabbitMQ
/// What `durable` and `delivery_mode` 2 mean in RabbitMQ (4.3).
///
/// # Examples
/// ```
/// use leveret::{Broker, Properties, Queue};
///
/// # let folder = std::env::temp_dir().join(format!("leveret-data-dir-{}", std::process::id()));
/// let orders = Queue::new("orders").durable();
/// {
///     let broker = Broker::builder().data_dir(&folder).build()?;
///     let persistent = Properties::new().persistent();
///     let producer = broker.producer_builder::<u32>(&orders).properties(persistent).build()?;
///     producer.publish(7)?; // returns when the message is on disk
/// } // the program ends here
/// let broker = Broker::builder().data_dir(&folder).build()?;
/// let order = broker.consumer::<u32>(&orders)?.recv()?;
/// assert_eq!(*order, 7);
/// order.ack()?;
/// # drop(broker);
/// # std::fs::remove_dir_all(folder).ok();
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use]
pub struct DurableBrokerBuilder {
    broker: BrokerBuilder,
    folder: PathBuf,
    durability: Durability,
    disk_free_limit: u64,
    on_disk_alarm: OnDiskAlarm,
    free_space: FreeSpace,
    progress: Progress,
}

impl BrokerBuilder {
    /// Keeps the data of the broker in a folder. It is made if it is missing.
    ///
    /// All other settings of the broker come before this one. An empty path is the current folder.
    /// Nothing is opened before [`build`](DurableBrokerBuilder::build).
    ///
    /// This method is there with the feature `durable`, which is off by default.
    pub fn data_dir(self, folder: impl AsRef<Path>) -> DurableBrokerBuilder {
        DurableBrokerBuilder {
            broker: self,
            folder: folder.as_ref().to_owned(),
            durability: Durability::default(),
            disk_free_limit: DISK_FREE_LIMIT,
            on_disk_alarm: OnDiskAlarm::default(),
            free_space: Box::new(|folder| fs4::available_space(folder)),
            progress: Box::new(|_| {}),
        }
    }
}

impl DurableBrokerBuilder {
    /// Sets when durable queues have their messages on disk, if they do not say it themselves. The
    /// default is [`Durability::Synced`].
    pub fn durability(mut self, durability: Durability) -> DurableBrokerBuilder {
        self.durability = durability;
        self
    }

    /// Sets the free space of the disk below which the disk alarm is raised, in bytes. The default
    /// is 50 MB. With 0 there is no such alarm.
    ///
    /// While it is raised, messages that a durable queue keeps are not published:
    /// [`on_disk_alarm`](Self::on_disk_alarm) tells what happens to them. Consumers go on, and so
    /// do messages that are not kept, dead letters, and transactions that are committed. The alarm
    /// ends by itself when there is room again. [`Broker::disk_alarms`] tells when it comes and
    /// goes.
    ///
    /// The free space is read when the broker starts, and then every 10 seconds by the broker's
    /// clock: more often when it is close to the limit, and every second during the alarm.
    ///
    /// # RabbitMQ
    /// `disk_free_limit.absolute`, with the same default. RabbitMQ blocks all connections that
    /// publish.
    pub fn disk_free_limit(mut self, bytes: u64) -> DurableBrokerBuilder {
        self.disk_free_limit = bytes;
        self
    }

    /// Sets what happens to a message that would be written during the disk alarm. The default is
    /// [`OnDiskAlarm::Block`], as in RabbitMQ.
    ///
    /// [`OnDiskAlarm`] has an example.
    pub fn on_disk_alarm(mut self, on_alarm: OnDiskAlarm) -> DurableBrokerBuilder {
        self.on_disk_alarm = on_alarm;
        self
    }

    /// Asks a function for the free space, in bytes, and not the file system. It gets the folder.
    ///
    /// A program uses it if something else limits its folder, such as a quota. A test uses it to
    /// raise the alarm. It must not block, and must not use the broker. When it fails or panics,
    /// the alarm stays as it is.
    pub fn free_space(
        mut self,
        free_space: impl Fn(&Path) -> io::Result<u64> + Send + Sync + 'static,
    ) -> DurableBrokerBuilder {
        self.free_space = Box::new(free_space);
        self
    }

    /// Calls a function with the progress of opening the folder, from 0 to 1: its files are read
    /// twice, first to find out what is kept. It runs on the thread that opens the folder, some
    /// times for every 16 MiB.
    pub fn on_recovery_progress(
        mut self,
        progress: impl Fn(f64) + Send + 'static,
    ) -> DurableBrokerBuilder {
        self.progress = Box::new(progress);
        self
    }

    /// Writes the messages that are kept anew, and removes everything else. No broker may have the
    /// folder open.
    ///
    /// While a broker runs, the files have at most about twice the size of the messages that they
    /// keep, and 64 MiB.
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store), as for [`build`](Self::build).
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// # let folder = std::env::temp_dir().join(format!("leveret-compact-{}", std::process::id()));
    /// drop(Broker::builder().data_dir(&folder).build()?);
    /// Broker::builder().data_dir(&folder).compact()?;
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn compact(self) -> Result {
        let store = LogStore::open(&self.folder, self.progress)?;
        Ok(store.compact()?)
    }

    /// Opens the folder, and creates the broker with everything that is in it.
    ///
    /// # Errors
    /// - [`Error::Store`](crate::Error::Store) if the folder cannot be used: another broker has it
    ///   open, a newer version has written it, it is damaged, it is a file, or the file system has
    ///   an error.
    /// - The error of a declaration that is not possible any more: an exchange has a type of
    ///   [`exchange_type`](BrokerBuilder::exchange_type) that this broker does not have.
    pub fn build(self) -> Result<Broker> {
        let DurableBrokerBuilder {
            broker,
            folder,
            durability,
            disk_free_limit,
            on_disk_alarm,
            free_space,
            progress,
        } = self;
        let store = LogStore::open(&folder, progress)?;
        let core = BrokerCore::recover(
            broker.time,
            broker.settings,
            broker.exchange_types,
            durability,
            Box::new(store),
            DiskSettings {
                folder,
                limit: disk_free_limit,
                on_alarm: on_disk_alarm,
                free_space,
            },
        )?;
        Ok(Broker::start(core))
    }
}

impl fmt::Debug for DurableBrokerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableBrokerBuilder")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests;
