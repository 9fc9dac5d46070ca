//! Topic ids, what a user may do with a topic, undecided ends, and settings with the error in their place, which only
//! the C interface of librdkafka has.
#![allow(unsafe_code)]

use rdkafka::TopicPartitionList;
use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{IsError, KafkaError, KafkaResult};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::ptr;
use std::slice;
use std::time::{Duration, Instant};

/// What a topic is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    /// Another one after a topic was deleted and created again; `None` before Kafka 2.8.
    pub(crate) id: Option<String>,
    pub(crate) partitions: u32,
}

/// What may be done with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Read,
    Write,
    DescribeConfigs,
}

/// Frees a C object when it goes out of scope.
struct Owned<T> {
    ptr: *mut T,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// # Safety
    /// `ptr` is null or an object that nobody else frees, and `free` is how.
    unsafe fn new(ptr: *mut T, free: unsafe extern "C" fn(*mut T)) -> KafkaResult<Self> {
        if ptr.is_null() {
            return Err(KafkaError::AdminOpCreation("librdkafka made nothing".to_owned()));
        }
        Ok(Self { ptr, free })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` was told that this is how the object is freed, and that nobody else does.
        unsafe { (self.free)(self.ptr) }
    }
}

/// How often the one who asks is asked whether to go on waiting.
const SLICE: Duration = Duration::from_millis(100);

/// Asks the cluster about one topic; `None` where it does not exist. Waits while `go_on` says so.
pub(super) fn topic<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    timeout: Duration,
    go_on: impl Fn() -> bool,
) -> KafkaResult<Option<Topic>> {
    // SAFETY: the event answers this very request.
    unsafe { described(describe(client, name, timeout, go_on, false)?.ptr) }
}

/// Asks what this user may do with a topic; `None` where it does not exist.
pub(super) fn operations<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    timeout: Duration,
    go_on: impl Fn() -> bool,
) -> KafkaResult<Option<BTreeSet<Operation>>> {
    // SAFETY: the event answers this very request.
    unsafe { allowed(describe(client, name, timeout, go_on, true)?.ptr) }
}

/// Asks for the description of one topic, with what this user may do with it or without.
fn describe<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    timeout: Duration,
    go_on: impl Fn() -> bool,
    operations: bool,
) -> KafkaResult<Owned<c::rd_kafka_event_t>> {
    let name = CString::new(name)?;
    let mut names = [name.as_ptr()];
    let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    // SAFETY: `names` holds one string that outlives the call copying it; the collection is freed once, and the
    // request has copied it by then. The request is of the kind that is named, which has that option.
    unsafe {
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let topics = Owned::new(topics, c::rd_kafka_TopicCollection_destroy)?;
        ask(client, kind, timeout, go_on, |rk, options, queue| {
            let set = c::rd_kafka_AdminOptions_set_include_authorized_operations(options, operations.into());
            // An error would say that the kind of request does not have this option.
            drop(Owned::new(set, c::rd_kafka_error_destroy));
            c::rd_kafka_DescribeTopics(rk, topics.ptr, options, queue);
        })
    }
}

/// Asks for all settings of a topic that have a value.
pub(super) fn settings<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    timeout: Duration,
    go_on: impl Fn() -> bool,
) -> KafkaResult<BTreeMap<String, String>> {
    let name = CString::new(name)?;
    let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
    let of_a_topic = c::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    // SAFETY: the name outlives the call copying it, and so do the resource and the list of it; the resource is freed
    // once. The request is of the kind that is named, and so is what reads its answer.
    unsafe {
        let resource = c::rd_kafka_ConfigResource_new(of_a_topic, name.as_ptr());
        let resource = Owned::new(resource, c::rd_kafka_ConfigResource_destroy)?;
        let mut resources = [resource.ptr];
        let event = ask(client, kind, timeout, go_on, |rk, options, queue| {
            c::rd_kafka_DescribeConfigs(rk, resources.as_mut_ptr(), resources.len(), options, queue);
        })?;
        configured(event.ptr)
    }
}

/// Asks where each of these partitions ends, with all that is written and not decided yet.
pub(super) fn written<C: ClientContext>(
    client: &Client<C>,
    partitions: &TopicPartitionList,
    timeout: Duration,
    go_on: impl Fn() -> bool,
) -> KafkaResult<BTreeMap<u32, u64>> {
    let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
    // SAFETY: the list is borrowed for the whole call, and the request copies it. The request is of the kind that is
    // named, and so is what reads its answer.
    unsafe {
        let event = ask(client, kind, timeout, go_on, |rk, options, queue| {
            c::rd_kafka_ListOffsets(rk, partitions.ptr(), options, queue);
        })?;
        listed(event.ptr)
    }
}

/// Sends a request and waits for its answer.
///
/// # Safety
/// `send` makes one request of this kind with the options, and lets its answer come to the queue.
unsafe fn ask<C: ClientContext>(
    client: &Client<C>,
    kind: c::rd_kafka_admin_op_t,
    timeout: Duration,
    go_on: impl Fn() -> bool,
    send: impl FnOnce(*mut c::rd_kafka_t, *mut c::rd_kafka_AdminOptions_t, *mut c::rd_kafka_queue_t),
) -> KafkaResult<Owned<c::rd_kafka_event_t>> {
    let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: `rk` lives as long as `client`, which is borrowed. Every object made here is owned by one `Owned`, and
    // they are freed in the reverse order, the queue last: what the cluster may still answer after the time-out goes
    // to a queue that librdkafka counts references to.
    unsafe {
        let queue = Owned::new(c::rd_kafka_queue_new(rk), c::rd_kafka_queue_destroy)?;
        let options = Owned::new(c::rd_kafka_AdminOptions_new(rk, kind), c::rd_kafka_AdminOptions_destroy)?;
        let set = c::rd_kafka_AdminOptions_set_request_timeout(options.ptr, millis(timeout), ptr::null_mut(), 0);
        if set.is_error() {
            return Err(KafkaError::AdminOp(set.into()));
        }
        send(rk, options.ptr, queue.ptr);
        // The request has a time-out of its own that says more; this one is for a library that does not keep it.
        let until = Instant::now() + timeout + Duration::from_secs(1);
        let mut event: *mut c::rd_kafka_event_t = ptr::null_mut();
        while event.is_null() && Instant::now() < until && go_on() {
            event = c::rd_kafka_queue_poll(queue.ptr, millis(SLICE));
        }
        if event.is_null() {
            return Err(KafkaError::AdminOp(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT.into()));
        }
        let event = Owned::new(event, c::rd_kafka_event_destroy)?;
        let code = c::rd_kafka_event_error(event.ptr);
        if code.is_error() { Err(KafkaError::AdminOp(code.into())) } else { Ok(event) }
    }
}

/// The description of the topic; `None` where it does not exist. It lives as long as the event.
///
/// # Safety
/// `event` is the event that answers a DescribeTopics request for one topic.
unsafe fn description(event: *mut c::rd_kafka_event_t) -> KafkaResult<Option<*const c::rd_kafka_TopicDescription_t>> {
    let unknown = |code| code == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    // SAFETY: the event is alive, and all that is read here belongs to it.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = if result.is_null() {
            ptr::null_mut()
        } else {
            c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count)
        };
        if topics.is_null() || count != 1 {
            return Err(KafkaError::AdminOpCreation(format!("{count} answers to one question")));
        }
        let topic = *topics;
        let code = c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic));
        if unknown(code) {
            return Ok(None);
        }
        if code.is_error() { Err(KafkaError::AdminOp(code.into())) } else { Ok(Some(topic)) }
    }
}

/// Reads what this user may do with a topic.
///
/// # Safety
/// As for [`description`].
unsafe fn allowed(event: *mut c::rd_kafka_event_t) -> KafkaResult<Option<BTreeSet<Operation>>> {
    use c::rd_kafka_AclOperation_t as Acl;
    // SAFETY: the event is alive, and so is the list, of as many numbers as the library says.
    unsafe {
        let Some(topic) = description(event)? else { return Ok(None) };
        let mut count = 0;
        let list = c::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        // As numbers: a later library may know more operations than are named here.
        let list = if list.is_null() { &[] } else { slice::from_raw_parts(list.cast::<u32>(), count) };
        let named = [
            (Operation::Read, Acl::RD_KAFKA_ACL_OPERATION_READ),
            (Operation::Write, Acl::RD_KAFKA_ACL_OPERATION_WRITE),
            (Operation::DescribeConfigs, Acl::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS),
        ];
        let may = named.into_iter().filter(|(_, number)| list.contains(&(*number as u32)));
        Ok(Some(may.map(|(operation, _)| operation).collect()))
    }
}

/// Reads what was answered about a topic.
///
/// # Safety
/// As for [`description`].
unsafe fn described(event: *mut c::rd_kafka_event_t) -> KafkaResult<Option<Topic>> {
    // SAFETY: the event is alive, and all that is read here belongs to it: the description, the id and its text.
    unsafe {
        let Some(topic) = description(event)? else { return Ok(None) };
        let mut partitions = 0;
        c::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let id = c::rd_kafka_TopicDescription_topic_id(topic);
        let is_zero = id.is_null()
            || c::rd_kafka_Uuid_most_significant_bits(id) == 0 && c::rd_kafka_Uuid_least_significant_bits(id) == 0;
        let id = (!is_zero).then(|| c::rd_kafka_Uuid_base64str(id));
        let id = id.filter(|id| !id.is_null()).map(|id| CStr::from_ptr(id).to_string_lossy().into_owned());
        Ok(Some(Topic { id, partitions: u32::try_from(partitions).unwrap_or(u32::MAX) }))
    }
}

/// Reads what was answered about the settings of a topic.
///
/// # Safety
/// `event` is the event that answers a DescribeConfigs request for one resource.
unsafe fn configured(event: *mut c::rd_kafka_event_t) -> KafkaResult<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    // SAFETY: the event is alive, and all that is read here belongs to it; the library gives so many entries.
    unsafe {
        let result = c::rd_kafka_event_DescribeConfigs_result(event);
        let mut count = 0;
        let resources = if result.is_null() {
            ptr::null_mut()
        } else {
            c::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count)
        };
        if resources.is_null() || count != 1 {
            return Err(KafkaError::AdminOpCreation(format!("{count} answers to one question")));
        }
        let code = c::rd_kafka_ConfigResource_error(*resources);
        if code.is_error() {
            return Err(KafkaError::AdminOp(code.into()));
        }
        let mut count = 0;
        let entries = c::rd_kafka_ConfigResource_configs(*resources, &raw mut count);
        for index in 0..if entries.is_null() { 0 } else { count } {
            let entry = *entries.add(index);
            let (name, value) = (c::rd_kafka_ConfigEntry_name(entry), c::rd_kafka_ConfigEntry_value(entry));
            if !value.is_null() {
                let text = |text| CStr::from_ptr(text).to_string_lossy().into_owned();
                settings.insert(text(name), text(value));
            }
        }
    }
    Ok(settings)
}

/// Reads what was answered about the ends of partitions.
///
/// # Safety
/// `event` is the event that answers a ListOffsets request.
unsafe fn listed(event: *mut c::rd_kafka_event_t) -> KafkaResult<BTreeMap<u32, u64>> {
    let mut ends = BTreeMap::new();
    // SAFETY: the event is alive, and all that is read here belongs to it; the library gives so many entries.
    unsafe {
        let result = c::rd_kafka_event_ListOffsets_result(event);
        let mut count = 0;
        let infos = if result.is_null() {
            ptr::null_mut()
        } else {
            c::rd_kafka_ListOffsets_result_infos(result, &raw mut count)
        };
        for index in 0..if infos.is_null() { 0 } else { count } {
            let found = &*c::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(index));
            if found.err.is_error() {
                return Err(KafkaError::AdminOp(found.err.into()));
            }
            ends.insert(found.partition.cast_unsigned(), found.offset.cast_unsigned());
        }
    }
    Ok(ends)
}
