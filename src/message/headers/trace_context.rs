//! The context of a trace, which a message carries in the header `traceparent`.

use std::{
    cell::Cell,
    fmt,
    hash::{BuildHasher, RandomState},
    str::FromStr,
};

use crate::{
    message::properties::Properties, model::field_value::FieldValue, runtime::sync::thread_local,
};

/// The header with the context, as W3C's Trace Context names it.
pub(crate) const TRACEPARENT: &str = "traceparent";

thread_local! {
    /// The context of the code that runs on this thread.
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The place of an operation in a trace: the trace, and the span in it. Needs the feature
/// `tracing`.
///
/// A traced [producer](crate::ProducerBuilder::traced) writes it into the header `traceparent` of
/// each message, and a traced [worker](crate::worker::WorkerBuilder::traced) reads it there. So the
/// messages that a handler publishes belong to the trace of the message that it handles.
///
/// A program with another tracer gives its context by [`in_scope`](Self::in_scope), and takes that
/// of a handler by [`current`](Self::current).
///
/// # Source
/// [W3C Trace Context](https://www.w3.org/TR/trace-context/), level 1.
///
/// # Examples
/// ```
/// use leveret::{Broker, TraceContext};
///
/// let broker = Broker::new();
/// let producer = broker.producer_builder::<u32>("q").traced().build()?;
/// let request: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// request.in_scope(|| producer.publish(7))?;
///
/// let delivery = broker.consumer::<u32>("q")?.recv()?;
/// let headers = delivery.info().properties().headers.clone().unwrap();
/// let header = headers.get("traceparent").and_then(|it| it.as_str()).unwrap();
/// let context: TraceContext = header.parse()?;
/// assert_eq!(context.trace_id(), request.trace_id());
/// assert_ne!(context.span_id(), request.span_id()); // the publish has a span of its own
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// A text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent: 00-<32 hexadecimal digits>-<16>-<2> is wanted")]
pub struct InvalidTraceContext;

impl TraceContext {
    /// The first span of a new trace, which is sampled.
    #[must_use]
    pub fn new_root() -> TraceContext {
        let (high, low) = (random(), random());
        TraceContext {
            trace_id: (u128::from(high) << 64) | u128::from(low),
            span_id: random(),
            flags: 1,
        }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(&self) -> TraceContext {
        TraceContext {
            span_id: random(),
            ..*self
        }
    }

    /// The context of the code that runs on this thread: that of a traced handler, or of
    /// [`in_scope`](Self::in_scope). `None` if there is none.
    #[must_use]
    pub fn current() -> Option<TraceContext> {
        CURRENT.try_with(Cell::get).ok().flatten()
    }

    /// Calls `f` with this as the [`current`](Self::current) context of the thread.
    pub fn in_scope<R>(self, f: impl FnOnce() -> R) -> R {
        /// Restores the context also if `f` panics.
        struct Restore(Option<TraceContext>);
        impl Drop for Restore {
            fn drop(&mut self) {
                let _ = CURRENT.try_with(|current| current.set(self.0));
            }
        }
        let before = CURRENT.try_with(|current| current.replace(Some(self)));
        let _restore = Restore(before.ok().flatten());
        f()
    }

    /// The number of the trace, never 0.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The number of the span, never 0.
    #[must_use]
    pub fn span_id(&self) -> u64 {
        self.span_id
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The context that a message carries, if it is valid.
    pub(crate) fn of(properties: &Properties) -> Option<TraceContext> {
        match properties.headers.as_ref()?.get(TRACEPARENT)? {
            FieldValue::LongString(text) => text.parse().ok(),
            _ => None,
        }
    }
}

/// A random number that is not 0.
fn random() -> u64 {
    RandomState::new().hash_one(0).max(1)
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span, flags) = (self.trace_id, self.span_id, self.flags);
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    fn from_str(text: &str) -> Result<TraceContext, InvalidTraceContext> {
        let mut parts = text.split('-');
        let mut part = |length: usize| {
            let digits = parts.next().filter(|part| part.len() == length);
            // Upper case is not allowed, and no sign.
            let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
            digits.filter(|digits| digits.bytes().all(is_digit))
        };
        let [version, trace, span, flags] = [2, 32, 16, 2].map(&mut part);
        let (Some(version), Some(trace), Some(span), Some(flags)) = (version, trace, span, flags)
        else {
            return Err(InvalidTraceContext);
        };
        // A later version may have more parts.
        let has_more = parts.next().is_some();
        let context = TraceContext {
            trace_id: u128::from_str_radix(trace, 16).unwrap_or_default(),
            span_id: u64::from_str_radix(span, 16).unwrap_or_default(),
            flags: u8::from_str_radix(flags, 16).unwrap_or_default(),
        };
        let is_empty = context.trace_id == 0 || context.span_id == 0;
        match is_empty || version == "ff" || version == "00" && has_more {
            true => Err(InvalidTraceContext),
            false => Ok(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_as_it_was_written_and_nothing_else_is_one() {
        let root = TraceContext::new_root();
        assert_eq!(root.to_string().parse(), Ok(root));
        assert_eq!(root.child().trace_id(), root.trace_id());
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for valid in [
            format!("00-{trace}-{span}-00"),
            format!("00-{trace}-{span}-ff"),
            format!("01-{trace}-{span}-01-what-comes-later"),
        ] {
            let context: TraceContext = valid.parse().unwrap();
            assert_eq!(context.span_id(), 0x00f0_67aa_0ba9_02b7, "{valid}");
        }
        for invalid in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-+{}-{span}-01", &trace[1..]),
            format!("00-{trace}-{span}-é"),
        ] {
            assert_eq!(
                invalid.parse::<TraceContext>(),
                Err(InvalidTraceContext),
                "{invalid}"
            );
        }
    }

    #[test]
    fn a_scope_ends_also_by_a_panic() {
        let (outer, inner) = (TraceContext::new_root(), TraceContext::new_root());
        outer.in_scope(|| {
            assert!(std::panic::catch_unwind(|| inner.in_scope(|| panic!("an accident"))).is_err());
            assert_eq!(TraceContext::current(), Some(outer));
        });
        assert_eq!(TraceContext::current(), None);
    }
}
