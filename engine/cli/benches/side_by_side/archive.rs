//! The archive leg: a topic of Reports into Parquet files, committed every 10 s.

use crate::contest::{Outcome, Side, contest};
use crate::process::{self, Taken, weatherflow};
use crate::world::{self, World, hdfs_environment};
use crate::yardstick;
use testkit::unique;

const LOCAL: &str = "archive";
const BATCH: &str = "batch loop";
const POLL: &str = "poll loop";

/// Into a local directory, beside loops over librdkafka that only count.
pub fn local(world: &World) -> Outcome {
    let topic = world.topic();
    let count = topic.rows.to_string();
    let messages = ["--brokers", &topic.brokers, "--topic", &topic.name, "--count", &count];
    let loops = |kind| yardstick::command(kind, &messages);
    let mut outcome = contest(
        topic.rows,
        world.rounds,
        vec![
            Side::new(LOCAL, "protobuf, Parquet with zstd, local directory", || into_directory(world)),
            Side::new(BATCH, yardstick::BATCH_NOTE, || process::run(&mut loops("kafka-batch"))),
            Side::new(POLL, yardstick::POLL_NOTE, || process::run(&mut loops("kafka-poll"))),
        ],
    );
    outcome.ask_rate(LOCAL, BATCH, 0.8);
    outcome.ask_rate(LOCAL, POLL, 1.2);
    outcome.ask_cpu(LOCAL, BATCH, 2.0);
    outcome.ask_memory(LOCAL, 256.0);
    outcome
}

/// Onto HDFS with three replicas, beside a local directory.
pub fn hdfs(world: &World) -> Outcome {
    const HDFS: &str = "archive onto HDFS";
    let topic = world.topic();
    let onto_hdfs = || {
        let dir = world.empty("onto-hdfs");
        let url = format!("{}/{}", world::server("hdfs", "HDFS_URL"), unique("bench"));
        let file = world.pipeline(&dir, &[world::archive(topic, "10s", &url)]);
        let taken = process::run(hdfs_environment(&mut weatherflow(&["run", "--drain"], &file)));
        process::run(hdfs_environment(&mut weatherflow(&["verify"], &file)));
        taken
    };
    let mut outcome = contest(
        topic.rows,
        world.rounds,
        vec![Side::new(HDFS, "3 replicas", onto_hdfs), Side::new(LOCAL, "local directory", || into_directory(world))],
    );
    outcome.ask_rate(HDFS, LOCAL, 0.8);
    outcome.ask_memory(HDFS, 256.0);
    outcome
}

fn into_directory(world: &World) -> Taken {
    let dir = world.empty("archive");
    let file = world.pipeline(&dir, &[world::archive(world.topic(), "10s", "file:archive")]);
    let taken = process::run(&mut weatherflow(&["run", "--drain"], &file));
    process::run(&mut weatherflow(&["verify"], &file));
    taken
}
