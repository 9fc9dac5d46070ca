//! The servers that other tests use start, end and start again.
#![allow(missing_docs, clippy::unwrap_used)]

mod servers;

use servers::ALL;

#[test]
fn each_server_can_be_killed_and_started_alone() {
    for (kind, name) in [("kafka", "broker1"), ("hdfs", "datanode2"), ("mysql", "mysql")] {
        if ALL.variable(kind, "KAFKA_BROKERS").is_none() {
            return;
        }
        let line = || ALL.command(&["status"]).lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        ALL.control("kill", name);
        assert!(line().contains("down"), "{}", line());
        ALL.control("start", name);
        ALL.control("pause", name);
        assert!(line().contains("paused"), "{}", line());
        ALL.control("resume", name);
        assert!(line().contains("running"), "{}", line());
    }
}
