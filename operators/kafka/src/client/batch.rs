//! Reads messages by the thousand, without an object for each: `rd_kafka_consume_batch_queue` on one queue.
//!
//! One queue for all partitions keeps them in the order they came, so that the end of a partition is told after its
//! messages, and it bounds what librdkafka holds for us: its limits count the queue, not the partitions.
#![allow(unsafe_code)]

use super::topic::Client;
use operators_core::error::{Error, Result};
use rdkafka::bindings as c;
use rdkafka::consumer::Consumer;
use rdkafka::error::{IsError, KafkaError, RDKafkaErrorCode as Code};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

/// How a consumer reads. What it holds for us is bounded: of small messages, some 200 bytes each beside their own, a
/// fetch more than `queued.min.messages`; of large ones a fetch more than `queued.max.messages.kbytes`.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("check.crcs", "true"),
    ("fetch.wait.max.ms", "100"),
    // The default is a second, which a reader of small messages mostly sleeps; of 5 ms it still sleeps a third.
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.max.bytes", "1048576"),
    // For each partition. More would have left the processor's cache before they are read.
    ("queued.min.messages", "8000"),
    ("queued.max.messages.kbytes", "8192"),
];

/// Messages that one fetch gives at most.
const FETCH: usize = 8192;

/// Messages taken from the queue at a time: so few that they are still in the core's cache when they are given back.
const BATCH: usize = 256;

/// What a partition gave.
pub(crate) enum Fetched<'m> {
    Message(Message<'m>),
    /// Everything committed below this offset has been given; markers and aborted messages are counted over.
    End {
        partition: u32,
        offset: u64,
    },
    /// The partition, if it is one partition's trouble, and the library's words.
    Trouble {
        partition: Option<u32>,
        code: Code,
        words: String,
    },
}

/// A message, where librdkafka has it.
#[derive(Clone, Copy)]
pub(crate) struct Message<'m> {
    raw: NonNull<c::rd_kafka_message_t>,
    batch: PhantomData<&'m ()>,
}

/// Reads the partitions of one topic it was told to, each from an offset on.
pub(crate) struct Batches {
    topic: NonNull<c::rd_kafka_topic_t>,
    queue: NonNull<c::rd_kafka_queue_t>,
    started: BTreeSet<u32>,
    /// Where a batch lies while it is looked through.
    batch: Vec<*mut c::rd_kafka_message_t>,
    /// Last, so that it outlives what was made with it.
    pub(crate) client: Client,
}

// SAFETY: librdkafka's objects may be used from any thread; messages never leave the call that fetched them.
unsafe impl Send for Batches {}

impl Batches {
    pub(crate) fn new(client: Client) -> Result<Self> {
        let failed = |reason: String| client.failed("start reading", &KafkaError::ClientCreation(reason));
        let name = CString::new(client.place.topic.as_str()).map_err(|error| failed(error.to_string()))?;
        let rk = client.consumer.client().native_ptr();
        // SAFETY: `rk` lives as long as `client`, which this struct keeps and drops last. A null configuration means
        // that of the client. Each object is freed once, in `drop`.
        let (topic, queue) =
            unsafe { (c::rd_kafka_topic_new(rk, name.as_ptr(), ptr::null_mut()), c::rd_kafka_queue_new(rk)) };
        let (Some(topic), Some(queue)) = (NonNull::new(topic), NonNull::new(queue)) else {
            return Err(failed("librdkafka made nothing".to_owned()));
        };
        Ok(Self { topic, queue, started: BTreeSet::new(), batch: vec![ptr::null_mut(); BATCH], client })
    }

    /// Reads a partition from an offset on. Nothing before the offset is ever given: the first request asks for it.
    pub(crate) fn start(&mut self, partition: u32, offset: u64) -> Result<()> {
        // SAFETY: topic and queue are alive, see `new`; the offset is no special one, these are negative.
        let code = unsafe {
            let (topic, queue) = (self.topic.as_ptr(), self.queue.as_ptr());
            match c::rd_kafka_consume_start_queue(topic, partition.cast_signed(), offset.cast_signed(), queue) {
                0 => c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
                _ => c::rd_kafka_last_error(),
            }
        };
        if code.is_error() {
            let doing = format!("start reading partition {partition} at {offset}");
            return Err(self.client.failed(&doing, &KafkaError::MessageConsumption(code.into())));
        }
        self.started.insert(partition);
        Ok(())
    }

    /// Takes what is there, and waits so long for a first message if there is nothing. Says whether there was any.
    pub(crate) fn fetch(
        &mut self,
        wait: Duration,
        mut take: impl FnMut(Fetched<'_>) -> Result<(), Error>,
    ) -> Result<bool> {
        let mut count = 0;
        while count < FETCH {
            let batch = self.batch(BATCH, Duration::ZERO, &mut take)?;
            count += batch;
            if batch < BATCH {
                // The library waits until it has as many as it was asked for.
                if count == 0 && !wait.is_zero() && self.batch(1, wait, &mut take)? > 0 {
                    count = 1;
                    continue;
                }
                break;
            }
        }
        Ok(count > 0)
    }

    /// Takes so many messages at most, and waits so long for all of them; gives their number.
    fn batch(
        &mut self,
        most: usize,
        wait: Duration,
        take: &mut impl FnMut(Fetched<'_>) -> Result<(), Error>,
    ) -> Result<usize> {
        let count = self.collect(most, wait)?;
        let mut taken = Ok(());
        for &raw in &self.batch[..count] {
            let Some(raw) = NonNull::new(raw) else { continue };
            if taken.is_ok() {
                let message = Message { raw, batch: PhantomData };
                taken = message.fetched().map_or(Ok(()), &mut *take);
            }
            // SAFETY: the library gave the message to us, and this is the one place that gives it back; what `take`
            // saw of it had to end before.
            unsafe { c::rd_kafka_message_destroy(raw.as_ptr()) }
        }
        taken.map(|()| count)
    }

    /// Messages that librdkafka holds for us.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        // SAFETY: the queue is alive, see `new`.
        unsafe { c::rd_kafka_queue_length(self.queue.as_ptr()) }
    }

    /// Fills the batch with so many messages at most; gives their number.
    fn collect(&mut self, most: usize, wait: Duration) -> Result<usize> {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let room = &mut self.batch[..most];
        // SAFETY: the queue is alive, see `new`; the library writes at most as many pointers as there is room for.
        let count =
            unsafe { c::rd_kafka_consume_batch_queue(self.queue.as_ptr(), millis, room.as_mut_ptr(), room.len()) };
        usize::try_from(count).map_err(|_| {
            // SAFETY: reads a number of this thread.
            let code = unsafe { c::rd_kafka_last_error() };
            self.client.failed("read messages", &KafkaError::MessageConsumption(code.into()))
        })
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        // SAFETY: each object is alive until here and is freed once; the client goes after them. Stopping asks no
        // broker, so it does not wait for one.
        unsafe {
            for partition in &self.started {
                c::rd_kafka_consume_stop(self.topic.as_ptr(), partition.cast_signed());
            }
            c::rd_kafka_queue_destroy(self.queue.as_ptr());
            c::rd_kafka_topic_destroy(self.topic.as_ptr());
        }
    }
}

impl<'m> Message<'m> {
    fn raw(&self) -> &'m c::rd_kafka_message_t {
        // SAFETY: a message is only made in `fetch`, and is alive until the call ends that `'m` belongs to.
        unsafe { self.raw.as_ref() }
    }

    pub(crate) fn partition(&self) -> u32 {
        self.raw().partition.cast_unsigned()
    }

    pub(crate) fn offset(&self) -> u64 {
        self.raw().offset.cast_unsigned()
    }

    /// The leader epoch in which it was written; brokers older than 0.11 do not say.
    pub(crate) fn epoch(&self) -> Option<u32> {
        // SAFETY: the message is alive, see `raw`.
        u32::try_from(unsafe { c::rd_kafka_message_leader_epoch(self.raw.as_ptr()) }).ok()
    }

    pub(crate) fn key(&self) -> Option<&'m [u8]> {
        let raw = self.raw();
        // SAFETY: the library says that so many bytes are there while the message lives; null means no key.
        unsafe { bytes(raw.key, raw.key_len) }
    }

    pub(crate) fn value(&self) -> Option<&'m [u8]> {
        let raw = self.raw();
        // SAFETY: as for the key.
        unsafe { bytes(raw.payload, raw.len) }
    }

    /// Milliseconds since 1970 UTC, where the message has a time.
    pub(crate) fn timestamp(&self) -> Option<i64> {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, see `raw`.
        let time = unsafe { c::rd_kafka_message_timestamp(self.raw.as_ptr(), &raw mut kind) };
        (kind != c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && time >= 0).then_some(time)
    }

    /// Gives each header in its order; names may come twice, values may be null.
    pub(crate) fn headers(&self, mut each: impl FnMut(&str, Option<&[u8]>)) {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive, see `raw`; its headers belong to it.
        if unsafe { c::rd_kafka_message_headers(self.raw.as_ptr(), &raw mut headers) }.is_error() {
            return;
        }
        for index in 0.. {
            let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers are alive; an index behind the last is an error, and gives nothing. The name ends
            // with a zero, the value has so many bytes.
            unsafe {
                let read = c::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut length);
                if read.is_error() {
                    return;
                }
                each(&CStr::from_ptr(name).to_string_lossy(), bytes(value, length));
            }
        }
    }

    fn fetched(self) -> Option<Fetched<'m>> {
        let raw = self.raw();
        let partition = u32::try_from(raw.partition).ok();
        match (raw.err.into(), partition) {
            (Code::NoError, Some(_)) => Some(Fetched::Message(self)),
            (Code::NoError, None) => None,
            (Code::PartitionEOF, Some(partition)) => Some(Fetched::End { partition, offset: self.offset() }),
            (code, partition) => {
                let words = self.value().map(|text| String::from_utf8_lossy(text).into_owned());
                Some(Fetched::Trouble { partition, code, words: words.unwrap_or_else(|| code.to_string()) })
            }
        }
    }
}

/// # Safety
/// `start` is null, or `length` bytes are there that do not change for `'m`.
unsafe fn bytes<'m>(start: *const std::ffi::c_void, length: usize) -> Option<&'m [u8]> {
    // SAFETY: promised by the caller.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), length) })
}

/// Whether the brokers do not have the offset that was asked for.
pub(crate) fn is_position_lost(code: Code) -> bool {
    matches!(code, Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation | Code::NoOffset)
}
