//! What the archive leg holds in memory while HDFS stands still under it.

use crate::contest::{Goal, Outcome};
use crate::process::{self, Running, weatherflow};
use crate::world::{self, World, hdfs_environment};
use std::thread;
use std::time::{Duration, Instant};
use testkit::servers::BENCH;
use testkit::unique;

/// How long rows flow at full speed before.
const BEFORE: Duration = Duration::from_secs(3);
/// How long HDFS stands still.
const PAUSE: Duration = Duration::from_secs(60);
/// How often the job is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// The DataNodes stop in one run, the NameNode in another; each run then goes on to its end.
pub fn paused(world: &World) -> Outcome {
    let stopped =
        [("all DataNodes", &["datanode1", "datanode2", "datanode3"][..]), ("the NameNode", &["namenode"][..])];
    Outcome::of(stopped.map(|(what, servers)| {
        let what = format!("peak resident memory with {what} of HDFS paused for {} s", PAUSE.as_secs());
        Goal::at_most(what, peak_mib(world, servers), 256.0, "MiB")
    }))
}

fn peak_mib(world: &World, servers: &[&str]) -> f64 {
    let topic = world.topic();
    let dir = world.empty("paused");
    let url = format!("{}/{}", world::server("hdfs", "HDFS_URL"), unique("paused"));
    let file = world.pipeline(&dir, &[world::archive(topic, "10s", &url)]);
    let mut run = Running::start(hdfs_environment(&mut weatherflow(&["run", "--drain"], &file)));
    thread::sleep(BEFORE);
    let paused = Paused::new(servers);
    let since = Instant::now();
    while since.elapsed() < PAUSE {
        assert!(run.look().is_none(), "it ended without HDFS: {}", run.printed());
        thread::sleep(LOOK);
    }
    drop(paused);
    let taken = run.end();
    process::run(hdfs_environment(&mut weatherflow(&["verify"], &file)));
    eprintln!("  {servers:?} paused: {:.1} s, at most {:.0} MiB", taken.seconds, taken.peak_mib);
    taken.peak_mib
}

/// Servers that stand still, until this is dropped.
struct Paused<'s>(&'s [&'s str]);

impl<'s> Paused<'s> {
    fn new(servers: &'s [&'s str]) -> Self {
        servers.iter().for_each(|server| BENCH.control("pause", server));
        Self(servers)
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|server| BENCH.control("resume", server));
    }
}
