//! Loops over a topic that only count.
#![allow(unsafe_code)]

use super::Messages;
use rdkafka::bindings as c;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::ffi::CString;
use std::ptr;
use std::time::Duration;

/// Found by trying: with more messages in the queue, or a longer pause before the next fetch, both loops are slower.
const SETTINGS: [(&str, &str); 3] =
    [("queued.min.messages", "8000"), ("fetch.max.bytes", "1048576"), ("fetch.queue.backoff.ms", "1")];

pub const BATCH_NOTE: &str = "rd_kafka_consume_batch_queue of 256, queued.min.messages=8000, fetch.max.bytes=1048576, \
                              fetch.queue.backoff.ms=1";
pub const POLL_NOTE: &str = "BaseConsumer::poll with the same settings";

impl Messages {
    fn consumer(&self) -> (BaseConsumer, i32) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", "yardstick").set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true");
        SETTINGS.iter().for_each(|(name, value)| _ = config.set(*name, *value));
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(&self.topic), Duration::from_secs(10)).unwrap();
        let partitions = metadata.topics()[0].partitions().len();
        (consumer, i32::try_from(partitions).unwrap())
    }

    pub(super) fn by_batch(&self) {
        let (consumer, partitions) = self.consumer();
        let name = CString::new(self.topic.as_str()).unwrap();
        let rk = consumer.client().native_ptr();
        let mut batch = vec![ptr::null_mut(); 256];
        let (mut count, mut ended) = (0u64, 0);
        // SAFETY: the client outlives all that is made with it; the library writes no more pointers than there is room
        // for, and each message is given back once.
        unsafe {
            let topic = c::rd_kafka_topic_new(rk, name.as_ptr(), ptr::null_mut());
            let queue = c::rd_kafka_queue_new(rk);
            for partition in 0..partitions {
                assert_eq!(c::rd_kafka_consume_start_queue(topic, partition, 0, queue), 0);
            }
            while ended < partitions {
                let taken = c::rd_kafka_consume_batch_queue(queue, 10, batch.as_mut_ptr(), batch.len());
                for &message in &batch[..usize::try_from(taken).unwrap()] {
                    match (*message).err {
                        c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => count += 1,
                        c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => ended += 1,
                        error => panic!("{error:?}"),
                    }
                    c::rd_kafka_message_destroy(message);
                }
            }
            for partition in 0..partitions {
                c::rd_kafka_consume_stop(topic, partition);
            }
            c::rd_kafka_queue_destroy(queue);
            c::rd_kafka_topic_destroy(topic);
        }
        assert_eq!(count, self.count);
    }

    pub(super) fn one_by_one(&self) {
        let (consumer, partitions) = self.consumer();
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            all.add_partition_offset(&self.topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        let (mut count, mut ended) = (0u64, 0);
        while ended < partitions {
            match consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(_)) => count += 1,
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => panic!("{error}"),
            }
        }
        assert_eq!(count, self.count);
    }
}
