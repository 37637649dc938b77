//! Calls over an engine outside of this process: their replies against the ends of callers and
//! connections.
//!
//! Each call has one outcome. A caller who has gone leaves no address behind, and its stream is
//! told.

use std::sync::OnceLock;

use super::*;
use crate::{
    engine::{
        access::Access,
        queue::Move,
        vhost::{Published, QueueDeclared, VhostSettings, VirtualHost},
    },
    model::{
        bytes::Bytes,
        descriptions::Exchange,
        error::{Error, Result, RpcError},
        name::Name,
    },
    patterns::rpc::{Client, Target},
    runtime::{
        clock::{ManualClock, Time},
        completion::{Completion, completion},
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        timers::Timers,
    },
    session::{
        backend::{
            Backend, Confirmation, Got, Outbound, RemoteConsumer, RemoteInbox, RemoteSettlement,
        },
        callers::Callers,
        connection::{Connection, ConnectionAbout, ConnectionOptions},
        events::EventStream,
        publisher::NotPublished,
    },
};

const SECOND: Duration = Duration::from_secs(1);

/// An engine that takes requests and nothing else. A thread replies to each of them.
#[derive(Default)]
struct Remote {
    callers: OnceLock<Arc<Callers>>,
    /// Before the lock of the callers.
    state: Mutex<State>,
    /// Set before the last reply of a stream.
    is_at_end: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// The properties of each request.
    requests: Vec<Properties>,
    replying: Vec<JoinHandle<()>>,
    /// How often a stream was told that its caller has gone.
    told: usize,
}

impl Remote {
    /// An engine with a connection to it.
    fn connect(time: Time) -> (Arc<Remote>, Connection) {
        let remote = Arc::new(Remote::default());
        let timers = Arc::new(Timers::new(time.clone()));
        let name = Name::new("/").unwrap();
        let settings = VhostSettings {
            always_encode: true,
            ..VhostSettings::default()
        };
        let vhost = VirtualHost::new(name, time, timers, Arc::default(), settings, None).unwrap();
        let backend = Arc::clone(&remote) as Arc<dyn Backend>;
        let user = Name::new("guest").unwrap();
        let about = ConnectionAbout {
            mechanism: Some("PLAIN".into()),
            connected_at: std::time::UNIX_EPOCH,
            options: ConnectionOptions::default(),
        };
        let connection =
            Connection::open(&vhost, 1, (user, Access::All), about, Some(backend), None);
        (remote, connection)
    }

    fn callers(&self) -> &Arc<Callers> {
        self.callers.get().unwrap()
    }

    /// Loses the replies to what was sent.
    fn lose(&self) {
        self.callers().lost(&lost());
    }

    /// Waits until every reply is given, and returns how often a stream was told of its end.
    ///
    /// # Panics
    /// If a caller is left.
    fn finish(&self) -> usize {
        let replying = std::mem::take(&mut self.state.lock().replying);
        join(replying);
        let state = self.state.lock();
        for request in &state.requests {
            assert_eq!(self.callers().key_of(request), None, "a caller is left");
        }
        state.told
    }
}

fn lost() -> Error {
    Error::ConnectionLost {
        address: "there".into(),
        fault: "a test".into(),
    }
}

/// Replies to a request with its arguments, or with 0, 1 and 2 if it is for a stream.
fn reply(callers: &Callers, request: &Properties, arguments: Bytes, is_at_end: &AtomicBool) {
    let id = request.correlation_id.clone().unwrap();
    let mut properties = Properties::new().correlation_id(id);
    properties.content_type = Some("application/json".to_owned());
    if request.header_value("x-rpc-replies").is_none() {
        return callers.reply(&properties, arguments);
    }
    properties.reply_to = Some("amq.rabbitmq.reply-to.there".to_owned());
    properties.message_id = Some("stream".to_owned());
    for number in ["0", "1"] {
        let properties = properties.clone().header("x-rpc-reply", "more");
        callers.reply(&properties, Bytes::from(number));
    }
    is_at_end.store(true, SeqCst);
    callers.reply(&properties, Bytes::from("2"));
}

/// The outcome of an operation that no test needs.
fn nothing<T>() -> Completion<T> {
    completion().1
}

impl Backend for Remote {
    fn serve(&self, callers: &Arc<Callers>) {
        assert!(self.callers.set(Arc::clone(callers)).is_ok());
    }

    fn publish(&self, message: Outbound) -> Completion<Confirmation> {
        let (completer, completion) = completion();
        let confirmation = {
            let mut state = self.state.lock();
            let Outbound {
                properties, body, ..
            } = message;
            if let Some(credit) = properties.header_value("x-rpc-credit") {
                assert_eq!(credit.as_i64(), Some(0));
                state.told += 1;
                Ok(Published::to_one())
            } else if state.is_closed {
                Err(NotPublished::Invalid(Error::ConnectionClosed))
            } else {
                let callers = Arc::clone(self.callers());
                callers.sent(callers.key_of(&properties).unwrap());
                state.requests.push(properties.clone());
                let is_at_end = Arc::clone(&self.is_at_end);
                let replying =
                    thread::spawn(move || reply(&callers, &properties, body, &is_at_end));
                state.replying.push(replying);
                Ok(Published::to_one())
            }
        };
        completer.complete(confirmation);
        completion
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
        self.callers().lost(&Error::ConnectionClosed);
    }

    fn tell(&self, _: &Arc<EventStream>) {}

    fn check_up(&self) -> Result {
        Ok(())
    }

    fn check_unblocked(&self) -> Result {
        Ok(())
    }

    fn declare_exchange(&self, _: &Exchange) -> Completion<Result<()>> {
        nothing()
    }

    fn declare_queue(&self, _: &Queue) -> Completion<Result<QueueDeclared>> {
        nothing()
    }

    fn delete_exchange(&self, _: &str) -> Completion<Result<()>> {
        nothing()
    }

    fn delete_queue(&self, _: &str) -> Completion<Result<u64>> {
        nothing()
    }

    fn ready_len(&self, _: &Name) -> Completion<Result<usize>> {
        nothing()
    }

    fn purge(&self, _: &Name, _: bool) -> Completion<Result<u64>> {
        nothing()
    }

    fn get(&self, _: &Name, _: bool) -> Completion<Result<Option<Got>>> {
        nothing()
    }

    fn subscribe(&self, _: RemoteConsumer, _: Arc<RemoteInbox>) -> Completion<Result<u64>> {
        nothing()
    }

    fn cancel(&self, _: u64) {}

    fn settle(&self, _: u64, _: RemoteSettlement) -> Result {
        Ok(())
    }

    fn dead_letters_of(&self, _: &Name) -> Option<(Name, Option<Name>)> {
        None
    }

    fn replace(&self, _: u64, _: Outbound, _: Move) -> Result {
        Ok(())
    }
}

fn client(connection: &Connection) -> Client {
    Client::new(connection, Target::queue("q"))
}

#[test]
fn a_remote_call_has_one_outcome_when_its_time_is_over_as_the_reply_comes() {
    explore(|| {
        let clock = ManualClock::new();
        let (remote, connection) = Remote::connect(Time::new(clock.clone()));
        let caller = client(&connection);
        let calling = thread::spawn(move || caller.call_timeout::<u32>("id", 7_u32, SECOND));
        clock.advance(SECOND);
        match calling.join().unwrap() {
            Ok(7) | Err(RpcError::Timeout) => {}
            other => panic!("{other:?}"),
        }
        remote.finish();
    });
}

#[test]
fn each_remote_call_has_its_own_reply_or_ends_with_the_connection() {
    explore(|| {
        let (remote, connection) = Remote::connect(Time::default());
        let calling = [7, 8].map(|number| {
            let caller = client(&connection);
            thread::spawn(move || (number, caller.call::<u32>("id", number)))
        });
        remote.lose();
        for (number, reply) in join(calling) {
            match reply {
                Ok(reply) => assert_eq!(reply, number),
                Err(error) => assert_eq!(error, RpcError::Broker(lost())),
            }
        }
        remote.finish();
    });
}

#[test]
fn a_remote_call_has_one_outcome_when_its_connection_closes_as_the_reply_comes() {
    explore(|| {
        let (remote, connection) = Remote::connect(Time::default());
        let caller = client(&connection);
        let calling = thread::spawn(move || caller.call::<u32>("id", 7_u32));
        connection.close().unwrap();
        match calling.join().unwrap() {
            Ok(7) | Err(RpcError::Broker(Error::ConnectionClosed)) => {}
            other => panic!("{other:?}"),
        }
        remote.finish();
    });
}

#[test]
fn a_remote_call_that_is_dropped_leaves_no_address_behind() {
    explore(|| {
        let (remote, connection) = Remote::connect(Time::default());
        let caller = client(&connection);
        let calling = thread::spawn(move || {
            let mut call = pin!(caller.call_async::<u32>("id", 7_u32));
            let mut context = Context::from_waker(Waker::noop());
            match call.as_mut().poll(&mut context) {
                Poll::Ready(reply) => assert_eq!(reply, Ok(7)),
                Poll::Pending => {}
            }
        });
        calling.join().unwrap();
        remote.finish();
    });
}

#[test]
fn a_remote_stream_has_all_its_replies_or_the_loss_after_those_that_have_come() {
    explore(|| {
        let (remote, connection) = Remote::connect(Time::default());
        let caller = client(&connection);
        let calling = thread::spawn(move || {
            let replies = caller.call_stream::<u32>("count", ()).unwrap();
            replies.collect::<Vec<_>>()
        });
        remote.lose();
        let mut replies = calling.join().unwrap();
        if replies.len() != 3 || replies.iter().any(Result::is_err) {
            assert_eq!(replies.pop(), Some(Err(RpcError::Broker(lost()))));
            assert!(replies.len() < 3, "all replies have come");
        }
        let expected = (0..replies.len() as u32).map(Ok);
        assert!(expected.eq(replies));
        remote.finish();
    });
}

#[test]
fn a_remote_stream_is_told_once_when_its_caller_goes_before_its_end() {
    explore(|| {
        let (remote, connection) = Remote::connect(Time::default());
        let caller = client(&connection);
        let calling = thread::spawn(move || {
            let mut replies = caller.call_stream::<u32>("count", ()).unwrap();
            assert_eq!(replies.next(), Some(Ok(0)));
        });
        calling.join().unwrap();
        let was_at_end = remote.is_at_end.load(SeqCst);
        match remote.finish() {
            0 => assert!(was_at_end, "the stream was not told"),
            told => assert_eq!(told, 1),
        }
    });
}
