//! Hands messages over by the thousand: `rd_kafka_produce_batch`, without looking for the topic and at the clock for
//! each.
#![allow(unsafe_code)]

use rdkafka::bindings as c;
use rdkafka::error::{IsError, KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::util::IntoOpaque;
use std::ffi::{CString, c_void};
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

/// Messages handed over at a time.
const BATCH: usize = 1024;

/// Key and value of a message.
pub(crate) type KeyValue<'m> = (Option<&'m [u8]>, Option<&'m [u8]>);

/// Where a producer takes the messages of one topic.
pub(crate) struct Outlet<C: ProducerContext<DeliveryOpaque = usize> + 'static> {
    topic: NonNull<c::rd_kafka_topic_t>,
    /// Where messages lie while they are handed over.
    batch: Vec<c::rd_kafka_message_t>,
    /// Last, so that it outlives what was made with it.
    producer: Arc<BaseProducer<C>>,
}

// SAFETY: librdkafka's objects may be used from any thread; the batch is empty between calls.
unsafe impl<C: ProducerContext<DeliveryOpaque = usize> + 'static> Send for Outlet<C> {}

impl<C: ProducerContext<DeliveryOpaque = usize> + 'static> Outlet<C> {
    pub(crate) fn new(producer: &Arc<BaseProducer<C>>, topic: &str) -> KafkaResult<Self> {
        let name = CString::new(topic)?;
        let rk = producer.client().native_ptr();
        // SAFETY: the client lives as long as `producer`, which this struct keeps and drops last. A null configuration
        // means that of the client. The topic is freed once, in `drop`.
        let topic = NonNull::new(unsafe { c::rd_kafka_topic_new(rk, name.as_ptr(), ptr::null_mut()) });
        let topic = topic.ok_or_else(|| KafkaError::ClientCreation("librdkafka made no topic".to_owned()))?;
        Ok(Self { topic, batch: Vec::with_capacity(BATCH), producer: Arc::clone(producer) })
    }

    /// Hands the messages of these rows over, for one partition, until all are taken or the queue is full; gives how
    /// many were taken. Their bytes are copied. `lane` comes back with the delivery report of each.
    pub(crate) fn send<'m>(
        &mut self,
        partition: u32,
        lane: usize,
        mut rows: Range<usize>,
        message: impl Fn(usize) -> KeyValue<'m>,
    ) -> KafkaResult<usize> {
        let mut taken = 0;
        while !rows.is_empty() {
            self.batch.extend(rows.by_ref().take(BATCH).map(|row| raw(message(row), lane)));
            let asked = self.batch.len();
            let took = self.hand_over(partition);
            self.batch.clear();
            let took = took?;
            taken += took;
            if took < asked {
                break;
            }
        }
        Ok(taken)
    }

    fn hand_over(&mut self, partition: u32) -> KafkaResult<usize> {
        // SAFETY: the topic is alive, see `new`. The library copies key and value of as many messages as there are,
        // which `send` holds borrowed until after this call, and writes what became of each into its `err`.
        let took = unsafe {
            let flags = c::RD_KAFKA_MSG_F_COPY;
            let (batch, count) = (self.batch.as_mut_ptr(), self.batch.len() as i32);
            c::rd_kafka_produce_batch(self.topic.as_ptr(), partition.cast_signed(), flags, batch, count)
        };
        let mut failed = self.batch.iter().filter(|message| message.err.is_error());
        match failed.next().map(|message| message.err.into()) {
            // After the first that did not fit the library tries none.
            None | Some(Code::QueueFull) => Ok(usize::try_from(took).unwrap_or_default()),
            Some(code) => Err(KafkaError::MessageProduction(code)),
        }
    }

    /// Has the library send all it holds without waiting for more, and waits so long until it is stored; says whether
    /// it is.
    pub(crate) fn flush(&self, wait: Duration) -> KafkaResult<bool> {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the client is alive as long as the producer. Delivery reports are events, which the call leaves alone.
        match unsafe { c::rd_kafka_flush(self.producer.client().native_ptr(), millis) }.into() {
            Code::NoError => Ok(true),
            Code::OperationTimedOut => Ok(false),
            code => Err(KafkaError::Flush(code)),
        }
    }
}

impl<C: ProducerContext<DeliveryOpaque = usize> + 'static> Drop for Outlet<C> {
    fn drop(&mut self) {
        // SAFETY: the topic is alive until here and is freed once; the client goes after it.
        unsafe { c::rd_kafka_topic_destroy(self.topic.as_ptr()) }
    }
}

fn raw((key, value): KeyValue<'_>, lane: usize) -> c::rd_kafka_message_t {
    let (payload, len) = start(value);
    let (key, key_len) = start(key);
    let err = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    let (rkt, _private) = (ptr::null_mut(), lane.into_ptr());
    c::rd_kafka_message_t { err, rkt, partition: 0, payload, len, key, key_len, offset: 0, _private }
}

/// Where bytes start, and how many they are; null for none.
fn start(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
}
