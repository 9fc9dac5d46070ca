//! What a flow will need of a cluster, asked without changing anything.

#[cfg(test)]
mod tests;

use super::TIMEOUT;
use super::topic::{Client, Operation};
use operators_core::error::Result;
use operators_core::inspect::Seen;
use rdkafka::consumer::Consumer;
use rdkafka::metadata::{Metadata, MetadataPartition, MetadataTopic};

/// Whether the cluster answers, and how it is spoken to.
pub(crate) fn brokers(client: &Client) -> Result<Seen> {
    // The first question of all, because it gives up as soon as a login is refused.
    client.topic()?;
    let count = metadata(client)?.brokers().len();
    let answer = if count == 1 { "1 broker answers".to_owned() } else { format!("{count} brokers answer") };
    let setting = |name| client.place.client.get(name);
    let protocol = setting("security.protocol").unwrap_or_default();
    let encrypted = if protocol.ends_with("ssl") { "over TLS" } else { "not encrypted" };
    let login = match (setting("sasl.username"), setting("sasl.mechanism")) {
        (Some(user), Some(mechanism)) => format!("logged in as {user} by {mechanism}"),
        _ => "without login".to_owned(),
    };
    Ok(Seen::Fine(format!("{answer} at {}, {encrypted}, {login}", client.place.brokers)))
}

/// A topic that is there: its partitions, and whether this user may do what is needed.
pub(crate) fn topic(client: &Client, needed: &[Operation]) -> Result<Seen> {
    let place = &client.place;
    let metadata = metadata(client)?;
    let partitions: Vec<_> = metadata.topics().iter().flat_map(MetadataTopic::partitions).collect();
    if let Some(headless) = partitions.iter().find(|partition| partition.leader() < 0) {
        return Err(place.unavailable(format!(
            "partition {} has no leader: the brokers that have its messages are down",
            headless.id()
        )));
    }
    let allowed = client.operations()?;
    let missing: Vec<_> = needed.iter().filter(|operation| !allowed.contains(operation)).map(acl).collect();
    if !missing.is_empty() {
        return Err(place.refused(format!(
            "the brokers do not let this user do what is needed there: grant {}, or use another user",
            missing.join(" and ")
        )));
    }
    let copies = partitions.iter().map(|partition: &&MetadataPartition| partition.replicas().len()).min();
    let may: Vec<_> = needed.iter().map(acl).collect();
    Ok(Seen::Fine(format!(
        "{place} is there, partitions: {}, copies of each: {}, allowed: {}",
        partitions.len(),
        copies.unwrap_or_default(),
        may.join(", ")
    )))
}

/// As Kafka's own tools spell it.
fn acl(operation: &Operation) -> &'static str {
    match operation {
        Operation::Read => "READ",
        Operation::Write => "WRITE",
        Operation::DescribeConfigs => "DESCRIBE_CONFIGS",
    }
}

fn metadata(client: &Client) -> Result<Metadata> {
    let asked = client.consumer.fetch_metadata(Some(&client.place.topic), TIMEOUT);
    asked.map_err(|error| client.failed("ask for the brokers", &error))
}
