//! Every crash point: before and after each step that a broker sees, the program ends or is told an error; and pairs of
//! such points.

use super::{Code, FLOW, Failpoints, KafkaError, Moment, World, drive, run};
use operators_core::stage::Sink;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// The program ends there.
    Crash,
    /// The brokers' answer is an error: the step was not done, or was, as the point says.
    Error,
}

/// The end of a program.
struct Crash;

type Points = Arc<Mutex<Vec<(Moment, &'static str)>>>;

/// Failpoints that do harm at the n-th point, and remember the points they saw.
fn harm_at(cut: Option<(usize, Harm)>) -> (Failpoints, Points) {
    let points = Points::default();
    let record = Arc::clone(&points);
    let failpoints = Failpoints::new(move |moment, step| {
        let number = {
            let mut points = record.lock().unwrap();
            points.push((moment, step));
            points.len() - 1
        };
        match cut {
            Some((at, Harm::Crash)) if at == number => resume_unwind(Box::new(Crash)),
            Some((at, Harm::Error)) if at == number => Err(KafkaError::Global(Code::OperationTimedOut)),
            _ => Ok(()),
        }
    });
    (failpoints, points)
}

/// One life of a program: until all batches are there, a crash or an error. Returns whether the harm was done.
fn live(world: &World, id: &str, batches: u64, cut: Option<(usize, Harm)>) -> bool {
    let (failpoints, points) = harm_at(cut);
    let outcome = catch_unwind(AssertUnwindSafe(|| drive(&world.sink_with(failpoints), &run(id), batches)));
    let reached = cut.is_some_and(|(at, _)| points.lock().unwrap().len() > at);
    match outcome {
        Ok(Ok(last)) => {
            // An abort that fails is no news: the error before it was told.
            assert!(!reached, "an error was swallowed: {:?}", points.lock().unwrap());
            assert_eq!(world.sink().progress(FLOW).unwrap(), last, "what the sink called committed is there");
        }
        Ok(Err(error)) => {
            assert!(reached, "an error without harm: {error}");
            assert!(matches!(error, operators_core::Error::Unavailable { .. }), "another try would do: {error:?}");
        }
        Err(panic) => assert!(panic.downcast_ref::<Crash>().is_some(), "a panic of its own"),
    }
    reached
}

/// The points of a run without harm.
fn calm(batches: u64) -> Option<Vec<(Moment, &'static str)>> {
    let world = World::new("calm")?;
    let (failpoints, points) = harm_at(None);
    drive(&world.sink_with(failpoints), &run("calm"), batches).unwrap();
    world.assert_holds(batches, "calm");
    let points = points.lock().unwrap();
    Some(points.clone())
}

/// Does independent jobs side by side: most of a job is waiting for the broker.
fn side_by_side(jobs: usize, job: impl Fn(usize) -> usize + Sync) -> usize {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= jobs {
                        return;
                    }
                    done.fetch_add(job(number), Ordering::SeqCst);
                }
            });
        }
    });
    done.into_inner()
}

#[test]
fn every_point() {
    let Some(points) = calm(2) else { return };
    let cuts = side_by_side(2 * points.len(), |number| {
        let (at, harm) = (number / 2, [Harm::Crash, Harm::Error][number % 2]);
        let world = World::new("crash").unwrap();
        assert!(live(&world, "first", 2, Some((at, harm))), "{at} {harm:?}");
        live(&world, "second", 2, None);
        world.assert_holds(2, &format!("{harm:?} at {at} {:?}", points[at]));
        world.remove();
        1
    });
    println!("{cuts} cuts at {} points", points.len());
}

/// Two crashes in quick succession: the second run is cut before it has done much.
#[test]
fn every_pair_of_points_of_one_commit() {
    let Some(points) = calm(1) else { return };
    let pairs = side_by_side(points.len(), |first| {
        // How long the second life is depends on the first; the harms take turns.
        let mut second = 0;
        loop {
            let world = World::new("pair").unwrap();
            let harms = match (first + second) % 2 {
                0 => (Harm::Crash, Harm::Error),
                _ => (Harm::Error, Harm::Crash),
            };
            live(&world, "first", 1, Some((first, harms.0)));
            let reached = live(&world, "second", 1, Some((second, harms.1)));
            live(&world, "third", 1, None);
            world.assert_holds(1, &format!("{:?} {second} {harms:?}", points[first]));
            world.remove();
            if !reached {
                return second;
            }
            second += 1;
        }
    });
    println!("{pairs} pairs of cuts, {} first points", points.len());
}
