//! The way of a publish to an engine outside of this process.

use super::{OnFull, Prepared};
use crate::{
    message::{envelope::Envelope, headers::cc_bcc},
    model::{error::Result, field_value::FieldValue, name::Name},
    runtime::completion::Completion,
    session::backend::{Confirmation, Outbound},
};

#[cfg(doc)]
use crate::model::error::Error;

impl Prepared<'_> {
    /// Hands the message to the engine outside of this process, if there is one.
    ///
    /// # Errors
    /// [`Error::Codec`] if the payload cannot be encoded. For [`OnFull::Refuse`] the errors of a
    /// connection that is lost.
    pub(crate) fn start(
        &self,
        message: Option<&Envelope>,
        on_full: OnFull,
    ) -> Option<Result<Completion<Confirmation>>> {
        let backend = self.publisher.config.gate.backend()?;
        let waits = on_full != OnFull::Refuse;
        let is_up = if waits { Ok(()) } else { backend.check_up() };
        let outbound = self.outbound(message?, waits);
        Some(
            is_up
                .and(outbound)
                .map(|outbound| backend.publish(outbound)),
        )
    }

    fn outbound(&self, envelope: &Envelope, waits: bool) -> Result<Outbound> {
        let gate = &self.publisher.config.gate;
        let (mut properties, body) = match envelope.body().departing() {
            None => (envelope.properties().clone(), envelope.encode()?),
            Some(departing) => {
                let departed = departing.depart(envelope.properties(), gate.exit())?;
                (departed.properties.clone(), departed.body.clone())
            }
        };
        if let Some(meta) = envelope.meta().filter(|meta| !meta.bcc.is_empty()) {
            let keys: Vec<FieldValue> = meta.bcc.iter().map(|key| key.as_str().into()).collect();
            properties = properties.header(cc_bcc::BCC, keys);
        }
        Ok(Outbound {
            exchange: self.publisher.config.exchange.clone(),
            routing_key: Name::new(self.key)?,
            mandatory: self.mandatory,
            waits,
            properties,
            body,
        })
    }
}
