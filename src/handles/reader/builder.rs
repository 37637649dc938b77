//! The builder of a reader.

use std::{fmt, marker::PhantomData, sync::Arc};

use super::Reader;
use crate::{
    message::{codec::Codecs, payload::Payload},
    model::{
        arguments::StreamReading,
        descriptions::{Offset, Queue},
        error::{CodecError, Result},
        name::Name,
    },
    session::{connection::Connection, stream_reader::StreamReader},
};

/// Builds a [`Reader`].
///
/// # Examples
/// ```
/// use leveret::{Broker, Message, Offset, Queue};
///
/// let broker = Broker::new();
/// let log = Queue::stream("log");
/// let producer = broker.producer::<u32>(&log)?;
/// for (number, region) in [(1, "eu"), (2, "us"), (3, "eu")] {
///     let message = Message::new(number).header("x-stream-filter-value", region);
///     producer.publish_message(message)?;
/// }
/// let reader = broker.reader::<u32>(&log).from(Offset::First).filter(["eu"]).build()?;
/// assert!(reader.try_iter().map(|entry| *entry.unwrap()).eq([1, 3]));
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "nothing is read until the reader is built"]
pub struct ReaderBuilder<T: Payload> {
    connection: Result<Connection>,
    stream: Queue,
    name: String,
    reading: StreamReading,
    codecs: Result<Codecs, CodecError>,
    payload: PhantomData<fn() -> T>,
}

impl<T: Payload> ReaderBuilder<T> {
    pub(crate) fn new(connection: Result<Connection>, stream: Queue) -> ReaderBuilder<T> {
        ReaderBuilder {
            connection,
            stream,
            name: String::new(),
            reading: StreamReading::default(),
            codecs: Ok(Codecs::default()),
            payload: PhantomData,
        }
    }

    /// Sets where the reader begins. The default is [`Offset::Next`].
    ///
    /// # RabbitMQ
    /// The consumer argument `x-stream-offset`.
    pub fn from(mut self, offset: Offset) -> ReaderBuilder<T> {
        self.reading.from = offset;
        self
    }

    /// Sets the name under which the reader stores offsets, at most 255 bytes. If an offset is
    /// stored under it, the reader begins behind that one, and not at [`from`](Self::from).
    ///
    /// Readers of the same name may read at the same time. Each of them has its own position.
    ///
    /// # RabbitMQ
    /// The name of a consumer in the clients of the stream protocol.
    ///
    /// [`Reader::store_offset`] has an example.
    pub fn name(mut self, name: impl Into<String>) -> ReaderBuilder<T> {
        self.name = name.into();
        self
    }

    /// Reads only messages with one of these values in their header `x-stream-filter-value`.
    ///
    /// # RabbitMQ
    /// The consumer argument `x-stream-filter` (RabbitMQ 3.13 and later). There a filter works on
    /// whole chunks, and a consumer may get other messages too.
    pub fn filter<I>(mut self, values: I) -> ReaderBuilder<T>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.reading.filter = values.into_iter().map(Into::into).collect();
        self
    }

    /// Has a reader with a [`filter`](Self::filter) also read messages without a value.
    ///
    /// # RabbitMQ
    /// The consumer argument `x-stream-match-unfiltered` (RabbitMQ 3.13 and later).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// broker.producer::<u32>(&log)?.publish(7)?;
    /// let reader = || broker.reader::<u32>(&log).from(Offset::First).filter(["eu"]);
    /// assert!(reader().build()?.try_recv().is_err());
    /// assert_eq!(*reader().match_unfiltered().build()?.try_recv()?, 7);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn match_unfiltered(mut self) -> ReaderBuilder<T> {
        self.reading.match_unfiltered = true;
        self
    }

    /// Sets the codecs for payloads that were not published as `T`.
    ///
    /// The default is JSON, text and bytes.
    pub fn codecs(mut self, codecs: Codecs) -> ReaderBuilder<T> {
        self.codecs = Ok(codecs);
        self
    }

    /// Accepts only these content types. A message of another type is a
    /// [`RecvError::Decode`](crate::RecvError::Decode).
    ///
    /// A content type is given by its short name (`json`) or its full name (`application/json`).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Offset, Queue, TryRecvError};
    /// let broker = Broker::new();
    /// let log = Queue::stream("log");
    /// broker.producer::<u32>(&log)?.publish(7)?;
    /// broker.producer::<String>(&log)?.publish("8".to_owned())?;
    /// let reader = broker.reader::<u32>(&log).from(Offset::First).accept(["json"]).build()?;
    /// assert_eq!(*reader.try_recv()?, 7);
    /// assert!(matches!(reader.try_recv(), Err(TryRecvError::Decode(_)))); // text
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn accept<I>(mut self, content_types: I) -> ReaderBuilder<T>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.codecs = self.codecs.and_then(|codecs| codecs.accept(content_types));
        self
    }

    /// Declares the stream and makes the reader.
    ///
    /// # Errors
    /// - The errors of [`Connection::declare`].
    /// - [`Error::PreconditionFailed`](crate::Error::PreconditionFailed) if the queue is not a
    ///   stream.
    /// - [`Error::InvalidName`](crate::Error::InvalidName) for a name over 255 bytes.
    /// - [`Error::Codec`](crate::Error::Codec) if a content type of [`accept`](Self::accept) has no
    ///   codec.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// let error = Broker::new().reader::<u32>(&Queue::new("q")).build().unwrap_err();
    /// assert!(error.to_string().ends_with("queue 'q' in vhost '/' is not a stream"));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn build(self) -> Result<Reader<T>> {
        let gate = Arc::clone(self.connection?.gate());
        let name = Name::new(self.name)?;
        let codecs = self.codecs?;
        let reader = StreamReader::open(gate, &self.stream, name, &self.reading)?;
        Ok(Reader::new(reader, codecs))
    }
}

impl<T: Payload> fmt::Debug for ReaderBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderBuilder")
            .field("stream", &self.stream.name())
            .field("name", &self.name)
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}
