//! File to text, text to values that know their places.

pub(crate) mod open;
pub(crate) mod syntax;
pub(crate) mod tree;
