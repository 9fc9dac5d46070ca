//! A transactional producer whose calls come back: what may wait for an answer without end runs on a thread of its
//! own, and the producer is abandoned with it when the answer does not come.

use super::failpoint::Failpoints;
use super::written::Written;
use crate::client::error::{self, Listener};
use crate::client::outlet::{KeyValue, Outlet};
use crate::client::{Place, TIMEOUT};
use operators_core::error::{Error, Result};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext};
use rdkafka::util::Timeout;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a call that has its own time-out may take beyond it.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait at a time for room.
const STEP: Duration = Duration::from_millis(1);
/// How long to wait at a time for all to be stored.
const FLUSH: Duration = Duration::from_millis(20);
/// How long the client is listened to before it is asked whether anybody still needs it.
const LISTEN: Duration = Duration::from_secs(1);
/// How long the brokers may take to abort.
const ABORT: Duration = Duration::from_secs(5);

/// A message on its way to one partition.
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: u32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Option<OwnedHeaders>,
    /// What it is counted under in the delivery reports.
    pub(super) lane: usize,
}

/// A producer that has shut out every older one of its transactional id.
pub(super) struct Producer {
    inner: Arc<BaseProducer<Reports>>,
    /// Takes the messages of the place it was opened for.
    outlet: Outlet<Reports>,
    patience: Duration,
    failpoints: Failpoints,
    sent: u64,
}

impl Producer {
    /// Connects, and shuts out older producers: what they left open is aborted, what they were committing is
    /// committed. `lanes` is the number of partitions that messages are counted under; a call is given up after
    /// `patience`.
    pub(super) fn open(
        config: &ClientConfig,
        place: &Place,
        lanes: usize,
        patience: Duration,
        failpoints: Failpoints,
    ) -> Result<Self> {
        let reports = Reports { listener: Listener::new(place), delivered: Mutex::new(Delivered::new(lanes)) };
        let inner = config.create_with_context(reports);
        let inner = inner.map_err(|error| error::failed(place, "start a producer", &error))?;
        let inner = Arc::new(inner);
        let theirs = Arc::clone(&inner);
        let spawned = thread::Builder::new().name("kafka-events".to_owned()).spawn(move || listen(theirs));
        spawned.map_err(|error| Error::Other(format!("cannot start a thread for Kafka: {error}")))?;
        let outlet = Outlet::new(&inner, &place.topic);
        let outlet = outlet.map_err(|error| error::failed(place, "start a producer", &error))?;
        let producer = Self { inner, outlet, patience, failpoints, sent: 0 };
        const INIT: &str = "shut out older producers";
        let topic = place.topic.clone();
        let init = producer.guarded(INIT, patience, move |inner, patience| {
            // The library looks for the coordinator at once, and without a connection half a second later again; the
            // leader of a partition is asked through one that lasts.
            let _ = inner.client().fetch_watermarks(&topic, 0, TIMEOUT);
            inner.init_transactions(patience)
        });
        init.map_err(|error| producer.explain(place, INIT, &error)).map(|()| producer)
    }

    /// What a failed step means. The first fatal error explains all that follow from it.
    pub(super) fn explain(&self, place: &Place, doing: &str, error: &KafkaError) -> Error {
        match (self.inner.client().fatal_error(), error) {
            (Some((code, words)), _) => error::answered(place, doing, code, &words),
            (None, KafkaError::Transaction(told)) if !is_silence(told.code()) => {
                error::answered(place, doing, told.code(), &told.string())
            }
            (None, error) => self.inner.context().listener.explain(place, doing, error),
        }
    }

    /// Begins a transaction; the brokers see it with its first message.
    pub(super) fn begin(&mut self) -> KafkaResult<()> {
        let mut delivered = self.inner.context().lock();
        *delivered = Delivered::new(delivered.lanes.len());
        drop(delivered);
        self.inner.begin_transaction()?;
        self.sent = 0;
        Ok(())
    }

    /// Hands the messages of a partition's rows over, counted under the lane of its number.
    pub(super) fn send_rows<'m>(
        &mut self,
        partition: u32,
        rows: usize,
        message: impl Fn(usize) -> KeyValue<'m>,
    ) -> KafkaResult<()> {
        let (mut row, mut watch) = (0, None);
        loop {
            let taken = self.outlet.send(partition, partition as usize, row..rows, &message)?;
            self.sent += taken as u64;
            row += taken;
            if row == rows {
                return Ok(());
            }
            self.wait_for_room(&mut watch)?;
        }
    }

    /// Hands one message over.
    pub(super) fn send(&mut self, message: Outgoing<'_>) -> KafkaResult<()> {
        let mut record = BaseRecord {
            topic: message.topic,
            partition: Some(message.partition.cast_signed()),
            payload: message.value,
            key: message.key,
            timestamp: None,
            headers: message.headers,
            delivery_opaque: message.lane,
        };
        let mut watch = None;
        loop {
            match self.inner.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.wait_for_room(&mut watch)?;
                    record = back;
                }
                Err((error, _)) => return Err(error),
            }
        }
        self.sent += 1;
        Ok(())
    }

    /// Only a full queue is tried again.
    fn wait_for_room(&self, watch: &mut Option<Watch>) -> KafkaResult<()> {
        let inner = &self.inner;
        thread::sleep(STEP);
        watch.get_or_insert_with(|| Watch::start(inner, self.patience)).check(inner)
    }

    /// Waits until every message sent in this transaction is stored; gives where the messages of each lane are.
    pub(super) fn deliver(&self, step: &'static str) -> KafkaResult<Vec<Option<Written>>> {
        self.failpoints.around(step, || {
            let inner = &self.inner;
            let mut watch = Watch::start(inner, self.patience);
            loop {
                let stored = self.outlet.flush(FLUSH)?;
                watch.check(inner)?;
                if stored {
                    break;
                }
            }
            let delivered = inner.context().lock();
            match delivered.count == self.sent {
                true => Ok(delivered.lanes.clone()),
                // The library reports each message once; one that was not reported may not be there.
                false => Err(KafkaError::MessageProduction(RDKafkaErrorCode::Fail)),
            }
        })
    }

    /// Commits. After an error nobody knows whether it happened.
    pub(super) fn commit(&self) -> KafkaResult<()> {
        self.guarded("commit", self.patience, BaseProducer::commit_transaction)
    }

    /// Takes the messages of the open transaction back, if the brokers answer soon; if not, the next producer does it.
    pub(super) fn abort(&self) -> KafkaResult<()> {
        self.guarded("abort", self.patience.min(ABORT), BaseProducer::abort_transaction)
    }

    /// Makes a call that waits for brokers. The library has a time-out of its own for each, which does not always
    /// hold; then thread and producer are left to themselves, and the next producer shuts them out.
    fn guarded(
        &self,
        step: &'static str,
        patience: Duration,
        call: impl FnOnce(&BaseProducer<Reports>, Timeout) -> KafkaResult<()> + Send + 'static,
    ) -> KafkaResult<()> {
        self.failpoints.around(step, || {
            let (tell, answer) = sync_channel(1);
            let theirs = Arc::clone(&self.inner);
            let waits = thread::Builder::new().name("kafka-call".to_owned());
            let spawned = waits.spawn(move || tell.send(call(&theirs, patience.into())));
            spawned.map_err(|_| KafkaError::Global(RDKafkaErrorCode::CriticalSystemResource))?;
            let silent = |_| Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut));
            answer.recv_timeout(patience + GRACE).unwrap_or_else(silent)
        })
    }
}

/// Hears delivery reports until nobody else has the producer, and then ends it here: that waits for what is on its way.
fn listen(inner: Arc<BaseProducer<Reports>>) {
    while Arc::strong_count(&inner) > 1 {
        inner.poll(LISTEN);
    }
    drop(inner);
}

/// Notices that messages fail, or that none is stored any more.
struct Watch {
    patience: Duration,
    count: u64,
    since: Instant,
}

impl Watch {
    fn start(inner: &BaseProducer<Reports>, patience: Duration) -> Self {
        Self { patience, count: inner.context().lock().count, since: Instant::now() }
    }

    fn check(&mut self, inner: &BaseProducer<Reports>) -> KafkaResult<()> {
        let delivered = inner.context().lock();
        if let Some(error) = &delivered.failed {
            return Err(error.clone());
        }
        if delivered.count > self.count {
            (self.count, self.since) = (delivered.count, Instant::now());
        } else if self.since.elapsed() > self.patience {
            return Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut));
        }
        Ok(())
    }
}

/// What the delivery reports of one transaction say.
struct Delivered {
    /// Messages reported, stored or not.
    count: u64,
    lanes: Vec<Option<Written>>,
    /// The first failure.
    failed: Option<KafkaError>,
}

impl Delivered {
    fn new(lanes: usize) -> Self {
        Self { count: 0, lanes: vec![None; lanes], failed: None }
    }

    fn note(&mut self, lane: usize, offset: i64) -> KafkaResult<()> {
        // A message that had to be sent twice may be stored at an offset that the answer to the second does not tell.
        let unknown = KafkaError::MessageProduction(RDKafkaErrorCode::OutOfOrderSequenceNumber);
        let offset = u64::try_from(offset).map_err(|_| unknown)?;
        let lane = self.lanes.get_mut(lane).ok_or(KafkaError::Canceled)?;
        lane.get_or_insert_with(|| Written::at(offset)).add(offset);
        Ok(())
    }
}

fn is_silence(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut)
}

/// Receives the delivery reports, and what the client says on the side.
struct Reports {
    listener: Listener,
    delivered: Mutex<Delivered>,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, Delivered> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, line: &str) {
        self.listener.log(level, fac, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.listener.error(error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, lane: usize) {
        let mut delivered = self.lock();
        delivered.count += 1;
        let noted = match result {
            Ok(message) => delivered.note(lane, message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        if let Err(error) = noted {
            delivered.failed.get_or_insert(error);
        }
    }
}
