//! What a topic tells of itself.

use super::*;
use crate::inspect::Extent;

fn extents(source: &dyn Source) -> Vec<(u32, u64, u64)> {
    let extents = source.extents().unwrap();
    extents.iter().map(|Extent { partition, first, next }| (*partition, first.0, next.0)).collect()
}

#[test]
fn the_extents_of_a_topic_end_with_what_is_committed() {
    let Some(world) = World::new("extents", 3, &[]) else { return };
    let source = world.source(json!({ "group": world.topic }));
    assert_eq!(extents(&*source), [(0, 0, 0), (1, 0, 0), (2, 0, 0)]);
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
