//! The tap of a test broker: it records every publish, and applies the faults.

use std::{collections::BTreeMap, mem, sync::Arc};

use super::{
    fault::{Fault, Faults, InjectedFault},
    publish_record::{PublishFacts, PublishRecord},
    random::Random,
};
use crate::{
    engine::vhost::Published,
    model::error::{Error, Result},
    runtime::{
        clock::{Clock, ManualClock},
        sync::Mutex,
    },
    session::publisher::{Attempt, Course, Tap},
};

/// The publishes of a broker so far, and the faults in effect.
#[derive(Debug)]
pub(super) struct Recorder {
    clock: ManualClock,
    state: Mutex<RecorderState>,
}

#[derive(Debug)]
struct RecorderState {
    /// The publishes in the order in which they began.
    publishes: BTreeMap<u64, PublishRecord>,
    last_number: u64,
    faults: Faults,
    random: Random,
}

impl Recorder {
    pub(super) fn new(clock: ManualClock) -> Recorder {
        Recorder {
            clock,
            state: Mutex::new(RecorderState {
                publishes: BTreeMap::new(),
                last_number: 0,
                faults: Faults::default(),
                random: Random::new(0),
            }),
        }
    }

    pub(super) fn set_random(&self, random: Random) {
        self.state.lock().random = random;
    }

    pub(super) fn inject(&self, fault: Fault) -> InjectedFault {
        self.state.lock().faults.add(fault)
    }

    pub(super) fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// The publishes so far, in the order in which they began.
    pub(super) fn publishes(&self) -> Vec<PublishRecord> {
        self.state.lock().publishes.values().cloned().collect()
    }

    pub(super) fn clear_publishes(&self) {
        let publishes = mem::take(&mut self.state.lock().publishes);
        // Without the lock, since they may have payloads.
        drop(publishes);
    }
}

impl RecorderState {
    fn record(&mut self, attempt: Attempt<'_>, outcome: Option<Result<Published>>) -> u64 {
        self.last_number += 1;
        let facts = Arc::new(PublishFacts::new(attempt));
        let record = PublishRecord::new(facts, outcome);
        self.publishes.insert(self.last_number, record);
        self.last_number
    }
}

impl Tap for Recorder {
    fn begin(&self, attempt: Attempt<'_>) -> Course {
        let now = self.clock.now();
        let mut course = Course::default();
        let mut state = self.state.lock();
        let RecorderState { faults, random, .. } = &mut *state;
        faults.apply(&attempt, now, random, &mut course);
        course.number = state.record(attempt, None);
        course
    }

    fn end(&self, number: u64, outcome: Result<Published>) {
        if let Some(record) = self.state.lock().publishes.get_mut(&number) {
            record.end(outcome);
        }
    }

    fn fail(&self, attempt: Attempt<'_>, error: Error) {
        self.state.lock().record(attempt, Some(Err(error)));
    }
}
