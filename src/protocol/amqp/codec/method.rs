//! The methods of AMQP 0-9-1 and RabbitMQ's extensions.

use super::{
    Malformed,
    field::{Field, Reader, ShortOctets},
};
use crate::model::field_value::FieldTable;

/// The table of the methods: class, number, name, fields. The enum, its reader and its writer come
/// from the same rows, so that they agree.
macro_rules! methods {
    ($($class:literal $number:literal $name:ident { $($field:ident: $type:ty),* })*) => {
        /// A method with its fields. Strings are those of the frame.
        ///
        /// Bits that follow one another are one field, with the names of the bits in their order.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Method<'a> {
            $($name { $($field: $type),* },)*
        }

        impl<'a> Method<'a> {
            /// The class and the number of the method.
            #[inline]
            pub(crate) fn id(&self) -> (u16, u16) {
                match self {
                    $(Method::$name { .. } => ($class, $number),)*
                }
            }

            /// Every method, with fields of the sample.
            #[cfg(test)]
            pub(super) fn all(sample: &'a super::tests::Sample) -> Vec<Method<'a>> {
                vec![$(Method::$name { $($field: super::tests::Sampled::of(sample)),* },)*]
            }

            /// Reads the fields of a method. `None` if there is no such method.
            #[inline]
            fn read_fields(
                class: u16,
                number: u16,
                from: &mut Reader<'a>,
            ) -> Result<Option<Method<'a>>, Malformed> {
                Ok(Some(match (class, number) {
                    $(($class, $number) => Method::$name { $($field: from.field()?),* },)*
                    _ => return Ok(None),
                }))
            }

            /// Writes the fields of the method.
            #[inline]
            pub(crate) fn write(&self, to: &mut Vec<u8>) {
                match self {
                    $(Method::$name { $($field),* } => {
                        let _ = &to;
                        $(Field::write($field, to);)*
                    })*
                }
            }
        }
    };
}

methods! {
    10 10 ConnectionStart {
        version_major: u8, version_minor: u8, server_properties: FieldTable,
        mechanisms: &'a [u8], locales: &'a [u8]
    }
    10 11 ConnectionStartOk {
        client_properties: FieldTable, mechanism: &'a str, response: &'a [u8], locale: &'a str
    }
    10 20 ConnectionSecure { challenge: &'a [u8] }
    10 21 ConnectionSecureOk { response: &'a [u8] }
    10 30 ConnectionTune { channel_max: u16, frame_max: u32, heartbeat: u16 }
    10 31 ConnectionTuneOk { channel_max: u16, frame_max: u32, heartbeat: u16 }
    10 40 ConnectionOpen { vhost: &'a str, capabilities: &'a str, insist: bool }
    10 41 ConnectionOpenOk { known_hosts: &'a str }
    10 50 ConnectionClose {
        reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16
    }
    10 51 ConnectionCloseOk {}
    10 60 ConnectionBlocked { reason: &'a str }
    10 61 ConnectionUnblocked {}
    10 70 ConnectionUpdateSecret { new_secret: &'a [u8], reason: &'a str }
    10 71 ConnectionUpdateSecretOk {}

    20 10 ChannelOpen { out_of_band: &'a str }
    20 11 ChannelOpenOk { channel_id: &'a [u8] }
    20 20 ChannelFlow { active: bool }
    20 21 ChannelFlowOk { active: bool }
    20 40 ChannelClose { reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16 }
    20 41 ChannelCloseOk {}

    30 10 AccessRequest { realm: &'a str, exclusive_passive_active_write_read: [bool; 5] }
    30 11 AccessRequestOk { ticket: u16 }

    40 10 ExchangeDeclare {
        ticket: u16, exchange: &'a str, kind: &'a str,
        passive_durable_auto_delete_internal_no_wait: [bool; 5], arguments: FieldTable
    }
    40 11 ExchangeDeclareOk {}
    40 20 ExchangeDelete { ticket: u16, exchange: &'a str, if_unused_no_wait: [bool; 2] }
    40 21 ExchangeDeleteOk {}
    40 30 ExchangeBind {
        ticket: u16, destination: &'a str, source: &'a str, routing_key: &'a str,
        no_wait: bool, arguments: FieldTable
    }
    40 31 ExchangeBindOk {}
    40 40 ExchangeUnbind {
        ticket: u16, destination: &'a str, source: &'a str, routing_key: &'a str,
        no_wait: bool, arguments: FieldTable
    }
    40 51 ExchangeUnbindOk {}

    50 10 QueueDeclare {
        ticket: u16, queue: &'a str,
        passive_durable_exclusive_auto_delete_no_wait: [bool; 5], arguments: FieldTable
    }
    50 11 QueueDeclareOk { queue: &'a str, message_count: u32, consumer_count: u32 }
    50 20 QueueBind {
        ticket: u16, queue: &'a str, exchange: &'a str, routing_key: &'a str,
        no_wait: bool, arguments: FieldTable
    }
    50 21 QueueBindOk {}
    50 30 QueuePurge { ticket: u16, queue: &'a str, no_wait: bool }
    50 31 QueuePurgeOk { message_count: u32 }
    50 40 QueueDelete { ticket: u16, queue: &'a str, if_unused_if_empty_no_wait: [bool; 3] }
    50 41 QueueDeleteOk { message_count: u32 }
    50 50 QueueUnbind {
        ticket: u16, queue: &'a str, exchange: &'a str, routing_key: &'a str,
        arguments: FieldTable
    }
    50 51 QueueUnbindOk {}

    60 10 BasicQos { prefetch_size: u32, prefetch_count: u16, global: bool }
    60 11 BasicQosOk {}
    60 20 BasicConsume {
        ticket: u16, queue: &'a str, consumer_tag: &'a str,
        no_local_no_ack_exclusive_no_wait: [bool; 4], arguments: FieldTable
    }
    60 21 BasicConsumeOk { consumer_tag: &'a str }
    60 30 BasicCancel { consumer_tag: &'a str, no_wait: bool }
    60 31 BasicCancelOk { consumer_tag: &'a str }
    60 40 BasicPublish {
        ticket: u16, exchange: &'a str, routing_key: ShortOctets<'a>,
        mandatory_immediate: [bool; 2]
    }
    60 50 BasicReturn {
        reply_code: u16, reply_text: &'a str, exchange: &'a str, routing_key: ShortOctets<'a>
    }
    60 60 BasicDeliver {
        consumer_tag: &'a str, delivery_tag: u64, redelivered: bool,
        exchange: &'a str, routing_key: ShortOctets<'a>
    }
    60 70 BasicGet { ticket: u16, queue: &'a str, no_ack: bool }
    60 71 BasicGetOk {
        delivery_tag: u64, redelivered: bool, exchange: &'a str, routing_key: ShortOctets<'a>,
        message_count: u32
    }
    60 72 BasicGetEmpty { cluster_id: &'a str }
    60 80 BasicAck { delivery_tag: u64, multiple: bool }
    60 90 BasicReject { delivery_tag: u64, requeue: bool }
    60 100 BasicRecoverAsync { requeue: bool }
    60 110 BasicRecover { requeue: bool }
    60 111 BasicRecoverOk {}
    60 120 BasicNack { delivery_tag: u64, multiple_requeue: [bool; 2] }

    85 10 ConfirmSelect { no_wait: bool }
    85 11 ConfirmSelectOk {}

    90 10 TxSelect {}
    90 11 TxSelectOk {}
    90 20 TxCommit {}
    90 21 TxCommitOk {}
    90 30 TxRollback {}
    90 31 TxRollbackOk {}
}

/// The class and the number of a method, which are before its fields.
pub(crate) type MethodId = (u16, u16);

/// The reason why the payload of a method frame is no method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MethodFault {
    /// There is no such method.
    Unknown(MethodId),
    /// Its fields cannot be read.
    Malformed(MethodId, Malformed),
    /// There is no class and number.
    NoId,
}

impl<'a> Method<'a> {
    /// Reads the payload of a method frame.
    #[inline]
    pub(crate) fn read(payload: &'a [u8]) -> Result<Method<'a>, MethodFault> {
        let mut from = Reader::new(payload);
        let (Ok(class), Ok(number)) = (from.field(), from.field()) else {
            return Err(MethodFault::NoId);
        };
        let malformed = |fault| MethodFault::Malformed((class, number), fault);
        match Method::read_fields(class, number, &mut from).map_err(malformed)? {
            None => Err(MethodFault::Unknown((class, number))),
            Some(_) if !from.is_empty() => Err(malformed(Malformed::Length)),
            Some(method) => Ok(method),
        }
    }

    /// The tag and the bit `multiple` of a payload that is a `basic.ack`, which comes for every
    /// message.
    #[inline]
    pub(crate) fn read_ack(payload: &[u8]) -> Option<(u64, bool)> {
        let [0, 60, 0, 80, tag @ .., bits] = payload else {
            return None;
        };
        let tag = u64::from_be_bytes(tag.try_into().ok()?);
        Some((tag, bits & 1 == 1))
    }
}
