//! The servers that other tests use start, end and start again.

use std::fs;
use testkit::servers::{ALL, CLUSTER, FRESH, harmed};

#[test]
fn each_server_can_be_killed_and_started_alone() {
    let servers = harmed();
    for (kind, name) in [("kafka", "broker1"), ("hdfs", "datanode2"), ("mysql", "mysql")] {
        if servers.variable(kind, "KAFKA_BROKERS").is_none() {
            return;
        }
        let line = || servers.command(&["status"]).lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        servers.control("kill", name);
        assert!(line().contains("down"), "{}", line());
        servers.control("start", name);
        servers.control("pause", name);
        assert!(line().contains("paused"), "{}", line());
        servers.control("resume", name);
        assert!(line().contains("running"), "{}", line());
    }
}

/// A start that is killed may leave anything but the mark that it ended well.
#[test]
fn an_interrupted_first_start_does_not_break_the_next() {
    FRESH.command(&["wipe"]);
    for half_made in ["mysql/data/mysql/user.frm", "namenode/name/current/VERSION"] {
        let path = FRESH.dir().join(half_made);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "half of it").unwrap();
    }
    if FRESH.variable("mysql", "MYSQL_URL").is_none() || FRESH.variable("hdfs", "HDFS_URL").is_none() {
        return;
    }
    assert!(FRESH.command(&["sql", "SHOW DATABASES"]).contains("CS544"));
    FRESH.command(&["hdfs", "dfs", "-mkdir", "/kept"]);
    // What is made is kept by the next start.
    FRESH.command(&["down"]);
    FRESH.command(&["up", "mysql", "hdfs"]);
    assert!(FRESH.command(&["hdfs", "dfs", "-ls", "/"]).contains("/kept"));
    FRESH.command(&["wipe"]);
}

/// The pipeline file reads it, and one copy would not outlive a broker.
#[test]
fn topics_have_a_copy_on_each_broker() {
    assert!(ALL.command(&["env"]).contains("KAFKA_REPLICATION=1"));
    assert!(CLUSTER.command(&["env"]).contains("KAFKA_REPLICATION=3"));
}
