//! Handlers that consume their payloads.

use super::{
    Context,
    handler::Consume,
    limit::Unsettled,
    settle::{HandlerError, Settle},
    slot::Slot,
};
use crate::{message::payload::Payload, session::delivery::Delivery};

impl<T: Payload> Slot<T> {
    /// Handles a message whose payload the handler gets as its own. Such a message cannot return,
    /// so that it is acknowledged.
    pub(super) async fn consume(&self, handler: &Consume<T>, delivery: Delivery<T>) {
        let shared = &self.core.shared;
        let refused = self.enter_in_time(delivery.info()).await;
        let (opened, mut info) = delivery.into_parts();
        if let Some((passed, mut outcome)) = refused {
            if let Some(opened) = opened {
                info.restore(opened);
            }
            self.after(passed, &Context::borrowed(shared, &info), &mut outcome);
            return self.apply(outcome, &mut info);
        }
        let passed = self.core.middlewares;
        let payload = match info.take_payload(opened) {
            Ok(payload) => payload,
            // The message has its payload still.
            Err(error) => {
                let context = Context::borrowed(shared, &info);
                let mut outcome = self.failed(HandlerError::undecoded(&error), &context);
                self.after(passed, &context, &mut outcome);
                drop(context);
                return self.apply(outcome, &mut info);
            }
        };
        let limit = self.core.time_limit(&payload);
        let call = |context: &Context<'_>| {
            self.counts.begins();
            let verdict = handler(payload, context);
            self.counts.ends();
            verdict.map(Settle::from)
        };
        let (verdict, mut info) = match (limit, info.shared()) {
            (Some(limit), Some(shown)) => {
                let unsettled = vec![self.unsettled(info, passed)];
                let called = self.in_time(&shown, unsettled, limit, call);
                let Some((verdict, mut unsettled)) = called else {
                    return;
                };
                match unsettled.pop() {
                    Some(Unsettled { info, .. }) => (verdict, info),
                    None => return,
                }
            }
            _ => (call(&Context::borrowed(shared, &info)), info),
        };
        let context = Context::borrowed(shared, &info);
        let mut outcome = self.outcome(verdict, &context);
        outcome.settle = Settle::Ack;
        self.after(passed, &context, &mut outcome);
        drop(context);
        self.apply(outcome, &mut info);
    }
}
