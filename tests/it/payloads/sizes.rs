//! The size of a delivery.

use leveret::Delivery;

/// A receive moves the delivery to its caller, so every byte of it costs time for every message.
/// The payload is in the message or behind a pointer, so its type does not change the size.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_delivery_does_not_grow() {
    assert_eq!(size_of::<Delivery<u64>>(), 104);
    assert_eq!(size_of::<Delivery<String>>(), 104);
}
