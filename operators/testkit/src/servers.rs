//! The real servers that tests run against: one set for the whole test run, started by `docker/servers` when the first
//! test asks, gone when the test run has ended.
//!
//! Without Java, Maven and OpenSSL's program a test that needs servers is skipped, loudly and counted; with `CI=true` it
//! fails instead. `WEATHERFLOW_SERVERS=off` skips them on any machine. `WEATHERFLOW_MYSQL=9` has a real MySQL 9 instead of
//! MariaDB, where root and debootstrap are there.

use crate::project;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

/// One set of servers, in a directory and on ports of its own.
pub struct Servers {
    name: &'static str,
    ports: u16,
    options: &'static [&'static str],
    environment: Mutex<BTreeMap<String, String>>,
}

/// One of each, Kafka with all its listeners. `WEATHERFLOW_PORTS` moves all ports, for test runs side by side.
pub static ALL: LazyLock<Servers> = LazyLock::new(|| Servers::new("tests", 12_000, &["--secure", "--proxied"]));

/// Three brokers, for tests of what a cluster does.
pub static CLUSTER: LazyLock<Servers> =
    LazyLock::new(|| Servers::new("tests-3", 14_000, &["--brokers", "3", "--proxied"]));

/// Sets that tests kill, stop and fill, each of them for one test at a time.
static HARMED: LazyLock<[(Servers, Mutex<()>); 2]> = LazyLock::new(|| {
    [("tests-harmed-1", 19_000), ("tests-harmed-2", 20_000)]
        .map(|(name, ports)| (Servers::new(name, ports, &["--proxied"]), Mutex::default()))
});

/// A set of servers that no other test uses meanwhile; a test may kill and stop them, and has to start them again.
pub struct Harmed {
    servers: &'static Servers,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for a set that no other test uses.
pub fn harmed() -> Harmed {
    loop {
        for (servers, turn) in &*HARMED {
            match turn.try_lock() {
                Ok(turn) => return Harmed { servers, _turn: turn },
                // A test that failed has started its servers again all the same.
                Err(TryLockError::Poisoned(turn)) => return Harmed { servers, _turn: turn.into_inner() },
                Err(TryLockError::WouldBlock) => {}
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Harmed {
    /// The set.
    pub fn servers(&self) -> &'static Servers {
        self.servers
    }
}

impl Deref for Harmed {
    type Target = Servers;

    fn deref(&self) -> &Servers {
        self.servers
    }
}

/// A MySQL of its own, for a test that changes the whole server.
pub static ALONE: LazyLock<Servers> = LazyLock::new(|| Servers::new("tests-mysql", 17_000, &[]));

/// One of each as a user would start them, for benchmarks.
pub static BENCH: LazyLock<Servers> = LazyLock::new(|| Servers::new("bench", 16_000, &[]));

/// Those that start from nothing, for tests of that.
pub static FRESH: LazyLock<Servers> = LazyLock::new(|| Servers::new("fresh", 18_000, &[]));

/// Settings of a topic that is compacted soon, and not only when much is to be gained.
pub const COMPACTED: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "100"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("min.compaction.lag.ms", "0"),
    ("max.compaction.lag.ms", "100"),
];

/// Addresses of a broker's plain listener.
pub fn kafka() -> Option<String> {
    ALL.variable("kafka", "KAFKA_BROKERS")
}

/// `hdfs://HOST:PORT` of a cluster with one NameNode and three DataNodes.
pub fn hdfs() -> Option<String> {
    ALL.hdfs()
}

/// URL of a database in which tests make tables of their own; the password is in it.
pub fn mysql() -> Option<String> {
    mysql_of(&ALL)
}

/// The same of a set of servers.
pub fn mysql_of(servers: &Servers) -> Option<String> {
    let url = servers.variable("mysql", "MYSQL_URL")?;
    let password = servers.variable("mysql", "MYSQL_PASSWORD")?;
    Some(url.replace("root@", &format!("root:{password}@")))
}

impl Servers {
    fn new(name: &'static str, ports: u16, options: &'static [&'static str]) -> Self {
        let moved = std::env::var("WEATHERFLOW_PORTS").map_or(0, |text| text.parse().expect("a number of ports"));
        Self { name, ports: ports + moved, options, environment: Mutex::default() }
    }

    /// `hdfs://HOST:PORT` of its cluster with one NameNode and three DataNodes.
    pub fn hdfs(&self) -> Option<String> {
        self.variable("hdfs", "HDFS_URL").map(|url| url.trim_end_matches("/data").to_owned())
    }

    /// What the environment of a pipeline has to hold for one kind of server, which runs from now on.
    pub fn variable(&self, kind: &str, name: &str) -> Option<String> {
        if !MISSING.is_empty() {
            skip(kind, &MISSING);
            return None;
        }
        let mut environment = self.environment.lock().unwrap();
        if !environment.contains_key(kind) {
            let parent = std::os::unix::process::parent_id().to_string();
            let output = self.command(&["--while", &parent, "up", kind]);
            let variables =
                output.lines().filter_map(|line| line.strip_prefix("export ")).flat_map(str::split_whitespace);
            environment
                .extend(variables.filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())));
            environment.insert(kind.to_owned(), String::new());
        }
        Some(environment.get(name).unwrap_or_else(|| panic!("docker/servers up {kind} gave no {name}")).clone())
    }

    /// `kill`, `start`, `pause` or `resume` for `broker1`, `namenode`, `datanode1`, `mysql` and so on; `start` returns
    /// when the server is ready.
    pub fn control(&self, action: &str, server: &str) {
        self.command(&[action, server]);
    }

    /// Runs `docker/servers` on this set; gives what it printed.
    pub fn command(&self, arguments: &[&str]) -> String {
        let output = self.script(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker/servers {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Of the set.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where their data and logs lie.
    pub fn dir(&self) -> PathBuf {
        project().join("target/servers").join(self.name)
    }

    /// `docker/servers` for this set.
    pub fn script(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(project().join("docker/servers"));
        command.arg("--dir").arg(self.dir()).arg("--ports").arg(self.ports.to_string()).args(self.options);
        if std::env::var("WEATHERFLOW_MYSQL").as_deref() == Ok("9") {
            command.arg("--mysql");
        }
        command.args(arguments);
        command
    }
}

/// Why there are no servers; empty where there are.
static MISSING: LazyLock<String> = LazyLock::new(|| {
    if std::env::var("WEATHERFLOW_SERVERS").as_deref() == Ok("off") {
        return "WEATHERFLOW_SERVERS is off".to_owned();
    }
    let lacks = |program: &&&str| Command::new(program).arg("-version").output().is_err();
    let missing: Vec<_> = ["java", "jar", "mvn", "openssl"].iter().filter(lacks).copied().collect();
    if missing.is_empty() { String::new() } else { format!("this machine lacks {}", missing.join(" and ")) }
});

fn skip(kind: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no {kind}: {why}");
    static SKIPPED: AtomicU32 = AtomicU32::new(0);
    let skipped = SKIPPED.fetch_add(1, Ordering::SeqCst) + 1;
    // Past the capture of test output: a test that did not run must be seen.
    let _ = writeln!(std::io::stderr(), "SKIPPED ({skipped} in this binary): no {kind}, {why}");
}
