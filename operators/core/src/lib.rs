//! What every stage is made of. It knows no format and no server.
//!
//! | module | what it holds |
//! |---|---|
//! | [`chunk`], [`schema`], [`types`] | rows as Arrow columns and where they came from; what columns there are; their types |
//! | [`position`], [`progress`] | the algebra of `Position`, `Span`, `Checkpoint` and `Lag`; what a commit is |
//! | [`stage`] | the traits every stage implements, and what a built stage tells the engine |
//! | [`inspect`] | what can be asked of a place without changing it |
//! | [`message`], [`gathered`] | what sinks share: rows as messages, rows kept until their commit |
//! | [`dead_letter`] | rows set aside because a codec cannot read or write them |
//! | [`config`] | value types shared by the configs: durations, sizes, secrets |
//! | [`digest`] | checksums of files and records |
//! | [`error`], [`terminal`] | what can go wrong, in words for people; text that is safe to print on a terminal |
//! | [`runtime`] | where blocking stages wait for asynchronous libraries |

pub mod chunk;
pub mod config;
pub mod dead_letter;
pub mod digest;
pub mod error;
pub mod gathered;
pub mod inspect;
pub mod message;
pub mod position;
pub mod progress;
#[cfg(feature = "testing")]
pub mod replay;
pub mod runtime;
pub mod schema;
#[cfg(feature = "testing")]
pub mod sink_contract;
#[cfg(feature = "testing")]
pub mod source_contract;
pub mod stage;
pub mod terminal;
pub mod types;

pub use chunk::Chunk;
pub use error::{Error, Result};
pub use position::{Checkpoint, Lag, Position, Span};
pub use schema::Schema;
pub use types::{ColumnType, DeclaredType, Family};
