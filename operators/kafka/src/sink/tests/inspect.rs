//! What the sink says of its cluster, and that saying it neither makes anything nor shuts anybody out.

use super::{Context, Create, FLOW, KafkaConfig, PARTITIONS, World, batch, drive, run, schema};
use operators_core::inspect::{Inspect, Seen};
use operators_core::stage::{Audit, Sink};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::sync::Arc;
use std::time::SystemTime;

fn with(world: &World, create: Option<Create>) -> super::KafkaSink {
    let config = KafkaConfig { create, ..world.config() };
    super::KafkaSink(Arc::new(config.kafka(&schema(), Some(PARTITIONS), &Context { dir: "/".into() }).unwrap()))
}

fn wrong(seen: &[operators_core::Result<Seen>]) -> Vec<String> {
    seen.iter().filter_map(|seen| seen.as_ref().err()).map(ToString::to_string).collect()
}

#[test]
fn what_is_missing_is_told_and_not_made() {
    let Some(world) = World::new("asked") else { return };
    let seen = world.sink().connect(FLOW);
    assert!(matches!(&seen[0], Ok(Seen::Fine(text)) if text.contains("1 broker answers")), "{seen:?}");
    assert!(matches!(&seen[1], Ok(Seen::NotYet(text)) if text.contains(&world.topic)), "{seen:?}");
    assert!(matches!(&seen[2], Ok(Seen::Untold(text)) if text.contains("transactional id")), "{seen:?}");
    let seen = wrong(&with(&world, None).connect(FLOW));
    assert!(seen.len() == 1 && seen[0].contains("no such topic"), "{seen:?}");
    // The brokers are asked whether it could be made, and say what is wrong with it.
    let seen = wrong(&with(&world, Some(Create { partitions: None, replication: Some(7) })).connect(FLOW));
    assert!(seen.len() == 1 && seen[0].contains("brokers do not allow"), "{seen:?}");
    assert_eq!(world.sink().holdings(FLOW).unwrap().committed_at, None);
    let client: BaseConsumer = world.client().create().unwrap();
    let topics = client.fetch_metadata(None, super::TIMEOUT).unwrap();
    assert!(topics.topics().iter().all(|topic| !topic.name().contains(&world.topic)), "something was made");
}

#[test]
fn a_run_goes_on_while_it_is_asked_about() {
    let Some(world) = World::new("undisturbed") else { return };
    let (one, before) = (run("one"), SystemTime::now());
    let sink = world.sink();
    let mut opened = sink.open(&one).unwrap();
    let first = batch(&sink, &one, None, 1);
    let last = first.progress.clone();
    opened.committer.commit(first).unwrap();
    let seen = world.sink().connect(FLOW);
    let fine = seen.iter().filter(|seen| matches!(seen, Ok(Seen::Fine(_)))).count();
    assert!(wrong(&seen).is_empty() && fine == 3, "{seen:?}");
    let at = world.sink().holdings(FLOW).unwrap().committed_at.unwrap();
    assert!(before <= at + std::time::Duration::from_secs(1) && at <= SystemTime::now(), "{at:?}");
    opened.committer.commit(batch(&sink, &one, Some(&last), 2)).unwrap();
    let then = world.sink().holdings(FLOW).unwrap().committed_at.unwrap();
    assert!(then >= at);
    drop(opened);
    drive(&sink, &run("two"), 3).unwrap();
    // One more entry of an owner does not hide when the last commit was made.
    drop(world.sink().open(&run("three")).unwrap());
    assert!(world.sink().holdings(FLOW).unwrap().committed_at.unwrap() >= then);
    world.remove();
}
