//! Properties as bytes: a bit for each one that is there, and their values in the order of the
//! bits.

use super::{Properties, PropertyList};
use crate::model::{
    binary::{Sink, Source, Unreadable},
    field_value::{FieldTable, TableTooDeep},
};

/// How many texts there are. Theirs are the lowest bits.
const TEXTS: usize = 10;
const DELIVERY_MODE: u32 = 1 << TEXTS;
const PRIORITY: u32 = DELIVERY_MODE << 1;
const TIMESTAMP: u32 = DELIVERY_MODE << 2;
const HEADERS: u32 = DELIVERY_MODE << 3;

impl PropertyList {
    /// The texts, in the order of their bits.
    pub(super) fn texts(&self) -> [&Option<String>; TEXTS] {
        [
            &self.content_type,
            &self.content_encoding,
            &self.correlation_id,
            &self.reply_to,
            &self.expiration,
            &self.message_id,
            &self.message_type,
            &self.user_id,
            &self.app_id,
            &self.cluster_id,
        ]
    }

    fn texts_mut(&mut self) -> [&mut Option<String>; TEXTS] {
        [
            &mut self.content_type,
            &mut self.content_encoding,
            &mut self.correlation_id,
            &mut self.reply_to,
            &mut self.expiration,
            &mut self.message_id,
            &mut self.message_type,
            &mut self.user_id,
            &mut self.app_id,
            &mut self.cluster_id,
        ]
    }
}

impl Properties {
    /// The bits that a property may have in [`present`](Self::present).
    pub(crate) const BITS: u32 = (HEADERS << 1) - 1;

    /// A bit for each property that is there.
    pub(crate) fn present(&self) -> u32 {
        let Some(list) = self.list() else { return 0 };
        let bit = |is: bool, bit: u32| if is { bit } else { 0 };
        let mut present = bit(list.delivery_mode.is_some(), DELIVERY_MODE)
            | bit(list.priority.is_some(), PRIORITY)
            | bit(list.timestamp.is_some(), TIMESTAMP)
            | bit(list.headers.is_some(), HEADERS);
        for (at, text) in list.texts().into_iter().enumerate() {
            present |= u32::from(text.is_some()) << at;
        }
        present
    }

    /// Writes the properties that are there, without their bits.
    ///
    /// # Errors
    /// [`TableTooDeep`]. A part of them is written then.
    pub(crate) fn write(&self, to: &mut impl Sink) -> Result<(), TableTooDeep> {
        let Some(list) = self.list() else {
            return Ok(());
        };
        for text in list.texts().into_iter().flatten() {
            to.run(text.as_bytes());
        }
        for octet in [list.delivery_mode, list.priority].into_iter().flatten() {
            to.octet(octet);
        }
        if let Some(timestamp) = list.timestamp {
            to.number(timestamp);
        }
        list.headers.as_ref().map_or(Ok(()), |it| it.write(to))
    }

    /// Reads the properties that have these bits.
    ///
    /// # Errors
    /// The reason why these are not the bytes of them.
    pub(crate) fn read(present: u32, from: &mut Source<'_>) -> Result<Properties, Unreadable> {
        let mut list = PropertyList::default();
        for (at, text) in list.texts_mut().into_iter().enumerate() {
            if present & 1 << at != 0 {
                *text = Some(from.text()?.to_owned());
            }
        }
        if present & DELIVERY_MODE != 0 {
            list.delivery_mode = Some(from.octet()?);
        }
        if present & PRIORITY != 0 {
            list.priority = Some(from.octet()?);
        }
        if present & TIMESTAMP != 0 {
            list.timestamp = Some(from.number()?);
        }
        if present & HEADERS != 0 {
            list.headers = Some(FieldTable::read(from)?);
        }
        Ok(list.into())
    }
}
