//! A directory of HDFS whose quota is full: the run tries for as long as it may, within its memory, and ends with one
//! clear error; once there is room the same command goes on.

use crate::common::{assert_generated, both, read_archive};
use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;
use testkit::servers;
use testkit::servers::ALL;
use testkit::unique;

const PIPELINE: &str = r#"
name = "quota"
memory = "128MiB"

[[flow]]
name = "archive"
commit = { every = "1s" }
retry_for = "5s"

[flow.source.weather]
stations = 100
last_day = "2005-06-22"
every = "0"

[flow.sink.parquet]
url = { env = "HDFS_URL" }
"#;
const STATIONS: u32 = 100;
const DAYS: u32 = 2_000;

#[test]
fn a_quota_that_stays_full_ends_the_run_and_room_lets_it_go_on() {
    let Some(url) = servers::hdfs() else { return };
    let (folder, place) = (tempfile::tempdir().unwrap(), format!("/{}", unique("quota")));
    let file = folder.path().join("quota.toml");
    fs::write(&file, PIPELINE).unwrap();
    let command = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
        command.arg(name).arg(&file).args(arguments).env("HDFS_URL", format!("{url}{place}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    ALL.command(&["hdfs", "dfs", "-mkdir", "-p", &place]);
    ALL.command(&["hdfs", "dfsadmin", "-setSpaceQuota", "1m", &place]);

    let (ended, peak) = measured(command("run", &["--drain", "--quiet"]));
    let says = String::from_utf8_lossy(&ended.stderr).into_owned();
    println!("{says}{} MiB at most", peak >> 10);
    assert_eq!(ended.status.code(), Some(1), "{}", both(&ended));
    assert_eq!(says.matches("retry_for allows no more").count(), 1, "{says}");
    assert!(says.contains("quota") && says.contains(&place) && says.contains("attempts"), "{says}");
    assert!(peak < 128 << 10, "{peak} KiB");

    ALL.command(&["hdfs", "dfsadmin", "-clrSpaceQuota", &place]);
    for (name, arguments) in [("run", &["--drain"][..]), ("verify", &[])] {
        let output = command(name, arguments).output().unwrap();
        assert!(output.status.success(), "{name}: {}", both(&output));
    }
    let copy = folder.path().join("copy");
    ALL.command(&["hdfs", "dfs", "-get", &place, copy.to_str().unwrap()]);
    assert_generated(STATIONS, DAYS, &read_archive(&copy));
}

/// Runs to the end; gives the most KiB of memory that were resident.
fn measured(mut command: Command) -> (Output, u64) {
    let mut child = command.spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = resident.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(peak);
        sleep(Duration::from_millis(50));
    }
    (child.wait_with_output().unwrap(), peak)
}
