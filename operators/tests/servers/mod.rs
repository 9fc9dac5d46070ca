//! The real servers that tests run against, where there are any.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, missing_docs)]

use std::process::Command;

/// `hdfs://HOST:PORT` of a cluster with one NameNode and three DataNodes.
pub fn hdfs() -> Option<String> {
    address("HDFS_URL", "HDFS")
}

/// Runs `kill`, `start`, `pause` or `resume` on one of the servers: `namenode`, `datanode1` and so on. `start` returns
/// when the server is ready, and does nothing to one that runs; `resume` does nothing to one that was not paused.
pub fn control(action: &str, server: &str) {
    command(&[action, server]);
}

/// Runs Hadoop's own `dfsadmin`.
pub fn admin(arguments: &[&str]) {
    command(&[&["dfsadmin"], arguments].concat());
}

fn command(arguments: &[&str]) {
    let command = std::env::var("WEATHERFLOW_SERVERS").unwrap();
    let output = Command::new(&command).args(arguments).output().unwrap();
    assert!(output.status.success(), "{command} {arguments:?}: {output:?}");
}

/// Whether servers can be killed and paused.
pub fn can_control() -> bool {
    address("WEATHERFLOW_SERVERS", "control over the servers").is_some()
}

fn address(variable: &str, what: &str) -> Option<String> {
    let address = std::env::var(variable).ok();
    if address.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no {what}: {variable} is not set");
        eprintln!("SKIPPED: no {what} ({variable} is not set)");
    }
    address
}
