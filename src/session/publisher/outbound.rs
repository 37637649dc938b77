//! A publish on its way to an engine outside of this process.

use std::time::Duration;

use super::{OnFull, Publisher, prepared::Prepared};
use crate::{
    message::{envelope::Envelope, headers::cc_bcc},
    model::{
        error::{Error, Result},
        field_value::FieldValue,
        name::Name,
    },
    runtime::completion::Completion,
    session::backend::{Backend, Confirmation, Expires, Outbound},
};

impl Prepared<'_> {
    /// Hands the message to the engine outside of this process, if there is one.
    ///
    /// # Errors
    /// [`Error::Codec`] if the payload cannot be encoded. For
    /// [`OnFull::Refuse`] the errors of a connection that is lost or blocked.
    /// [`Error::Timeout`] if the time is over already: no confirm could come
    /// in time.
    pub(crate) fn start(
        &self,
        message: Option<&Envelope>,
        on_full: OnFull,
    ) -> Option<Result<Completion<Confirmation>>> {
        let backend = self.publisher.gate().backend()?;
        match may_start(&**backend, on_full) {
            Ok(()) => self.hand_over(message?, on_full != OnFull::Refuse),
            Err(error) => Some(Err(error)),
        }
    }

    /// As [`start`](Self::start), on a connection that is not lost. The message is sent even if the
    /// engine takes nothing now, and is confirmed later then.
    ///
    /// # Errors
    /// [`Error::Codec`] if the payload cannot be encoded; the errors of a
    /// connection that is lost.
    pub(crate) fn start_if_up(
        &self,
        message: Option<&Envelope>,
    ) -> Option<Result<Completion<Confirmation>>> {
        match self.publisher.gate().backend()?.check_up() {
            Ok(()) => self.hand_over(message?, false),
            Err(error) => Some(Err(error)),
        }
    }

    fn hand_over(
        &self,
        message: &Envelope,
        waits: bool,
    ) -> Option<Result<Completion<Confirmation>>> {
        let backend = self.publisher.gate().backend()?;
        let outbound = self.outbound(message, waits);
        Some(outbound.map(|outbound| backend.publish(outbound)))
    }

    /// The message as an engine outside of this process gets it.
    ///
    /// # Errors
    /// [`Error::Codec`] if the payload cannot be encoded.
    pub(crate) fn outbound(&self, envelope: &Envelope, waits: bool) -> Result<Outbound> {
        let gate = &self.publisher.gate();
        let (mut properties, body, expires) = match envelope.body().departing() {
            None => (envelope.properties().clone(), envelope.encode()?, None),
            Some(departing) => {
                let departed = departing.depart(envelope.properties(), gate.exit())?;
                let expires = departed.deadline;
                let expires = expires.map(|at| Expires::new(at, gate.vhost().time()));
                (departed.properties.clone(), departed.body.clone(), expires)
            }
        };
        if let Some(meta) = envelope.meta().filter(|meta| !meta.bcc.is_empty()) {
            let keys: Vec<FieldValue> = meta.bcc.iter().map(|key| key.as_str().into()).collect();
            properties = properties.header(cc_bcc::BCC, keys);
        }
        Ok(Outbound {
            exchange: self.publisher.exchange().clone(),
            routing_key: Name::new(self.key)?,
            mandatory: self.mandatory,
            waits,
            properties,
            body,
            expires,
        })
    }
}

/// # Errors
/// Those of [`Prepared::start`] but for the codec's.
fn may_start(backend: &dyn Backend, on_full: OnFull) -> Result<()> {
    match on_full {
        OnFull::WaitFor(Duration::ZERO) => Err(Error::Timeout),
        OnFull::WaitFor(_) | OnFull::Wait => Ok(()),
        OnFull::Refuse => backend.check_up().and(backend.check_unblocked()),
    }
}

impl Publisher {
    /// Hands messages to the engine outside of this process.
    ///
    /// # Errors
    /// Those of [`Prepared::start`] but for the codec's. [`Error::ConnectionClosed`] if the engine
    /// is in this process.
    pub(crate) fn start_all(
        &self,
        messages: Vec<Outbound>,
        on_full: OnFull,
    ) -> Result<Vec<Completion<Confirmation>>> {
        let backend = self.gate().backend().ok_or(Error::ConnectionClosed)?;
        may_start(&**backend, on_full)?;
        Ok(backend.publish_all(messages))
    }
}
