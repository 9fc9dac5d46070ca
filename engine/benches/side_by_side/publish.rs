//! The publish leg: a table of Reports into a topic, in transactions of a second.

use crate::contest::{Outcome, Side, contest};
use crate::process::{self, Taken, weatherflow};
use crate::world::{World, protobuf, server, weather};
use crate::yardstick;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use std::path::Path;

const PUBLISH: &str = "publish";
const SELECT: &str = "bare SELECT";
const PRODUCER: &str = "bare producer";
/// Of the rows of a run, this leg moves one in so many: the table is as large as they are, and takes longest to fill.
const PART: u64 = 4;

/// From the table to the topic, beside one client that only reads the rows and one that only sends the messages.
pub fn publish(world: &World) -> Outcome {
    let rows = world.rows / PART;
    let (brokers, count) = (world.brokers(), rows.to_string());
    let dir = world.empty("publish");
    fill(world, &dir, rows);
    let mut round = 0;
    let mut through = || {
        round += 1;
        let topic = format!("published-{}-{round}", std::process::id());
        let taken = one_round(world, &dir, &topic);
        remove(&brokers, &[&topic, &format!("{topic}.bench.publish.progress")]);
        taken
    };
    let select = || {
        let (url, password) = (server("mysql", "MYSQL_URL"), server("mysql", "MYSQL_PASSWORD"));
        let url = format!("{}?ssl-mode=DISABLED", url.replace("root@", &format!("root:{password}@")));
        process::run(&mut yardstick::command("mysql-select", &["--url", &url, "--table", &table(), "--count", &count]))
    };
    let mut producers = 0;
    let mut produce = || {
        producers += 1;
        let topic = format!("produced-{}-{producers}", std::process::id());
        let arguments = ["--brokers", &brokers, "--topic", &topic, "--count", &count];
        let taken = process::run(&mut yardstick::command("kafka-produce", &arguments));
        remove(&brokers, &[&topic]);
        taken
    };
    let mut outcome = contest(
        rows,
        world.rounds,
        vec![
            Side::new(
                PUBLISH,
                "MariaDB without TLS, protobuf, 4 partitions by key, a transaction each second",
                &mut through,
            ),
            Side::new(SELECT, yardstick::SELECT_NOTE, select),
            Side::new(PRODUCER, yardstick::PRODUCE_NOTE, &mut produce),
        ],
    );
    let slower = outcome.slower(SELECT, PRODUCER);
    outcome.ask_rate(PUBLISH, slower, 0.8);
    outcome.ask_memory(PUBLISH, 256.0);
    outcome
}

/// The table of this run.
fn table() -> String {
    format!("reports_{}", std::process::id())
}

/// Where a table is, as source and sink have it.
fn database() -> String {
    let (url, password) = (server("mysql", "MYSQL_URL"), server("mysql", "MYSQL_PASSWORD"));
    let table = table();
    format!("url = \"{url}\"\npassword = \"{password}\"\ntls = {{ mode = \"disabled\" }}\ntable = \"{table}\"\n")
}

fn fill(world: &World, dir: &Path, rows: u64) {
    eprintln!("  filling the table {} with {rows} Reports", table());
    let flow = format!("[[flow]]\nname = \"fill\"\n{}[flow.sink.table]\n{}", weather(rows), database());
    process::run(&mut weatherflow(&["run", "--drain"], &world.pipeline(dir, &[flow])));
}

fn one_round(world: &World, dir: &Path, topic: &str) -> Taken {
    let flow = format!(
        "[[flow]]\nname = \"publish\"\ncommit = {{ every = \"1s\" }}\n\n[flow.source.table]\n{database}cursor = \"id\"\n\
         columns = {{ station_id = \"string\", date = \"string\", degrees = \"float64\" }}\n\n{encode}\n\
         [flow.partition.key]\ncolumn = \"station_id\"\npartitions = 4\n\n[flow.sink.kafka]\nbrokers = \"{brokers}\"\n\
         topic = \"{topic}\"\ncreate = {{}}\n",
        database = database(),
        encode = protobuf("encode"),
        brokers = world.brokers(),
    );
    let file = world.pipeline(dir, &[flow]);
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
