//! What the sink will need of its cluster, asked without changing anything or shutting anybody out.

use super::{Kafka, KafkaSink};
use crate::client::inspect;
use crate::client::topic::{self, Client, Operation};
use operators_core::error::Result;
use operators_core::inspect::{Inspect, Seen};

impl Inspect for KafkaSink {
    fn connect(&self, flow: &str) -> Vec<Result<Seen>> {
        let client = match Client::new(&self.0.place, &[]) {
            Ok(client) => client,
            Err(error) => return vec![Err(error)],
        };
        let brokers = inspect::brokers(&client);
        if brokers.is_err() {
            return vec![brokers];
        }
        let topic = self.0.inspect(&client, flow);
        let mut seen = vec![brokers];
        if let Ok(Seen::Fine(_)) = topic {
            seen.push(self.0.progress(flow).and_then(|progress| progress.inspect(&client)));
        }
        seen.insert(1, topic);
        // Only a producer that takes the name over is told whether it may, and that would end a run.
        seen.push(Ok(Seen::Untold(format!(
            "transactional id {}: whether this user may write under it shows at the start of a run",
            self.0.name(flow)
        ))));
        seen
    }
}

impl Kafka {
    fn inspect(&self, client: &Client, flow: &str) -> Result<Seen> {
        let place = &self.place;
        if let Some(topic) = client.topic()? {
            self.fits(&topic)?;
            return inspect::topic(client, &[Operation::Write, Operation::DescribeConfigs]);
        }
        let create = self.creatable(&self.progress(flow)?)?;
        topic::may_create(place, self.partitions, create.replication, &[])?;
        Ok(Seen::NotYet(format!("{place} is not there yet; it will be made, and the brokers allow that")))
    }
}
