//! Compression of payloads: the wrappers of codecs, and what undoes them.
//!
//! A compressed message has the name of its compression as its `content_encoding`. A consumer
//! undoes the compression by that name before a codec decodes the octets. The decompressed octets
//! have a limit, since a small message can decompress to a very large one.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "zstd")]
mod zstandard;

#[cfg(feature = "gzip")]
pub use self::gzip::Gzip;
#[cfg(feature = "zstd")]
pub use self::zstandard::Zstd;

use std::borrow::Cow;

use crate::model::error::CodecError;

/// The most octets that a payload decompresses to, unless a consumer says otherwise: 64 MiB.
pub(super) const MOST_DECOMPRESSED: u64 = 64 << 20;

/// A compression that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// The compression with this content encoding. Other content encodings are not compressions, or
    /// are not known.
    fn named(content_encoding: &str) -> Option<Compression> {
        let names = [
            ("gzip", Compression::Gzip),
            ("x-gzip", Compression::Gzip),
            ("zstd", Compression::Zstd),
        ];
        let mut names = names.into_iter();
        let same =
            |(name, _): &(&str, Compression)| name.eq_ignore_ascii_case(content_encoding.trim());
        names.find(same).map(|(_, compression)| compression)
    }
}

/// Whether a content encoding is the name of a compression.
pub(crate) fn is_compression(content_encoding: &str) -> bool {
    Compression::named(content_encoding).is_some()
}

/// Undoes the compression of octets with this content encoding.
///
/// # Errors
/// If the octets do not decompress, or to more than `most` octets, or if the feature of the
/// compression is off.
pub(super) fn undo<'a>(
    octets: &'a [u8],
    content_type: &str,
    content_encoding: Option<&str>,
    most: u64,
) -> Result<Cow<'a, [u8]>, CodecError> {
    let Some(compression) = content_encoding.and_then(Compression::named) else {
        return Ok(Cow::Borrowed(octets));
    };
    decompress(compression, octets, content_type, most).map(Cow::Owned)
}

/// The result of a decompression: `None` if there are too many octets.
#[cfg(any(feature = "gzip", feature = "zstd"))]
type Decompressed = std::io::Result<Option<Vec<u8>>>;

#[cfg(any(feature = "gzip", feature = "zstd"))]
fn decompress(
    compression: Compression,
    octets: &[u8],
    content_type: &str,
    most: u64,
) -> Result<Vec<u8>, CodecError> {
    let decompressed: Decompressed = match compression {
        #[cfg(feature = "gzip")]
        Compression::Gzip => gzip::decompress(octets, most),
        #[cfg(feature = "zstd")]
        Compression::Zstd => zstandard::decompress(octets, most),
        #[cfg(not(all(feature = "gzip", feature = "zstd")))]
        other => return Err(without_feature(other, content_type)),
    };
    match decompressed {
        Ok(Some(octets)) => Ok(octets),
        Ok(None) => Err(CodecError::over_limit(content_type, most)),
        Err(error) => {
            let text = format!("{compression:?} does not decompress: {error}");
            Err(CodecError::new(content_type, text))
        }
    }
}

#[cfg(not(any(feature = "gzip", feature = "zstd")))]
fn decompress(
    compression: Compression,
    _octets: &[u8],
    content_type: &str,
    _most: u64,
) -> Result<Vec<u8>, CodecError> {
    Err(without_feature(compression, content_type))
}

#[cfg(not(all(feature = "gzip", feature = "zstd")))]
fn without_feature(compression: Compression, content_type: &str) -> CodecError {
    let feature = match compression {
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    };
    let text = format!("compressed with {feature}: turn on the feature `{feature}` of leveret");
    CodecError::new(content_type, text)
}

/// Reads all octets, unless there are more than `most`.
#[cfg(any(feature = "gzip", feature = "zstd"))]
fn read_at_most(reader: impl std::io::Read, most: u64) -> Decompressed {
    use std::io::Read;
    let mut octets = Vec::new();
    // One more, to tell whether there are too many.
    reader
        .take(most.saturating_add(1))
        .read_to_end(&mut octets)?;
    Ok((octets.len() as u64 <= most).then_some(octets))
}

/// The methods of a wrapper of a codec that are those of the codec.
#[cfg(any(feature = "gzip", feature = "zstd"))]
macro_rules! compressed_codec {
    ($wrapper:ident, $encoding:literal, $module:ident) => {
        impl<C: Codec> Codec for $wrapper<C> {
            fn content_type(&self) -> &str {
                self.codec.content_type()
            }

            fn content_encoding(&self) -> Option<&str> {
                Some($encoding)
            }

            fn name(&self) -> &str {
                self.codec.name()
            }

            fn encode(
                &self,
                value: $crate::message::codec::Value<'_>,
            ) -> Result<Vec<u8>, CodecError> {
                let octets = self.codec.encode(value)?;
                let compressed = compress(&octets, self.level);
                compressed.map_err(|error| CodecError::new(self.content_type(), error))
            }

            fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
                // A consumer has undone the compression already.
                if !octets.starts_with(MARK) {
                    return self.codec.decode(octets, reader);
                }
                let encoding = self.content_encoding();
                let most = super::MOST_DECOMPRESSED;
                let octets = super::undo(octets, self.content_type(), encoding, most)?;
                self.codec.decode(&octets, reader)
            }
        }
    };
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
use compressed_codec;
