//! A value on a cache line of its own.

/// Keeps `value` from sharing its 64-byte line, so that writes to a neighbour do not slow its readers.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct CacheLine<T> {
    pub(crate) value: T,
}

impl<T> CacheLine<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value }
    }
}
