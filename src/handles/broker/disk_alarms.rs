//! The changes of the disk alarm, for those who want to know.

use super::Broker;
use crate::{model::disk_alarm::DiskAlarm, session::feed::Feed};

/// The changes that wait for a reader. They are few.
const CAPACITY: usize = 1_024;

impl Broker {
    /// Returns the changes of the disk alarm from now on. If it is raised, it is the first of them.
    /// `None` if the broker has no data folder. There is room for 1,024 changes that are not read.
    ///
    /// Only the free space and the store raise it. The alarm of the memory of queues is a matter of
    /// their [`Budget`](crate::Budget). The [events](Self::events) of the broker have the alarm
    /// too, without the numbers.
    ///
    /// # RabbitMQ
    /// `connection.blocked` and `connection.unblocked`.
    ///
    /// # Examples
    #[cfg_attr(feature = "durable", doc = "```")]
    #[cfg_attr(not(feature = "durable"), doc = "```ignore")]
    /// use leveret::{Broker, DiskAlarm, ManualClock, Message, Queue};
    /// use std::{sync::{Arc, atomic::{AtomicU64, Ordering::SeqCst}}, time::Duration};
    /// # let folder = std::env::temp_dir().join(format!("leveret-alarms-{}", std::process::id()));
    ///
    /// let (clock, free) = (ManualClock::new(), Arc::new(AtomicU64::new(900)));
    /// let space = free.clone();
    /// let broker = Broker::builder()
    ///     .clock(clock.clone())
    ///     .data_dir(&folder)
    ///     .disk_free_limit(1_000)
    ///     .free_space(move |_| Ok(space.load(SeqCst)))
    ///     .build()?;
    /// let alarms = broker.disk_alarms().expect("the broker has a folder");
    /// assert_eq!(alarms.recv()?, DiskAlarm::Blocked { free: 900, limit: 1_000 });
    ///
    /// let orders = broker.producer::<u32>(&Queue::new("orders").durable())?;
    /// let order = Message::new(7).persistent();
    /// let late = orders.publish_message_timeout(order, Duration::ZERO).unwrap_err();
    /// free.store(5_000, SeqCst);
    /// clock.advance(Duration::from_secs(10));
    /// assert_eq!(alarms.recv()?, DiskAlarm::Unblocked { free: 5_000, limit: 1_000 });
    /// orders.publish_message(late.into_inner().expect("it was not written"))?;
    /// # drop((orders, alarms, broker));
    /// # std::fs::remove_dir_all(folder).ok();
    /// # Ok::<(), leveret::Error>(())
    #[doc = "```"]
    pub fn disk_alarms(&self) -> Option<Feed<DiskAlarm>> {
        let core = self.core();
        Some(Feed::new(core.disk()?.line(CAPACITY), core.time()))
    }
}
