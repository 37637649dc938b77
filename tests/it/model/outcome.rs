//! The results that the test compares after every step.

/// The results of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub answer: Answer,
    /// The events of each channel, in order.
    pub events: Vec<Vec<Observed>>,
    /// The numbers of ready messages and of consumers, for each existing queue.
    pub counts: [Option<(u64, u64)>; 4],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Count(u64),
    Got(Option<(Seen, u64)>),
    Failed(u16),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    Delivery(Seen),
    Return(u64),
    Cancelled(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub consumer: String,
    pub tag: u64,
    pub id: u64,
    pub redelivered: bool,
    pub exchange: String,
    pub key: String,
    /// The first death: its queue and its reason.
    pub death: Option<(String, String)>,
}
