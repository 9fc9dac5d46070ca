//! Stages between source and sink: each turns a chunk into chunks.
//!
//! | module | what it holds |
//! |---|---|
//! | [`decode`], [`encode`], [`transform`], [`partition`] | one file per stage, each with its config; `mod.rs` has the closed enum of the slot |
//! | `inverse` | which encoder writes what a decoder reads, and the other way round |
//! | `protobuf`, `json`, [`value`] | what the codecs of both directions share |

pub mod decode;
pub mod encode;
mod inverse;
mod json;
pub mod murmur2;
pub mod partition;
mod protobuf;
pub mod transform;
pub mod value;
