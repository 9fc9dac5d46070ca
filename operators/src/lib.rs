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
//! | [`position`] | the algebra of `Position`, `Span`, `Checkpoint` and `Lag` |
//! | [`stage`] | the traits every stage implements, and what a built stage tells the engine |
//! | [`inspect`] | what places can be asked without being changed |
//! | [`source`], [`decode`], [`transform`], [`encode`], [`partition`], [`sink`] | one file per stage, each with its config; the closed enum of a kind stands in its `mod.rs` |
//! | `archive`, [`store`] | batches of Parquet files and their proof; the files below them |
//! | `sql` | what tables and topics share: databases, the progress row, transactions |
//! | `kafka` | what source and sink of Kafka share: clusters, topics, what their answers mean |
//! | [`show`] | rows as text: tables, JSON lines |
//! | [`terminal`] | text that a terminal prints and does not obey |
//! | [`config`] | value types shared by the configs: durations, sizes, secrets, column types |
//! | `message`, `gathered` | what sinks share: rows as messages, rows kept until their commit |
//! | [`trial`] | what a test of a flow puts in the place of its two ends |
//! | `protobuf`, `json`, `value`, `dead_letter` | what the codecs of both directions share |
//! | [`sample`] | a few values out of the rows that pass by, for people who watch |
//! | `runtime` | where blocking stages wait for asynchronous libraries |
//! | [`digest`] | what files and records are checked by |
//! | [`error`] | what can go wrong, in words for people |

mod archive;
pub mod chunk;
pub mod config;
mod dead_letter;
pub mod decode;
pub mod digest;
pub mod encode;
pub mod error;
mod gathered;
pub mod inspect;
mod json;
mod kafka;
mod message;
mod murmur2;
pub mod partition;
pub mod position;
pub mod progress;
mod protobuf;
#[cfg(test)]
mod replay;
mod runtime;
pub mod sample;
pub mod schema;
pub mod show;
pub mod sink;
pub mod source;
mod sql;
pub mod stage;
pub mod store;
pub mod terminal;
pub mod transform;
pub mod trial;
mod value;

pub use chunk::Chunk;
pub use error::{Error, Result};
pub use position::{Checkpoint, Lag, Position, Span};
pub use schema::Schema;
#[cfg(test)]
use testkit::servers;
