//! What is compared after every step.

/// What a step brings about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub answer: Answer,
    /// Of each channel, in order.
    pub events: Vec<Vec<Observed>>,
    /// Of each queue that is there: ready messages and consumers.
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
    /// The first death: queue and reason.
    pub death: Option<(String, String)>,
}
