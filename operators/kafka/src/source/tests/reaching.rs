//! Reaching a cluster: over TLS, with a password, or not at all.

use super::*;
use crate::client::batch::SETTINGS;

/// The shared broker's other listeners, which lie behind the plain one.
fn secure(name: &str, port: u16) -> Option<(World, Value)> {
    let world = World::new(name, 1, &[])?;
    world.send(0, &["a"]);
    let variable = |name| servers::ALL.variable("kafka", name).unwrap();
    let (host, plain) = world.brokers.rsplit_once(':').unwrap();
    let brokers = format!("{host}:{}", plain.parse::<u16>().unwrap() + port);
    let certificates = variable("KAFKA_CERTIFICATES");
    let known = json!({
        "ca": format!("{certificates}/ca.pem"),
        "cert": format!("{certificates}/client.pem"),
        "key": format!("{certificates}/client.key"),
        "user": variable("KAFKA_USER"),
        "password": variable("KAFKA_PASSWORD"),
    });
    Some((World { brokers, ..world }, known))
}

#[test]
fn tls_with_and_without_a_client_certificate() {
    let Some((world, known)) = secure("tls", 1) else { return };
    for tls in [
        json!({ "ca": known["ca"] }),
        json!({ "ca": known["ca"], "cert": known["cert"], "key": known["key"] }),
        json!({ "ca": known["ca"], "verify_hostname": false }),
    ] {
        let source = world.source(json!({ "security": { "tls": tls } }));
        assert_eq!(run(&*source, &Checkpoint::default()).unwrap().values(0), ["a"], "{tls}");
    }
    // The system's authorities know nothing of ours.
    let error = run_into_error(&*world.source(json!({ "security": { "tls": {} } })), &Checkpoint::default());
    assert!(matches!(error, Error::Unavailable { .. }) && error.to_string().contains("certificate"), "{error}");
}

#[test]
fn every_mechanism_logs_in_and_a_wrong_password_is_said_without_it() {
    let Some((plain, known)) = secure("login", 2) else { return };
    let (_, port) = plain.brokers.rsplit_once(':').unwrap();
    let over_tls = format!("127.0.0.1:{}", port.parse::<u16>().unwrap() + 1);
    let over_tls = World { brokers: over_tls, topic: plain.topic.clone() };
    let mut logins = 0;
    for mechanism in ["plain", "scram_sha_256", "scram_sha_512"] {
        for (world, tls) in [(&plain, json!(null)), (&over_tls, json!({ "ca": known["ca"] }))] {
            let security = |password: &Value| {
                let sasl = json!({ "mechanism": mechanism, "user": known["user"], "password": password });
                json!({ "security": { "tls": tls, "sasl": sasl } })
            };
            let source = world.source(security(&known["password"]));
            assert_eq!(run(&*source, &Checkpoint::default()).unwrap().values(0), ["a"], "{mechanism} {tls}");
            let source = world.source(security(&json!("hunter2")));
            let error = run_into_error(&*source, &Checkpoint::default());
            refused(&error, &["uthentication failed", "`security`"]);
            assert!(!format!("{error} {error:?}").contains("hunter2"));
            logins += 1;
        }
    }
    println!("{logins} ways to log in");
}

#[test]
fn passwords_never_show() {
    let world = World { brokers: "127.0.0.1:1".into(), topic: "t".into() };
    let sasl = json!({ "mechanism": "plain", "user": "u", "password": "hunter2" });
    let config = world.config(json!({ "security": { "sasl": sasl, "tls": { "key_password": "hunter3" } } }));
    let built = config.build(&Context { dir: "/".into() }).unwrap();
    let shown = format!("{config:?} {} {:?} {}", built.about.summary, built.about, built.place);
    assert!(!shown.contains("hunter"), "{shown}");
    let security = config.security.as_ref();
    let place = Place::new(&config.brokers, security, &config.options, "t", &Context { dir: "/".into() }).unwrap();
    assert!(!format!("{place:?} {place}").contains("hunter"));
}

#[test]
fn a_broker_that_is_not_there_is_unavailable() {
    let world = World { brokers: "127.0.0.1:1".into(), topic: "t".into() };
    let error = run_into_error(&*world.source(json!({})), &Checkpoint::default());
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("topic t on 127.0.0.1:1"), "{error}");
}

#[test]
fn a_broker_that_never_answers_is_unavailable() {
    // The system takes the connection, and nobody ever reads from it: a stopped process looks like this.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World { brokers: deaf.local_addr().unwrap().to_string(), topic: "t".into() };
    let error = run_into_error(&*world.source(json!({})), &Checkpoint::default());
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[test]
fn how_a_consumer_reads_is_a_file_s_to_set_where_nothing_rests_on_it() {
    let setting = |world: &World, options: Value, name: &str| {
        let config = world.config(json!({ "options": options }));
        let place = Place::new(&config.brokers, None, &config.options, "t", &Context { dir: "/".into() }).unwrap();
        place.reading(SETTINGS).create_native_config().unwrap().get(name).unwrap()
    };
    let world = World { brokers: "127.0.0.1:1".into(), topic: "t".into() };
    // The default is 1000, with which a fast reader of small messages sleeps most of the time.
    assert_eq!(setting(&world, json!({}), "fetch.queue.backoff.ms"), "1");
    assert_eq!(setting(&world, json!({ "fetch.queue.backoff.ms": 7 }), "fetch.queue.backoff.ms"), "7");
    assert_eq!(setting(&world, json!({}), "isolation.level"), "read_committed");
    for (name, value) in SETTINGS {
        assert_eq!(setting(&world, json!({}), name), *value, "{name}");
    }
}
