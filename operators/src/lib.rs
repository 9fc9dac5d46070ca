//! `operators` knows *what*: rows, formats, and the places rows come from and go to.
//!
//! It never sees a timestamp and never names the dataflow library; `engine` knows *when*. The way of a chunk:
//!
//! ```text
//! Source -> decode -> transform -> encode -> partition -> Sink
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`chunk`] | rows as Arrow columns and where they came from |
//! | [`position`] | the algebra of `Position`, `Span` and `Checkpoint` |
//! | [`stage`] | the traits every stage implements, and what a built stage tells the engine |
//! | [`source`], [`decode`], [`transform`], [`encode`], [`partition`], [`sink`] | one file per stage, each with its config; the closed enum of a kind stands in its `mod.rs` |
//! | [`config`] | value types shared by the configs: durations, sizes, secrets, column types |
//! | [`error`] | what can go wrong, in words for people |

pub mod chunk;
pub mod config;
pub mod decode;
pub mod encode;
pub mod error;
pub mod partition;
pub mod position;
pub mod progress;
pub mod schema;
pub mod sink;
pub mod source;
mod sql;
pub mod stage;
pub mod transform;

pub use chunk::Chunk;
pub use error::{Error, Result};
pub use position::{Checkpoint, Position, Span};
pub use schema::Schema;
