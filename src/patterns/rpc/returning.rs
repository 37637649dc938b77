//! [`Returning`], the calls of a connection to an engine outside, and the replies that return to
//! them.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    thread,
};

use super::{
    any_call::AnyCall,
    wire::{Told, WireReply},
};
use crate::{
    handles::consumer::{Consumer, ConsumerBuilder},
    model::{
        descriptions::Queue,
        error::{Error, Result},
    },
    runtime::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    session::{backend::REPLY_TO, connection::Connection, receive::RecvError},
};

/// The calls that wait for replies of other processes, by their numbers.
pub(super) struct Returning {
    next: AtomicU64,
    /// A leaf lock.
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    waiting: HashMap<u64, Weak<dyn AnyCall>>,
    /// At how many those that are over are removed.
    limit: usize,
}

/// How many calls may be over and not removed.
const LEAST: usize = 64;

impl Returning {
    /// That of a connection. The first call starts the consumer of the replies, and a thread for
    /// it, which ends with the connection.
    pub(super) fn of(connection: &Connection) -> Result<Arc<Returning>> {
        connection.core().share(|| {
            let replies = Queue::existing(REPLY_TO);
            let replies = ConsumerBuilder::<WireReply>::new(Ok(connection.clone()), replies);
            let replies = replies.auto_ack().build()?;
            let returning = Arc::new(Returning {
                next: AtomicU64::new(1),
                calls: Mutex::default(),
            });
            let served = Arc::downgrade(&returning);
            let thread = thread::Builder::new().name("leveret-rpc-replies".to_owned());
            let started = thread.spawn(move || serve(&replies, &served));
            started.map_err(|error| Error::Thread(error.to_string().into()))?;
            Ok(returning)
        })
    }

    /// A number for a new call.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// Notes a call. It is forgotten when it has ended.
    pub(super) fn wait(&self, call: &Arc<dyn AnyCall>) {
        let Some(id) = call.head().id else { return };
        let mut calls = self.calls.lock();
        if calls.waiting.len() >= calls.limit.max(LEAST) {
            calls.waiting.retain(|_, call| call.strong_count() > 0);
            calls.limit = 2 * calls.waiting.len();
        }
        calls.waiting.insert(id, Arc::downgrade(call));
    }

    fn take(&self, reply: &WireReply) -> Option<Arc<dyn AnyCall>> {
        let mut calls = self.calls.lock();
        let call = calls.waiting.get(&reply.id)?.upgrade();
        let is_over = match &call {
            None => true,
            Some(call) => reply.is_last && call.head().replies == super::request::Wanted::One,
        };
        if is_over {
            calls.waiting.remove(&reply.id);
        }
        call
    }
}

fn serve(replies: &Consumer<WireReply>, returning: &Weak<Returning>) {
    loop {
        let reply = match replies.recv() {
            Ok(reply) => reply,
            Err(RecvError::Decode(_)) => continue,
            Err(RecvError::Cancelled(_)) => return,
        };
        let Some(returning) = returning.upgrade() else {
            return;
        };
        // No one else has a handle to the value, which was decoded here.
        let Ok(Ok(reply)) = reply.ack_into().map(Ok::<_, Error>) else {
            continue;
        };
        let Some(call) = returning.take(&reply) else {
            continue;
        };
        let is_last = reply.is_last;
        match reply.open() {
            Told::Value(octets) => call.reply_octets(octets, is_last),
            Told::Error(error) => call.reply(Err(error), is_last),
            Told::End => call.finish(),
        };
    }
}
