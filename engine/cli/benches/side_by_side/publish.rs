//! The publish leg: a table of Reports into a topic, in transactions of a second or of as many rows as memory allows.

use crate::contest::{Outcome, Side, contest};
use crate::process::{self, Taken, weatherflow};
use crate::world::{self, Topic, World, weather};
use crate::yardstick;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use std::path::Path;
use std::process::Command;
use std::thread;
use testkit::unique;

const PUBLISH: &str = "publish";
const SELECT: &str = "bare SELECT";
const PRODUCER: &str = "bare producer";
const BOTH: &str = "bare SELECT and bare producer at once";
/// Of the rows of a run, this leg moves one in so many: the table is as large as they are, and takes longest to fill.
const PART: u64 = 4;

/// From the table to the topic, beside one client that only reads the rows and one that only sends the messages.
pub fn publish(world: &World) -> Outcome {
    let rows = world.rows / PART;
    let (brokers, count) = (world.brokers(), rows.to_string());
    let dir = world.empty("publish");
    let table = unique("reports").replace('-', "_");
    fill(world, &dir, &table, rows);
    // A topic of its own for each turn: one that was deleted may stay for a while.
    let new_topic = || unique("published");
    let through = || {
        let topic = new_topic();
        let taken = one_round(world, &dir, &table, &Topic { brokers: brokers.clone(), name: topic.clone(), rows });
        remove(&brokers, &[&topic, &format!("{topic}.bench.publish.progress")]);
        taken
    };
    let url = world::database_url();
    let select = || yardstick::command("mysql-select", &["--url", &url, "--table", &table, "--count", &count]);
    let producing = |topic: &str| {
        yardstick::command("kafka-produce", &["--brokers", &brokers, "--topic", topic, "--count", &count])
    };
    let produce = || {
        let topic = new_topic();
        let taken = process::run(&mut producing(&topic));
        remove(&brokers, &[&topic]);
        taken
    };
    let both = || {
        let topic = new_topic();
        let taken = at_once([select(), producing(&topic)]);
        remove(&brokers, &[&topic]);
        taken
    };
    let mut outcome = contest(
        rows,
        world.rounds,
        vec![
            Side::new(
                PUBLISH,
                "MariaDB without TLS, protobuf, 4 partitions by key, a transaction each second or 32 MiB",
                through,
            ),
            Side::new(SELECT, yardstick::SELECT_NOTE, || process::run(&mut select())),
            Side::new(PRODUCER, yardstick::PRODUCE_NOTE, produce),
            Side::new(BOTH, "the two before at the same time: what is left of the machine for each", both),
        ],
    );
    let slower = outcome.slower(SELECT, PRODUCER);
    outcome.ask_rate(PUBLISH, slower, 0.8);
    outcome.ask_rate(PUBLISH, BOTH, 0.8);
    outcome.ask_memory(PUBLISH, 256.0);
    outcome
}

/// Runs processes side by side, until the last has ended.
fn at_once<const N: usize>(commands: [Command; N]) -> Taken {
    let taken = thread::scope(|scope| {
        let running = commands.map(|mut command| scope.spawn(move || process::run(&mut command)));
        running.map(|process| process.join().unwrap())
    });
    Taken {
        seconds: taken.iter().map(|taken| taken.seconds).fold(0.0, f64::max),
        cpu_seconds: taken.iter().map(|taken| taken.cpu_seconds).sum(),
        peak_mib: taken.iter().map(|taken| taken.peak_mib).sum(),
    }
}

fn fill(world: &World, dir: &Path, table: &str, rows: u64) {
    eprintln!("  filling the table {table} with {rows} Reports");
    // The servers of a run that has just ended may be there still, and know a flow by its name.
    let into = world::database_table(table);
    let flow = format!("[[flow]]\nname = \"fill-{table}\"\n{}[flow.sink.table]\n{into}", weather(rows));
    process::run(&mut weatherflow(&["run", "--drain"], &world.pipeline(dir, &[flow])));
}

fn one_round(world: &World, dir: &Path, table: &str, topic: &Topic) -> Taken {
    let file = world.pipeline(dir, &[world::publish(table, topic, "1s")]);
    let taken = process::run(&mut weatherflow(&["run", "--drain"], &file));
    process::run(&mut weatherflow(&["verify"], &file));
    taken
}

/// Deletes topics, so that one round does not leave the next less room.
fn remove(brokers: &str, topics: &[&str]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.delete_topics(topics, &AdminOptions::new())).unwrap();
}
