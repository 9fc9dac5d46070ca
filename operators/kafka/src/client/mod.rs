//! What the Kafka stages share: where a cluster is, how it is spoken to, and what its answers mean.
//!
//! ```text
//! config.rs     `brokers`, `security` and `options`: what a stage says about its cluster
//!   authorities.rs  whom TLS trusts where a file does not say
//!   place.rs    a topic of a cluster, as every error names it
//!   error.rs    an answer of Kafka as an error for people; what a client says on the side
//! topic.rs      asks about a topic: identity, partitions, offsets, settings; creates one
//!   describe.rs topic ids, rights and settings, which only the C interface has whole
//! inspect.rs    what a flow will need of a cluster, asked without changing anything
//! batch.rs      reads messages by the thousand
//!   scan.rs     reads a stretch of one partition once more
//! outlet.rs     hands messages over by the thousand
//! ```

mod authorities;
pub(crate) mod batch;
pub(crate) mod config;
mod describe;
pub(crate) mod error;
pub(crate) mod inspect;
pub(crate) mod outlet;
mod place;
pub(crate) mod scan;
pub(crate) mod topic;

pub(crate) use place::Place;

use std::time::Duration;

/// How long a question may wait for its answer: a stopped broker never gives one.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
