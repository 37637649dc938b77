//! Zstandard.

use std::io;

use zstd::stream::{encode_all, read::Decoder};

use super::{Decompressed, compressed_codec, read_at_most};
use crate::{
    message::codec::{Codec, Reader},
    model::error::CodecError,
};

/// Compresses the octets of a codec with Zstandard (RFC 8878). It needs the feature `zstd`, which
/// needs a compiler for C.
///
/// A message gets the content type of the codec inside and the content encoding `zstd`. Consumers
/// undo the compression by that property, and need only the codec inside.
/// [`Codecs::max_decompressed`](crate::codec::Codecs::max_decompressed) limits the decompressed
/// octets.
///
/// Only what a codec encodes is compressed. To compress text, send a newtype of a `String` with
/// [`Text`](crate::codec::Text). A consumer of bytes gets the compressed octets.
///
/// # Examples
/// ```
/// use leveret::codec::{Json, Zstd};
///
/// let broker = leveret::Broker::builder().always_encode().build();
/// let codec = Zstd::new(Json).level(19);
/// let producer = broker.producer_builder::<Vec<u32>>("q").codec(codec).build()?;
/// producer.publish(vec![7; 1_000])?;
///
/// let list = broker.consumer::<Vec<u32>>("q")?.recv()?;
/// assert_eq!(*list, [7; 1_000]);
/// assert_eq!(list.info().properties().content_encoding.as_deref(), Some("zstd"));
/// assert!(list.info().body()?.len() < 100);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zstd<C> {
    codec: C,
    level: i32,
}

/// The first octets of a compressed payload.
const MARK: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A frame may ask for a window of 8 MiB, as RFC 8878 recommends, or of the decompressed size.
const LEAST_WINDOW: u64 = 8 << 20;

impl<C: Codec> Zstd<C> {
    /// Compresses what `codec` encodes, with the level 3.
    pub fn new(codec: C) -> Zstd<C> {
        Zstd {
            codec,
            level: zstd::DEFAULT_COMPRESSION_LEVEL,
        }
    }

    /// Sets the level, from 1 (fast) to 22 (small and slow). Other levels count as the nearest one.
    #[must_use]
    pub fn level(mut self, level: i32) -> Zstd<C> {
        self.level = level.clamp(1, 22);
        self
    }
}

compressed_codec!(Zstd, "zstd", zstandard);

fn compress(octets: &[u8], level: i32) -> io::Result<Vec<u8>> {
    encode_all(octets, level)
}

pub(super) fn decompress(octets: &[u8], most: u64) -> Decompressed {
    let mut decoder = Decoder::with_buffer(octets)?;
    let window = most.clamp(LEAST_WINDOW, 1 << 31);
    decoder.window_log_max(window.next_power_of_two().trailing_zeros())?;
    read_at_most(decoder, most)
}
