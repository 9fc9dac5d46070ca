//! Protocol Buffers schemas: a `.proto` file, compiled at start, becomes a flat plan that both directions follow.
//!
//! | field | column |
//! |---|---|
//! | `double`, `float` | float64, float32 |
//! | `int32`, `sint32`, `sfixed32`, any enum | int32 |
//! | `int64`, `sint64`, `sfixed64` | int64 |
//! | `uint32`, `fixed32` | uint32 |
//! | `uint64`, `fixed64` | uint64 |
//! | `bool`, `string`, `bytes` | bool, string, bytes |
//!
//! A field that knows whether it was set (`optional`) is a column that may hold nulls; any other is a column without.

mod file;
mod plan;

pub(crate) use plan::{Field, Message, Scalar};

use operators_core::config::Context;
use operators_core::error::Problem;

impl Message {
    /// Compiles the schema file and plans one of its messages; problems stand at the keys `schema` and `message`.
    pub(crate) fn load(context: &Context, schema: &str, message: &str) -> Result<Self, Vec<Problem>> {
        let descriptor = file::descriptor(&context.path(schema), message).map_err(|problem| vec![problem])?;
        Self::plan(&descriptor)
    }
}

#[cfg(test)]
mod tests;
