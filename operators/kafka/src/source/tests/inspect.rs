//! What a topic tells of itself.

use super::*;
use operators_core::inspect::{Extent, Seen};
use std::net::TcpListener;

fn extents(source: &dyn Source) -> Vec<(u32, u64, u64)> {
    let extents = source.extents().unwrap();
    extents.iter().map(|Extent { partition, first, next, .. }| (*partition, first.0, next.0)).collect()
}

#[test]
fn the_extents_of_a_topic_end_with_what_is_committed() {
    let Some(world) = World::new("extents", 3, &[]) else { return };
    let source = world.source(json!({ "group": world.topic }));
    eventually(|| extents(&*source) == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]);
    world.send(0, &["a", "b", "c"]);
    world.delete_before(0, 2);
    let producer = world.transactional();
    world.transaction(&producer, 1, &["d"], true);
    eventually(|| extents(&*source) == [(0, 2, 3), (1, 0, 2), (2, 0, 0)]);
    producer.begin_transaction().unwrap();
    world.send_with(&producer, 2, &["e"]);
    producer.flush(TIMEOUT).unwrap();
    assert_eq!(extents(&*source), [(0, 2, 3), (1, 0, 2), (2, 0, 0)], "nothing that is open counts");
    producer.abort_transaction(TIMEOUT).unwrap();
    let reader_says = run(&*source, &checkpoint(&[(0, 2), (1, 0), (2, 0)])).unwrap().next;
    assert_eq!(reader_says, checkpoint(&extents(&*source).iter().map(|(p, _, next)| (*p, *next)).collect::<Vec<_>>()));
    assert_eq!(extents(&*World { topic: "none".into(), ..world }.source(json!({}))), []);
}

#[test]
fn a_topic_that_is_missing_or_other_than_thought_is_told() {
    let Some(world) = World::new("told", 2, &[]) else { return };
    eventually(|| world.source(json!({})).identity().unwrap().is_some());
    let seen = world.source(json!({})).connect("weather/test");
    assert!(matches!(&seen[0], Ok(Seen::Fine(text)) if text.contains("without login")), "{seen:?}");
    assert!(matches!(&seen[1], Ok(Seen::Fine(text)) if text.contains("partitions: 2")), "{seen:?}");
    let seen = world.source(json!({ "start": { "offsets": { "2": 0 } } })).connect("weather/test");
    assert!(matches!(&seen[1], Err(error) if error.to_string().contains("names partition 2")), "{seen:?}");
    let brokers = world.brokers.clone();
    let missing = World { brokers, topic: "none".into() };
    let seen = missing.source(json!({})).connect("weather/test");
    assert!(matches!(&seen[1], Ok(Seen::NotYet(text)) if text.contains("topic none")), "{seen:?}");
    // Nothing listens there any more.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = World { brokers: free.to_string(), topic: world.topic };
    let seen = nobody.source(json!({})).connect("weather/test");
    assert!(seen.len() == 1 && matches!(&seen[0], Err(Error::Unavailable { .. })), "{seen:?}");
}
