//! Kafka as a source and as a sink.
//!
//! | module | what it holds |
//! |---|---|
//! | [`source`], [`sink`] | the two stages |
//! | `client` | what both share: clusters, topics, what the brokers' answers mean |

mod client;
pub mod sink;
pub mod source;
