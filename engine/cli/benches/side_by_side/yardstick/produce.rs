//! A producer in transactions that has its messages in memory.
#![allow(unsafe_code)]

use super::Messages;
use prost::Message;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::bindings as c;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};
use stages::source::weather::{WeatherConfig, expected};
use std::ffi::CString;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const PRODUCE_NOTE: &str = "rd_kafka_produce_batch of 1,000, linger.ms=100, a transaction each second";

const PARTITIONS: usize = 4;
const STATIONS: u32 = crate::world::STATIONS;
/// Messages handed over at a time; each partition has so many different ones, again and again.
const BATCH: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone, prost::Message)]
struct Report {
    #[prost(string, tag = "1")]
    date: String,
    #[prost(double, tag = "2")]
    degrees: f64,
    #[prost(string, tag = "3")]
    station_id: String,
}

impl Messages {
    pub(super) fn produce(&self) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        self.create(&config);
        config.set("transactional.id", &self.topic).set("linger.ms", "100");
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(TIMEOUT).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    producer.poll(Duration::from_millis(100));
                }
            });
            self.send(&producer);
            done.store(true, Ordering::Relaxed);
        });
    }

    fn create(&self, config: &ClientConfig) {
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        let topic = NewTopic::new(&self.topic, PARTITIONS as i32, TopicReplication::Fixed(1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let created = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
        assert!(created.iter().all(Result::is_ok), "{created:?}");
    }

    fn send(&self, producer: &BaseProducer) {
        let kept: Vec<_> = (0..PARTITIONS).map(messages).collect();
        let name = CString::new(self.topic.as_str()).unwrap();
        // SAFETY: the producer outlives the topic; what the messages point to stays where it is, and the library copies
        // it.
        unsafe {
            let topic = c::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut());
            let (mut sent, mut turn) = (0, 0);
            while sent < self.count {
                producer.begin_transaction().unwrap();
                let began = Instant::now();
                while sent < self.count && began.elapsed() < Duration::from_secs(1) {
                    let mut batch = raw(&kept[turn]);
                    batch.truncate(usize::try_from(self.count - sent).unwrap());
                    hand_over(topic, turn as i32, &mut batch);
                    sent += batch.len() as u64;
                    turn = (turn + 1) % PARTITIONS;
                }
                c::rd_kafka_flush(producer.client().native_ptr(), 60_000);
                producer.commit_transaction(TIMEOUT).unwrap();
            }
            c::rd_kafka_topic_destroy(topic);
        }
    }
}

/// Keys and values for a partition.
fn messages(partition: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let config = WeatherConfig { stations: STATIONS, ..WeatherConfig::default() };
    let rows = (0..).filter(|row| row % PARTITIONS as u64 == partition as u64).take(BATCH);
    rows.map(|row| {
        let (station_id, date, degrees) = expected(&config, row);
        (station_id.clone().into_bytes(), Report { date, degrees, station_id }.encode_to_vec())
    })
    .collect()
}

fn raw(messages: &[(Vec<u8>, Vec<u8>)]) -> Vec<c::rd_kafka_message_t> {
    let raw = |(key, value): &(Vec<u8>, Vec<u8>)| c::rd_kafka_message_t {
        err: c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: ptr::null_mut(),
        partition: 0,
        payload: value.as_ptr().cast_mut().cast(),
        len: value.len(),
        key: key.as_ptr().cast_mut().cast(),
        key_len: key.len(),
        offset: 0,
        _private: ptr::null_mut(),
    };
    messages.iter().map(raw).collect()
}

/// # Safety
/// The topic and all that the messages point to are alive.
unsafe fn hand_over(topic: *mut c::rd_kafka_topic_t, partition: i32, mut batch: &mut [c::rd_kafka_message_t]) {
    while !batch.is_empty() {
        // SAFETY: promised by the caller.
        let taken = unsafe {
            c::rd_kafka_produce_batch(topic, partition, c::RD_KAFKA_MSG_F_COPY, batch.as_mut_ptr(), batch.len() as i32)
        };
        batch = &mut batch[usize::try_from(taken).unwrap()..];
        if let Some(first) = batch.first() {
            assert_eq!(first.err, c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL);
            thread::sleep(Duration::from_millis(1));
        }
    }
}
