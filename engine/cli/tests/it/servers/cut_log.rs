//! A log that loses its end, and is written to again beyond a flow's position: every offset that is asked for is there,
//! and only the leader epochs of the messages tell.

use crate::common::served::wait_for;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use testkit::servers::{FRESH, Servers};
use testkit::unique;

/// Messages before the cut, and as many after it.
const MESSAGES: usize = 10;
/// Those of them that the log keeps.
const KEPT: usize = 5;

fn create(brokers: &str, topic: &str) {
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
}

/// Each in a batch of its own.
fn send(brokers: &str, topic: &str, word: &str) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for number in 0..MESSAGES {
        let value = format!("{word} {number}");
        producer.send(BaseRecord::<str, str>::to(topic).partition(0).payload(&value)).unwrap();
        producer.flush(Duration::from_secs(30)).unwrap();
    }
}

/// What a disk leaves that had not written its last blocks: <https://kafka.apache.org/documentation/#recordbatch> has an
/// offset of 8 bytes and a length of 4, and then as many.
fn cut(servers: &Servers, topic: &str) {
    let log = servers.dir().join(format!("broker1/{topic}-0/00000000000000000000.log"));
    let mut file = File::options().read(true).write(true).open(log).unwrap();
    let mut end = 0;
    for _ in 0..KEPT {
        let mut head = [0; 12];
        file.read_exact(&mut head).unwrap();
        let length = u64::from(u32::from_be_bytes(head[8..].try_into().unwrap()));
        std::io::copy(&mut file.by_ref().take(length), &mut std::io::sink()).unwrap();
        end += 12 + length;
    }
    assert!(file.metadata().unwrap().len() > end);
    file.set_len(end).unwrap();
}

fn weatherflow(arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
    command.args(arguments).arg(file);
    command
}

fn drain(file: &Path) -> Output {
    weatherflow(&["run", "--drain"], file).output().unwrap()
}

/// Killed where a test fails before its end.
struct Running(Option<Child>);

impl Running {
    fn end(&mut self) -> Output {
        wait_for("the end of that flow", || self.0.as_mut().unwrap().try_wait().unwrap());
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn assert_refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words) && said.contains("start the flow anew"), "{said}");
}

#[test]
fn what_was_written_in_the_place_of_a_lost_end_is_not_taken_for_it() {
    FRESH.command(&["wipe"]);
    let Some(brokers) = FRESH.variable("kafka", "KAFKA_BROKERS") else { return };
    let folder = tempfile::tempdir().unwrap();
    let topic = unique("cut");
    let file = |(name, layout): (&str, &str)| {
        let file = folder.path().join(format!("{name}.toml"));
        let text = format!(
            "name = \"cut\"\n[[flow]]\nname = \"{name}\"\ncommit = {{ every = \"1s\" }}\n\
             [flow.source.kafka]\nbrokers = \"{brokers}\"\ntopic = \"{topic}\"\n\
             [flow.sink.parquet]\nurl = \"file:{name}\"\nlayout = \"{layout}\"\n"
        );
        fs::write(&file, text).unwrap();
        file
    };
    let files = [("batches", "batches"), ("flat", "flat"), ("running", "batches")].map(file);
    create(&brokers, &topic);
    send(&brokers, &topic, "old");
    for file in &files[..2] {
        // Once more with nothing new: that is still the same log.
        for _ in 0..2 {
            let output = drain(file);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    // One flow is there while it happens, two are away.
    let mut running = Running(Some(weatherflow(&["run"], &files[2]).stderr(Stdio::piped()).spawn().unwrap()));
    let archived = folder.path().join("running/segment=000000/batch=00000000000000000000");
    wait_for("the rows of the flow that is there", || archived.exists().then_some(()));
    FRESH.control("kill", "broker1");
    cut(&FRESH, &topic);
    FRESH.control("start", "broker1");
    send(&brokers, &topic, "new");
    let ended = running.end();
    // It may see the log before that is as long again.
    assert_refused(&ended, "partition 0 ");
    let cut =
        "partition 0 was cut before 10, where the flow stands, and written to again: the last message read was 9 of";
    assert_refused(&drain(&files[0]), cut);
    assert_refused(&drain(&files[1]), cut);
    FRESH.command(&["wipe"]);
}
