//! [`Arriving`], a request from another process, on its server.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
    task::Poll,
};

use futures_util::FutureExt;

use super::{
    any_call::{AnyCall, Delivered, Reply},
    arguments::{Arguments, Octets},
    request::{Head, Wanted},
    wire::{Told, WireReply},
};
use crate::{
    handles::producer::Producer,
    message::{
        codec::Codec,
        outgoing::Message,
        payload::{Body, ReplyAddress, ReplyTaker},
        properties::Properties,
    },
    model::{
        descriptions::Exchange,
        error::{CodecError, RpcError},
    },
    patterns::worker,
    runtime::{
        clock::{Clock, SystemClock, TimerTarget},
        signal::Signal,
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        waiter::{Ticket, WaitList},
    },
    session::connection::Connection,
};

/// A request from another process. Its replies go to the address of its message.
pub(super) struct Arriving {
    head: Head,
    arguments: Mutex<Option<Octets>>,
    /// Known when a server takes the request.
    back: OnceLock<Back>,
    has_ended: AtomicBool,
    /// Set when the caller waits no more.
    cancelled: OnceLock<Arc<Signal>>,
}

/// The way back to the caller.
struct Back {
    connection: Connection,
    producer: Producer<WireReply>,
    address: String,
}

impl Arriving {
    pub(super) fn new(head: Head, arguments: Octets) -> Arriving {
        Arriving {
            head,
            arguments: Mutex::new(Some(arguments)),
            back: OnceLock::new(),
            has_ended: AtomicBool::new(false),
            cancelled: OnceLock::new(),
        }
    }

    /// Sends a reply. It does not wait for the confirm, since a reply that is lost is one that the
    /// caller does not wait for any more.
    fn send(&self, is_last: bool, told: Told) {
        let (Some(back), Some(id)) = (self.back.get(), self.head.id) else {
            return;
        };
        let reply = Message::new(WireReply::new(id, is_last, told));
        let reply = reply.routing_key(back.address.clone());
        // The first poll sends it.
        let _ = back.producer.publish_message_async(reply).now_or_never();
    }

    fn is_late(&self) -> bool {
        let deadline = self.head.deadline;
        deadline.is_some_and(|deadline| deadline <= SystemClock.now())
    }
}

impl AnyCall for Arriving {
    fn head(&self) -> &Head {
        &self.head
    }

    fn leaves(&self, _: Box<dyn ReplyAddress>) {}

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn taken_by(&self, worker: &worker::Context<'_>) {
        let Some(address) = worker.properties().reply_to.clone() else {
            return;
        };
        let connection = worker.connection().clone();
        let builder = connection.producer_builder::<WireReply>(Exchange::existing(""));
        if let Ok(producer) = builder.not_mandatory().build() {
            let producer = worker.producer(&producer);
            // The first of them stays.
            let _ = self.back.set(Back {
                connection,
                producer,
                address,
            });
        }
    }

    fn take(&self) -> Arguments<Body> {
        match self.arguments.lock().take() {
            Some(octets) => Arguments::Octets(octets),
            None => Arguments::Taken,
        }
    }

    fn show(&self, _: &mut dyn FnMut(&dyn Any) -> bool) -> Option<Octets> {
        self.arguments.lock().clone()
    }

    fn copy(&self) -> Option<Result<Octets, CodecError>> {
        self.arguments.lock().clone().map(Ok)
    }

    fn reply(&self, reply: Reply<Body>, is_last: bool) -> Delivered {
        if self.is_late() {
            return Delivered::Late;
        }
        let is_one = self.head.replies == Wanted::One;
        let has_ended = is_one && self.has_ended.swap(true, SeqCst);
        if self.head.replies == Wanted::None || has_ended {
            return Delivered::Unwanted;
        }
        let octets = reply.and_then(|body| Octets::encode(&body).map_err(RpcError::BadReply));
        let told = octets.map_or_else(Told::Error, Told::Value);
        self.send(is_last || is_one, told);
        Delivered::Yes
    }

    /// Replies of other processes come to callers.
    fn reply_octets(&self, _: Octets, _: bool) -> Delivered {
        Delivered::Unwanted
    }

    fn finish(&self) -> Delivered {
        if self.is_late() {
            return Delivered::Late;
        }
        if self.head.replies != Wanted::None {
            self.send(true, Told::End);
        }
        Delivered::Yes
    }

    /// A request that is dropped may come again, so that its caller waits on.
    fn end(&self) {}

    fn is_abandoned(&self) -> bool {
        self.is_late()
    }

    fn cancelled(&self) -> Arc<Signal> {
        let signal = self.cancelled.get_or_init(|| {
            let signal = Arc::new(Signal::default());
            if let (Some(deadline), Some(back)) = (self.head.deadline, self.back.get()) {
                let target = Arc::downgrade(&signal) as std::sync::Weak<dyn TimerTarget>;
                back.connection.fire_at(deadline, target);
            }
            signal
        });
        Arc::clone(signal)
    }

    fn room(&self, _: Option<Ticket<'_>>) -> Poll<bool> {
        let has_reply = self.head.replies == Wanted::One && self.has_ended.load(SeqCst);
        Poll::Ready(!has_reply && !self.is_late())
    }

    /// No sender waits: there is always room.
    fn with_senders(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut WaitList::default());
    }
}

/// A request from another process never leaves this one.
impl ReplyTaker for Arriving {
    fn take_reply(&self, _: &Properties, _: &Body, _: &dyn Codec) {}
}
