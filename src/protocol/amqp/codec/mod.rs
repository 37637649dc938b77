//! The octets of AMQP 0-9-1 with RabbitMQ's extensions: frames, methods, content headers, tables.
//!
//! Reading borrows from the octets of the frame wherever the broker does not keep the value.
//! Writing appends to one buffer. This module knows no connections.
//!
//! - `field`: numbers, bits, strings.
//! - `table`: field tables.
//! - `properties`: content headers.
//! - `method`: the methods.
//! - `frame`: frames.
//! - `delivery`: deliveries with their content.
//! - `malformed`: the reasons why octets are no AMQP.

mod delivery;
mod field;
pub(super) mod frame;
mod malformed;
mod method;
mod properties;
mod table;
#[cfg(test)]
pub(super) mod tests;

pub(super) use self::{
    delivery::Delivery,
    malformed::Malformed,
    method::{Method, MethodFault, MethodId},
    properties::{BASIC, ContentHeader, write_header},
    table::{NotEncodable, table_of},
};
