//! [`Window`], which bounds the replies of a stream to another process.

use std::{task::Poll, time::Instant};

use crate::{
    message::{
        codec::Codec,
        payload::{Body, ReplyTaker},
        properties::Properties,
    },
    model::error::Error,
    runtime::{
        clock::TimerTarget,
        sync::Mutex,
        waiter::{Ticket, WaitList},
    },
};

/// The header of a reply that asks for credit: for how many replies. The caller sends it back, to
/// the address of the reply, when it has taken the reply. A caller that has gone sends 0.
pub(super) const CREDIT: &str = "x-rpc-credit";

/// For how many replies a stream asks at once. Twice as many may be on their way. Few in an
/// interleaving test, which would have to send more.
const STEP: i64 = if cfg!(shuttle) { 2 } else { 128 };

/// The replies of a stream that are on their way to their caller.
#[derive(Default)]
pub(super) struct Window {
    /// A leaf lock.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: i64,
    credited: i64,
    /// The caller has gone.
    is_over: bool,
    senders: WaitList,
}

impl Window {
    /// Counts a reply that is about to be sent. Each [`STEP`] of them asks for credit.
    pub(super) fn count(&self, properties: &mut Properties) {
        let sent = {
            let mut state = self.state.lock();
            state.sent += 1;
            state.sent
        };
        if sent % STEP == 0 {
            properties.headers_mut().insert(CREDIT, STEP);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    /// Ready if there is room for a reply, with `true`, or if the caller has gone.
    pub(super) fn room(&self, ticket: Option<Ticket<'_>>) -> Poll<bool> {
        let mut state = self.state.lock();
        if state.is_over {
            return Poll::Ready(false);
        }
        if state.sent - state.credited < 2 * STEP {
            return Poll::Ready(true);
        }
        if let Some(ticket) = ticket {
            state.senders.register(ticket);
        }
        Poll::Pending
    }

    pub(super) fn with_senders(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.state.lock().senders);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakes = {
            let mut state = self.state.lock();
            change(&mut state);
            state.senders.take_all()
        };
        wakes.into_iter().for_each(|wake| wake.wake());
    }
}

/// The replies to a stream are credits.
impl ReplyTaker for Window {
    fn take_reply(&self, _: Instant, properties: &Properties, _: &Body, _: &dyn Codec) {
        let credit = properties.header_value(CREDIT);
        let credit = credit.and_then(|credit| credit.as_i64()).unwrap_or(0);
        self.change(|state| match credit {
            // More than that would be a mistake of the caller.
            1.. => state.credited = state.credited.saturating_add(credit).min(state.sent),
            _ => state.is_over = true,
        });
    }

    fn no_reply(&self, _: Error) {
        self.change(|state| state.is_over = true);
    }
}

/// The caller waits no more, or has been silent for too long.
impl TimerTarget for Window {
    fn fire(&self, _: Instant) {
        self.change(|state| state.is_over = true);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::message::codec::Json;

    /// Sends until there is no room, and returns how many replies asked for credit.
    fn fill(window: &Window) -> (i64, i64) {
        let (mut sent, mut asked) = (0, 0);
        while window.room(None) == Poll::Ready(true) {
            let mut properties = Properties::new();
            window.count(&mut properties);
            sent += 1;
            asked += i64::from(properties.header_value(CREDIT).is_some());
        }
        (sent, asked)
    }

    fn credit(window: &Window, credit: i64) {
        let properties = Properties::new().header(CREDIT, credit);
        window.take_reply(
            Instant::now(),
            &properties,
            &Body::encoded(Default::default()),
            &Json,
        );
    }

    #[test]
    fn a_stream_sends_as_much_as_its_caller_takes() {
        let window = Window::default();
        assert_eq!(fill(&window), (256, 2));
        credit(&window, 128);
        assert_eq!(fill(&window), (128, 1));
        // The credit is for messages that were sent.
        credit(&window, i64::MAX);
        assert_eq!(fill(&window), (256, 2));
        credit(&window, i64::MAX);
        assert_eq!(window.room(None), Poll::Ready(true));
        credit(&window, 0);
        assert_eq!(window.room(None), Poll::Ready(false));
        assert!(window.is_over());
    }
}

/// Each stream sends in one thread, and its caller gives credit in others. A lost wake-up would be
/// a deadlock.
#[cfg(all(test, shuttle))]
mod interleavings {
    use std::sync::Arc;

    use shuttle::{check_pct, check_random};

    use super::*;
    use crate::{
        message::codec::Json,
        runtime::{
            sync::thread,
            waiter::{self, Waitable},
        },
    };

    const ORDERS: usize = 1_000;

    fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
        check_random(scenario.clone(), ORDERS);
        check_pct(scenario, ORDERS, 3);
    }

    struct Room<'a>(&'a Window);

    impl Waitable for Room<'_> {
        type Output = bool;

        fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<bool> {
            self.0.room(ticket)
        }

        fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
            self.0.with_senders(f);
        }
    }

    fn credit(window: &Window, credit: i64) {
        let properties = Properties::new().header(CREDIT, credit);
        window.take_reply(
            Instant::now(),
            &properties,
            &Body::encoded(Default::default()),
            &Json,
        );
    }

    /// Sends `most` replies at most. A thread gives the credit that each of them asks for. Returns
    /// how many were sent.
    fn send(window: &Arc<Window>, most: i64) -> i64 {
        let mut crediting = Vec::new();
        let mut sent = 0;
        while sent < most && waiter::wait(&Room(window), None) == Some(true) {
            let mut properties = Properties::new();
            window.count(&mut properties);
            sent += 1;
            let is_bounded = {
                let state = window.state.lock();
                state.sent - state.credited <= 2 * STEP
            };
            assert!(is_bounded, "too many are on their way");
            if let Some(asked) = properties.header_value(CREDIT) {
                let (window, asked) = (Arc::clone(window), asked.as_i64().unwrap());
                crediting.push(thread::spawn(move || credit(&window, asked)));
            }
        }
        for thread in crediting {
            thread.join().unwrap();
        }
        sent
    }

    #[test]
    fn a_stream_that_waits_goes_on_with_each_credit() {
        explore(|| {
            let window = Arc::new(Window::default());
            assert_eq!(send(&window, 4 * STEP), 4 * STEP);
            let state = window.state.lock();
            assert_eq!((state.sent, state.credited), (4 * STEP, 4 * STEP));
        });
    }

    #[test]
    fn a_stream_ends_with_its_caller_whatever_credit_comes() {
        explore(|| {
            let window = Arc::new(Window::default());
            let sending = thread::spawn({
                let window = Arc::clone(&window);
                move || send(&window, 4 * STEP)
            });
            let silent = thread::spawn({
                let window = Arc::clone(&window);
                move || TimerTarget::fire(&*window, Instant::now())
            });
            credit(&window, 0);
            silent.join().unwrap();
            let sent = sending.join().unwrap();
            assert_eq!(window.state.lock().sent, sent);
            assert_eq!(window.room(None), Poll::Ready(false));
            assert!(window.is_over());
        });
    }

    #[test]
    fn a_stream_that_waits_for_more_credit_than_comes_ends_with_the_connection() {
        explore(|| {
            let window = Arc::new(Window::default());
            let sending = thread::spawn({
                let window = Arc::clone(&window);
                move || {
                    let mut sent = 0;
                    while waiter::wait(&Room(&window), None) == Some(true) {
                        window.count(&mut Properties::new());
                        sent += 1;
                    }
                    sent
                }
            });
            credit(&window, STEP);
            window.no_reply(Error::ConnectionClosed);
            assert!(sending.join().unwrap() <= 3 * STEP);
        });
    }
}
