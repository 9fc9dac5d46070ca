//! What the brokers let a user do, asked of real ones.
#![allow(unsafe_code)]

use super::*;
use crate::client::config::{Brokers, Security};
use crate::client::{Place, topic as topics};
use operators_core::config::Context;
use operators_core::error::Error;
use rdkafka::bindings as c;
use std::ffi::CString;
use std::ptr;
use std::thread;
use std::time::Duration;
use testkit::servers;

/// The topic at another listener of the shared broker.
fn place(port: u16, topic: &str, security: Option<&Security>) -> Option<Place> {
    let brokers = servers::kafka()?;
    let (host, plain) = brokers.rsplit_once(':').unwrap();
    let brokers = format!("{host}:{}", plain.parse::<u16>().unwrap() + port);
    let brokers: Brokers = serde_json::from_value(brokers.into()).unwrap();
    Some(Place::new(&brokers, security, &Default::default(), topic, &Context { dir: "/".into() }).unwrap())
}

/// Lets a user read a topic; from then on nobody else may do anything with it.
fn grant_read(place: &Place, user: &str) {
    let client = Client::new(place, &[]).unwrap();
    let text = |text: &str| CString::new(text).unwrap();
    let (name, user, host) = (text(&place.topic), text(&format!("User:{user}")), text("*"));
    // SAFETY: the client outlives all that is made with it; strings live to the end of the block, and each object is
    // freed once, after the answer.
    unsafe {
        let rk = client.consumer.client().native_ptr();
        let mut binding = c::rd_kafka_AclBinding_new(
            c::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
            name.as_ptr(),
            c::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
            user.as_ptr(),
            host.as_ptr(),
            c::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ,
            c::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
            ptr::null_mut(),
            0,
        );
        let queue = c::rd_kafka_queue_new(rk);
        c::rd_kafka_CreateAcls(rk, &raw mut binding, 1, ptr::null(), queue);
        let event = c::rd_kafka_queue_poll(queue, 30_000);
        assert!(!event.is_null(), "no answer");
        let mut count = 0;
        let results = c::rd_kafka_CreateAcls_result_acls(c::rd_kafka_event_CreateAcls_result(event), &raw mut count);
        assert!(count == 1 && c::rd_kafka_acl_result_error(*results).is_null(), "not granted");
        c::rd_kafka_event_destroy(event);
        c::rd_kafka_queue_destroy(queue);
        c::rd_kafka_AclBinding_destroy(binding);
    }
}

#[test]
fn what_a_user_may_not_do_is_told_before_it_is_tried() {
    let Some(plain) = place(0, &testkit::unique("granted"), None) else { return };
    let variable = |name| servers::ALL.variable("kafka", name).unwrap();
    let (user, password) = (variable("KAFKA_USER"), variable("KAFKA_PASSWORD"));
    let sasl = serde_json::json!({ "mechanism": "scram_sha_256", "user": user, "password": password });
    let security: Security = serde_json::from_value(serde_json::json!({ "sasl": sasl })).unwrap();
    let logged_in = Client::new(&place(2, &plain.topic, Some(&security)).unwrap(), &[]).unwrap();
    topics::create(&plain, 2, Some(1), &[]).unwrap();
    logged_in.appears().unwrap();
    let brokers = brokers(&logged_in);
    let login = format!("logged in as {user} by SCRAM-SHA-256");
    assert!(
        matches!(&brokers, Ok(Seen::Fine(text)) if text.contains(&login) && !text.contains(&password)),
        "{brokers:?}"
    );

    let needed = [Operation::Read, Operation::Write, Operation::DescribeConfigs];
    assert!(matches!(topic(&logged_in, &needed), Ok(Seen::Fine(_))));
    grant_read(&plain, &user);
    // Brokers learn of it a moment later.
    let refused = (0..100).find_map(|_| {
        thread::sleep(Duration::from_millis(100));
        topic(&logged_in, &needed).err()
    });
    let error = refused.expect("never refused");
    let text = error.to_string();
    assert!(matches!(error, Error::Refused { .. }) && text.contains("grant WRITE and DESCRIBE_CONFIGS"), "{text}");
    let reading = topic(&logged_in, &[Operation::Read]);
    assert!(matches!(&reading, Ok(Seen::Fine(text)) if text.ends_with("allowed: READ")), "{reading:?}");
    let settings = logged_in.settings(["cleanup.policy"]).unwrap_err();
    assert!(matches!(settings, Error::Refused { .. }) && settings.to_string().contains("grant it"), "{settings}");
    assert_eq!(logged_in.is_compacted().unwrap(), None);
    // Those without login are the brokers' own masters here.
    let master = Client::new(&plain, &[]).unwrap();
    assert!(topic(&master, &needed).is_ok());
    assert_eq!(master.is_compacted().unwrap(), Some(false));
}

#[test]
fn what_a_broker_does_not_know_yet_is_not_taken_for_its_answer() {
    let Some(place) = place(0, &testkit::unique("unknown"), None) else { return };
    let ask = || -> Result<_> {
        let client = Client::new(&place, &[])?;
        Ok((client.settings(["cleanup.policy"])?, client.replication()?, client.operations()?))
    };
    let error = ask().unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    thread::scope(|scope| {
        let patiently = || {
            testkit::wait_for("an answer", || match ask() {
                Err(Error::Unavailable { .. }) => None,
                answered => Some(answered),
            })
        };
        let asked: Vec<_> = (0..3).map(|_| scope.spawn(patiently)).collect();
        thread::sleep(Duration::from_millis(500));
        topics::create(&place, 1, Some(1), &[("cleanup.policy", "compact")]).unwrap();
        for asked in asked {
            let ([policy], copies, allowed) = asked.join().unwrap().unwrap();
            assert_eq!((policy.as_deref(), copies), (Some("compact"), 1));
            assert!(allowed.contains(&Operation::Write));
        }
    });
}
