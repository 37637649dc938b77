//! gzip.

use std::io::{self, Write};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};

use super::{Decompressed, compressed_codec, read_at_most};
use crate::{
    message::codec::{Codec, Reader},
    model::error::CodecError,
};

/// Compresses the octets of a codec with gzip. It needs the feature `gzip`.
///
/// A message gets the content type of the codec inside and the content encoding `gzip`. Consumers
/// undo the compression by that property, and need only the codec inside.
/// [`Codecs::max_decompressed`](crate::codec::Codecs::max_decompressed) limits the decompressed
/// octets.
///
/// Only what a codec encodes is compressed. To compress text, send a newtype of a `String` with
/// [`Text`](crate::codec::Text). A consumer of bytes gets the compressed octets.
///
/// # Examples
/// ```
/// use leveret::codec::{Gzip, Json};
///
/// let broker = leveret::Broker::builder().always_encode().build();
/// let codec = Gzip::new(Json).level(9);
/// let producer = broker.producer_builder::<Vec<u32>>("q").codec(codec).build()?;
/// producer.publish(vec![7; 1_000])?;
///
/// let list = broker.consumer::<Vec<u32>>("q")?.recv()?;
/// assert_eq!(*list, [7; 1_000]);
/// let properties = list.info().properties();
/// assert_eq!(properties.content_type.as_deref(), Some("application/json"));
/// assert_eq!(properties.content_encoding.as_deref(), Some("gzip"));
/// assert!(list.info().body()?.len() < 100);
/// # Ok::<(), leveret::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gzip<C> {
    codec: C,
    level: Compression,
}

/// The first octets of a compressed payload.
const MARK: &[u8] = &[0x1f, 0x8b];

impl<C: Codec> Gzip<C> {
    /// Compresses what `codec` encodes, with the level 6.
    pub fn new(codec: C) -> Gzip<C> {
        Gzip {
            codec,
            level: Compression::default(),
        }
    }

    /// Sets the level, from 0 (no compression) to 9 (small and slow). A higher level counts as 9.
    #[must_use]
    pub fn level(mut self, level: u32) -> Gzip<C> {
        self.level = Compression::new(level.min(9));
        self
    }
}

compressed_codec!(Gzip, "gzip", gzip);

fn compress(octets: &[u8], level: Compression) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(octets)?;
    encoder.finish()
}

pub(super) fn decompress(octets: &[u8], most: u64) -> Decompressed {
    read_at_most(MultiGzDecoder::new(octets), most)
}
