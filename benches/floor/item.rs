//! The messages: the same types through channels and through the broker.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The id of the messages that stop the consumers.
pub const STOP: u64 = u64::MAX;

/// A typical message: small, with an owned string.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Msg {
    pub id: u64,
    at: u64,
    name: String,
}

/// The hard case: 40 bytes, which a channel moves without any allocation.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Plain {
    pub id: u64,
    rest: [u64; 4],
}

/// A type that both the channels and the broker send.
pub trait Item: Send + 'static {
    fn make(id: u64) -> Self;
    fn id(&self) -> u64;
}

impl Item for Msg {
    fn make(id: u64) -> Msg {
        Msg {
            id,
            at: id ^ 0x5555,
            name: String::from("sixteen letters!"),
        }
    }

    fn id(&self) -> u64 {
        self.id
    }
}

impl Item for Arc<Msg> {
    fn make(id: u64) -> Arc<Msg> {
        Arc::new(Msg::make(id))
    }

    fn id(&self) -> u64 {
        self.id
    }
}

impl Item for Plain {
    fn make(id: u64) -> Plain {
        Plain { id, rest: [id; 4] }
    }

    fn id(&self) -> u64 {
        self.id
    }
}

/// 64 bytes, for rows that send bytes.
impl Item for Vec<u8> {
    fn make(id: u64) -> Vec<u8> {
        let mut body = vec![0; 64];
        body[..8].copy_from_slice(&id.to_le_bytes());
        body
    }

    fn id(&self) -> u64 {
        id_of(self)
    }
}

/// The id in the body of a message.
pub fn id_of(body: &[u8]) -> u64 {
    body[..8].try_into().map_or(STOP, u64::from_le_bytes)
}
