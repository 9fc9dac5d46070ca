//! Knows when.
