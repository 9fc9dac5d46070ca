//! Answers that do not arrive, above all the one to the commit itself.

use super::proxy::{END_TXN, Loss, Proxy};
use super::{FLOW, Failpoints, Kafka, KafkaSink, Moment, TIMEOUT, World, batch, drive, run};
use operators_core::Error;
use operators_core::stage::Sink;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A topic, and a sink that reaches it through a proxy.
fn behind_proxy(name: &str) -> Option<(World, Proxy, KafkaSink)> {
    let world = World::new(name)?;
    let client: BaseConsumer = world.client().create().unwrap();
    let metadata = client.fetch_metadata(None, TIMEOUT).unwrap();
    let brokers = metadata.brokers().iter().map(|broker| (broker.host().to_owned(), broker.port() as u16));
    let proxy = Proxy::new(&brokers.collect::<Vec<_>>());
    let sink = KafkaSink(Arc::new(through(&world, &proxy).kafka()));
    // A cluster makes the topic of its transactions with the first of them.
    drop(sink.open(&run("zero")).unwrap());
    Some((world, proxy, sink))
}

/// One that soon gives up, for calls that are to fail.
fn hasty(world: &World, proxy: &Proxy, failpoints: Failpoints) -> KafkaSink {
    let patience = Duration::from_secs(2);
    KafkaSink(Arc::new(Kafka { patience, failpoints, ..through(world, proxy).kafka() }))
}

fn through(world: &World, proxy: &Proxy) -> World {
    World { brokers: proxy.brokers(), topic: world.topic.clone() }
}

/// Commits one batch, loses something at the end of the second's transaction, and goes on with a new run.
fn second_commit(loss: Loss) -> Option<(World, Result<(), Error>, u64)> {
    let (world, proxy, sink) = behind_proxy("lost")?;
    let patient = matches!(loss, Loss::Connection);
    let hasty = hasty(&world, &proxy, Failpoints::default());
    let mut committer = if patient { &sink } else { &hasty }.open(&run("one")).unwrap().committer;
    let first = batch(&sink, &run("one"), None, 0);
    let last = first.progress.clone();
    committer.commit(first).unwrap();
    proxy.lose(END_TXN, loss);
    let second = committer.commit(batch(&sink, &run("one"), Some(&last), 0));
    // The next run reaches the brokers another way: what was lost may come when it is too late.
    let committed = world.sink().open(&run("two")).unwrap().progress.unwrap().version.0 + 1;
    world.assert_holds(committed, &format!("{loss:?}"));
    assert_eq!(proxy.heal(), 1, "{loss:?} came to pass");
    drive(&sink, &run("three"), 4).unwrap();
    world.assert_holds(4, &format!("{loss:?}, and on"));
    Some((world, second, committed))
}

#[test]
fn a_commit_whose_answer_is_lost_counts() {
    let Some((_, outcome, committed)) = second_commit(Loss::Answer) else { return };
    let error = outcome.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { .. }), "only the next open knows: {error:?}");
    assert_eq!(committed, 2);
}

#[test]
fn a_commit_that_never_arrived_does_not_count() {
    let Some((_, outcome, committed)) = second_commit(Loss::Request) else { return };
    let error = outcome.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(committed, 1);
}

#[test]
fn a_commit_that_is_asked_for_twice_counts_once() {
    let Some((_, outcome, committed)) = second_commit(Loss::Connection) else { return };
    outcome.unwrap();
    assert_eq!(committed, 2);
}

/// Brokers that are stopped answer nothing, and no call waits for them without end.
#[test]
fn silence_comes_back_as_an_error() {
    let Some((world, proxy, sink)) = behind_proxy("silent") else { return };
    let assert_silent = |call: &str, error: Option<Error>| {
        let error = error.unwrap_or_else(|| panic!("{call} worked without brokers"));
        assert!(matches!(error, Error::Unavailable { .. }), "{call}: {error:?}");
        println!("{call}: {error}");
        proxy.heal();
    };
    drive(&sink, &run("one"), 1).unwrap();
    proxy.darken();
    assert_silent("progress", sink.progress(FLOW).err());
    proxy.darken();
    assert_silent("open", hasty(&world, &proxy, Failpoints::default()).open(&run("two")).err());
    // In the midst of the second transaction, which is the first after that of the opening.
    for step in ["store the messages", "store the progress", "commit"] {
        let (theirs, seen) = (proxy.clone(), AtomicU32::new(u32::from(step == "store the messages")));
        let failpoints = Failpoints::new(move |moment, at| {
            if (moment, at) == (Moment::Before, step) && seen.fetch_add(1, Ordering::SeqCst) == 1 {
                theirs.darken();
            }
            Ok(())
        });
        assert_silent(step, drive(&hasty(&world, &proxy, failpoints), &run("three"), 2).err());
        // What arrived late may have been the end of the transaction.
        let done = sink.open(&run("four")).unwrap().progress.map_or(0, |last| last.version.0 + 1);
        assert!(done == 1 || (done, step) == (2, "commit"), "{step}: {done}");
        world.assert_holds(done, step);
    }
    drive(&sink, &run("five"), 3).unwrap();
    world.assert_holds(3, "after the silence");
}
