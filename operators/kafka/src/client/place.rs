//! A topic of a cluster, as every error names it.

use super::config::{self, Brokers, Options, Security};
use operators_core::config::Context;
use operators_core::error::{Error, Problem};
use rdkafka::ClientConfig;
use std::fmt;

/// A topic and how its cluster is reached; it displays as `topic temperatures on localhost:9092`.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) brokers: Brokers,
    pub(crate) topic: String,
    /// What clients of both directions have in common.
    pub(crate) client: ClientConfig,
}

impl Place {
    /// Reads the keys that all Kafka stages have, and gives all that is wrong with them.
    pub(crate) fn new(
        brokers: &Brokers,
        security: Option<&Security>,
        options: &Options,
        topic: &str,
        context: &Context,
    ) -> Result<Self, Vec<Problem>> {
        let client = config::client(brokers, security, options, context);
        match (client, legal(topic)) {
            (Ok(client), Ok(())) => Ok(Self { brokers: brokers.clone(), topic: topic.to_owned(), client }),
            (client, legal) => {
                let mut problems = client.err().unwrap_or_default();
                problems.extend(legal.err());
                Err(problems)
            }
        }
    }

    /// Another topic of the same cluster.
    pub(crate) fn sibling(&self, topic: String) -> Self {
        Self { topic, ..self.clone() }
    }

    /// How it is read, with these settings where the file does not say otherwise.
    pub(crate) fn reading(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = self.client.clone();
        for &(name, value) in settings {
            if config.get(name).is_none() {
                config.set(name, value);
            }
        }
        config.set("isolation.level", "read_committed");
        config
    }

    /// The same text for a source and a sink of the same topic.
    pub(crate) fn id(&self) -> String {
        format!("kafka:{}#topic {}", self.brokers, self.topic)
    }

    /// Going on would lose or double rows, or the cluster says no and will go on saying it.
    pub(crate) fn refused(&self, reason: impl Into<String>) -> Error {
        Error::Refused { place: self.to_string(), reason: reason.into() }
    }

    /// The cluster does not answer, or not now.
    pub(crate) fn unavailable(&self, reason: impl Into<String>) -> Error {
        Error::Unavailable { place: self.to_string(), reason: reason.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {} on {}", self.topic, self.brokers)
    }
}

/// Whether a cluster would take this name for a topic.
fn legal(topic: &str) -> Result<(), Problem> {
    let letters = topic.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if letters && (1..=249).contains(&topic.len()) && topic != "." && topic != ".." {
        return Ok(());
    }
    let help = "a name has 1 to 249 letters of A-Z, a-z, 0-9, `.`, `_` and `-`, and is not `.` or `..`";
    Err(Problem::at("topic", format!("`{topic}` cannot be the name of a topic")).help(help))
}
