//! Mistakes for people, without secrets.

pub(crate) mod diagnostic;
pub(crate) mod mask;
pub(crate) mod secrets;
