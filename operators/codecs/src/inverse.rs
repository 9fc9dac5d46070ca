//! Which encoder writes what a decoder reads, and which decoder reads what an encoder writes; a codec need not have one.
//!
//! Tests of a pipeline give a decoder's input, and show an encoder's output, as columns where there is one.

use crate::decode::{self, DecodeConfig};
use crate::encode::{self, EncodeConfig};
use operators_core::config::OnError;
use operators_core::schema::{Column, Schema};
use operators_core::types::DeclaredType;

impl DecodeConfig {
    /// The encoder that writes what this decoder reads, which fails at a row that it cannot write; `None` where nothing
    /// does.
    pub fn inverse(&self) -> Option<EncodeConfig> {
        let on_error = OnError::Fail;
        match self {
            Self::Protobuf(config) => Some(EncodeConfig::Protobuf(encode::protobuf::ProtobufConfig {
                schema: config.schema.clone(),
                message: config.message.clone(),
                on_error,
            })),
            Self::Json(_) => Some(EncodeConfig::Json(encode::json::JsonConfig { on_error })),
        }
    }
}

impl EncodeConfig {
    /// The decoder that gives back these columns from what this encoder wrote of them, and skips what it cannot read;
    /// `None` where nothing does.
    pub fn inverse(&self, columns: &Schema) -> Option<DecodeConfig> {
        let on_error = OnError::Skip;
        match self {
            Self::Protobuf(config) => Some(DecodeConfig::Protobuf(decode::protobuf::ProtobufConfig {
                schema: config.schema.clone(),
                message: config.message.clone(),
                on_error,
            })),
            Self::Json(_) => {
                let typed =
                    |column: &Column| Some((column.name.clone(), DeclaredType::for_reading(&column.column_type)?));
                let columns = columns.columns().iter().filter_map(typed).collect();
                Some(DecodeConfig::Json(decode::json::JsonConfig { columns, on_error }))
            }
        }
    }
}
