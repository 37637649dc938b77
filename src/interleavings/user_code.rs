//! User code that is handed to a thread of its own, against the stop of that thread.

use super::*;
use crate::runtime::{timers::UserCode, user_drop::Elsewhere, waiter};

#[test]
fn all_values_are_dropped_before_and_after_the_stop() {
    explore(|| {
        let tracker = Tracker::default();
        let user_code = Arc::new(UserCode::new());
        let adding = [0, 1].map(|id| {
            let (user_code, value) = (user_code.clone(), tracker.payload(id));
            thread::spawn(move || user_code.drop_value(Box::new(value)))
        });
        user_code.stop();
        join(adding);
        for thread in user_code.threads() {
            waiter::wait(&thread, None);
        }
        tracker.assert_all_dropped();
    });
}
