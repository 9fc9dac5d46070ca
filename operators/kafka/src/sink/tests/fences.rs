//! Older runs: those that wake up late, those whose transaction took too long, and two that start at once.

use super::{FLOW, Failpoints, Kafka, KafkaSink, Moment, TIMEOUT, World, batch, drive, run};
use operators_core::Error;
use operators_core::stage::{Opened, Sink};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

const TRANSACTION_TIMEOUT: &str = "transaction.timeout.ms";

/// Does something once, at one point of a transaction after the first.
fn at(point: (Moment, &'static str), work: impl FnOnce() + Send + 'static) -> Failpoints {
    let work = Mutex::new(Some(work));
    let seen = Mutex::new(0);
    Failpoints::new(move |moment, step| {
        if (moment, step) == point {
            let mut seen = seen.lock().unwrap();
            *seen += 1;
            // The first is of the entry by which the run takes over, where it has such a step.
            let first = if step == "store the messages" { 1 } else { 2 };
            if *seen == first
                && let Some(work) = work.lock().unwrap().take()
            {
                work();
            }
        }
        Ok(())
    })
}

fn assert_fenced(error: &Error, late: &str, owner: &str) {
    let Error::Fenced { place, reason } = error else { panic!("not fenced: {error:?}") };
    assert!(place.contains("topic") && reason.contains(late) && reason.contains(owner), "{reason}");
    assert!(reason.contains("version"), "{reason}");
}

#[test]
fn a_run_that_wakes_up_late_commits_nothing() {
    let Some(world) = World::new("zombie") else { return };
    let sink = world.sink();
    let Opened { mut committer, .. } = sink.open(&run("old")).unwrap();
    let first = batch(&sink, &run("old"), None, 0);
    let last = first.progress.clone();
    committer.commit(first).unwrap();
    let newer = sink.open(&run("new")).unwrap();
    assert_eq!(newer.progress.as_ref(), Some(&last));
    let error = committer.commit(batch(&sink, &run("old"), Some(&last), 1)).unwrap_err();
    assert_fenced(&error, "run old", "run new");
    world.assert_holds(1, "the late run's rows are seen");
    let error = committer.commit(batch(&sink, &run("old"), Some(&last), 2)).unwrap_err();
    assert!(matches!(error, Error::Other(_)), "it is over: {error:?}");
    let mut committer = newer.committer;
    committer.commit(batch(&sink, &run("new"), Some(&last), 0)).unwrap();
    world.assert_holds(2, "after the newer run's commit");
}

/// The newer run opens in the midst of the older one's transaction, at each of its points.
#[test]
fn a_transaction_that_is_open_when_another_run_takes_over_is_aborted() {
    let steps = ["store the messages", "store the progress", "commit"];
    let points = steps.into_iter().flat_map(|step| [(Moment::Before, step), (Moment::After, step)]);
    for point in points {
        let Some(world) = World::new("overtaken") else { return };
        let newer: Arc<Mutex<Option<Opened>>> = Arc::default();
        let (theirs, sink) = (Arc::clone(&newer), world.sink());
        let failpoints = at(point, move || *theirs.lock().unwrap() = Some(sink.open(&run("new")).unwrap()));
        let older = drive(&world.sink_with(failpoints), &run("old"), 1);
        let newer = newer.lock().unwrap().take().unwrap_or_else(|| panic!("{point:?} was not reached"));
        let done = newer.progress.as_ref().map_or(0, |last| last.version.0 + 1);
        match older {
            Ok(_) => assert_eq!((point, done), ((Moment::After, "commit"), 1)),
            Err(error) => {
                assert_fenced(&error, "run old", "run new");
                assert_eq!(done, 0, "{point:?}");
            }
        }
        world.assert_holds(done, &format!("{point:?}"));
        let sink = world.sink();
        let mut committer = newer.committer;
        committer.commit(batch(&sink, &run("new"), newer.progress.as_ref(), 0)).unwrap();
        world.assert_holds(done + 1, &format!("{point:?}, after the newer run's commit"));
    }
}

/// Offset behind the last message that readers see.
fn stable_end(world: &World, partition: i32) -> i64 {
    let client: BaseConsumer = world.client().create().unwrap();
    client.fetch_watermarks(&world.topic, partition, TIMEOUT).unwrap().1
}

/// Waits until the brokers have ended the transaction that is open by then.
fn expiry(world: &World) -> impl FnOnce() + Send + use<> {
    let before = stable_end(world, 0);
    let reader = World { brokers: world.brokers.clone(), topic: world.topic.clone() };
    // The end moves over the messages of the transaction when it is over.
    move || {
        while stable_end(&reader, 0) == before {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Stopped for longer than the transaction may take, and no other run: the brokers abort, and the flow may go on from
/// its last commit.
#[test]
fn a_transaction_that_took_too_long_is_no_other_run() {
    let Some(world) = World::new("expired") else { return };
    drive(&world.sink(), &run("before"), 1).unwrap();
    let failpoints = at((Moment::After, "store the messages"), expiry(&world));
    let kafka = Kafka { failpoints, ..world.kafka_with(TRANSACTION_TIMEOUT, 5000) };
    let error = drive(&KafkaSink(Arc::new(kafka)), &run("slow"), 2).unwrap_err();
    let Error::Unavailable { reason, .. } = &error else { panic!("{error:?}") };
    assert!(["commit.bytes", "commit.rows", TRANSACTION_TIMEOUT].iter().all(|name| reason.contains(name)), "{reason}");
    world.assert_holds(1, "half a transaction is seen");
    drive(&world.sink(), &run("after"), 3).unwrap();
    world.assert_holds(3, "after the restart");
}

/// Stopped for longer than the transaction may take, and gone on with when another run has taken over and committed.
#[test]
fn a_transaction_that_took_too_long_is_lost_to_the_run_that_took_over() {
    for step in ["store the messages", "store the progress"] {
        let Some(world) = World::new("slept") else { return };
        drive(&world.sink(), &run("before"), 1).unwrap();
        let (expired, newer) = (expiry(&world), world.sink());
        let failpoints = at((Moment::After, step), move || {
            expired();
            drive(&newer, &run("new"), 3).unwrap();
        });
        let kafka = Kafka { failpoints, ..world.kafka_with(TRANSACTION_TIMEOUT, 5000) };
        let error = drive(&KafkaSink(Arc::new(kafka)), &run("old"), 4).unwrap_err();
        assert_fenced(&error, "run old", "run new");
        world.assert_holds(3, step);
        drive(&world.sink(), &run("after"), 4).unwrap();
        world.assert_holds(4, &format!("{step}, and on"));
    }
}

#[test]
fn resting_for_longer_than_a_transaction_may_take_is_nothing() {
    let Some(world) = World::new("idle") else { return };
    let sink = KafkaSink(Arc::new(world.kafka_with(TRANSACTION_TIMEOUT, 5000)));
    let mut committer = sink.open(&run("calm")).unwrap().committer;
    let first = batch(&sink, &run("calm"), None, 0);
    let last = first.progress.clone();
    committer.commit(first).unwrap();
    std::thread::sleep(Duration::from_secs(7));
    committer.commit(batch(&sink, &run("calm"), Some(&last), 0)).unwrap();
    world.assert_holds(2, "after the rest");
}

/// Both at once, in threads: however they meet, the versions stay dense and the rows are those of one copy.
#[test]
fn copies_that_race_leave_what_one_would() {
    /// Enough that the later copy opens while the other one commits.
    const COMMITS: u64 = 60;
    let (mut fenced, mut passing) = (0, 0);
    for round in 0..30 {
        // A copy that could not even open goes on after the other, and has not met it.
        if round >= 3 && fenced > 0 {
            break;
        }
        let Some(world) = World::new("race") else { return };
        let barrier = Barrier::new(2);
        let lives = std::thread::scope(|scope| {
            let lives = ["left", "right"].map(|id| {
                let (barrier, world) = (&barrier, &world);
                scope.spawn(move || {
                    barrier.wait();
                    // Like the engine: what passes is tried again.
                    loop {
                        match drive(&world.sink(), &run(id), COMMITS) {
                            Err(Error::Unavailable { .. }) => {}
                            done => return done.map(drop),
                        }
                    }
                })
            });
            lives.map(|life| life.join().unwrap())
        });
        for life in lives {
            match life {
                Ok(()) => passing += 1,
                Err(Error::Fenced { .. }) => fenced += 1,
                Err(error) => panic!("round {round}: {error:?}"),
            }
        }
        let done = world.sink().progress(FLOW).unwrap().map_or(0, |last| last.version.0 + 1);
        world.assert_holds(done, &format!("round {round}"));
        assert_eq!(done, COMMITS, "round {round}: the last owner finishes");
    }
    assert!(fenced > 0, "the copies never met");
    println!("{passing} copies came through, {fenced} were fenced off");
}
