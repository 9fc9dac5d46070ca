//! Every crash point: before and after each statement and commit, the program ends or is told an error; and every
//! pair of such points.

use super::{Target, drive, folder, run};
use crate::database::failpoint::{Failpoints, Moment};
use operators_core::progress::Progress;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// The program ends there.
    Crash,
    /// The database's answer is an error: the step was not done, or was, as the point says.
    Error,
}

/// The end of a program.
struct Crash;

#[derive(Default)]
struct Seen {
    points: Vec<(Moment, &'static str)>,
}

/// Failpoints that do harm at the n-th point, and remember the points they saw.
fn harm_at(cut: Option<(usize, Harm)>) -> (Failpoints, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let record = Arc::clone(&seen);
    let failpoints = Failpoints::new(move |moment, step| {
        let number = {
            let mut seen = record.lock().unwrap();
            seen.points.push((moment, step));
            seen.points.len() - 1
        };
        match cut {
            Some((at, Harm::Crash)) if at == number => resume_unwind(Box::new(Crash)),
            Some((at, Harm::Error)) if at == number => Err(sqlx::Error::Protocol("spoilt".into())),
            _ => Ok(()),
        }
    });
    (failpoints, seen)
}

/// One life of a program: until all batches are there, a crash or an error. Returns whether the harm was done.
fn live(target: Target, dir: &Path, id: &str, batches: u64, cut: Option<(usize, Harm)>) -> (bool, Option<Progress>) {
    let (failpoints, seen) = harm_at(cut);
    let outcome = catch_unwind(AssertUnwindSafe(|| drive(&*target.sink(dir, failpoints), &run(id), batches)));
    let reached = cut.is_some_and(|(at, _)| seen.lock().unwrap().points.len() > at);
    match outcome {
        Ok(Ok(last)) => {
            assert!(!reached || cut.is_some_and(|(_, harm)| harm == Harm::Error), "a crash cannot end well");
            let stored = target.sink(dir, Failpoints::default()).progress(&run(id).flow).unwrap();
            assert_eq!(stored, last, "what the sink called committed is there");
            (reached, last)
        }
        Ok(Err(error)) => {
            assert!(reached, "an error without harm: {error}");
            (reached, None)
        }
        Err(panic) => {
            assert!(panic.downcast_ref::<Crash>().is_some(), "a panic of its own");
            (reached, None)
        }
    }
}

/// The result and the points of a run without harm.
fn calm(target: Target, batches: u64) -> (Vec<String>, Vec<(Moment, &'static str)>) {
    let dir = folder();
    let (failpoints, seen) = harm_at(None);
    drive(&*target.sink(dir.path(), failpoints), &run("calm"), batches).unwrap();
    let points = std::mem::take(&mut seen.lock().unwrap().points);
    (target.dump(dir.path()), points)
}

const HARMS: [Harm; 2] = [Harm::Crash, Harm::Error];

fn every_point(target: Target) {
    let (expected, points) = calm(target, 3);
    let cuts: Vec<_> = (0..points.len()).flat_map(|at| HARMS.map(|harm| (at, harm))).collect();
    // Side by side, as most of the time is spent waiting for the disk of a server.
    std::thread::scope(|scope| {
        for cuts in cuts.chunks(cuts.len().div_ceil(4)) {
            let (expected, points) = (&expected, &points);
            scope.spawn(move || {
                for &(at, harm) in cuts {
                    let dir = folder();
                    let (reached, _) = live(target, dir.path(), "first", 3, Some((at, harm)));
                    assert!(reached, "{target:?} {at} {harm:?}");
                    live(target, dir.path(), "second", 3, None);
                    assert_eq!(target.dump(dir.path()), *expected, "{target:?} {harm:?} at {at} {:?}", points[at]);
                }
            });
        }
    });
    let steps: BTreeSet<_> = points.iter().map(|(_, step)| *step).collect();
    println!("{target:?}: {} cuts at {} points of {} steps: {steps:?}", cuts.len(), points.len(), steps.len());
}

fn every_pair(target: Target) {
    let (expected, points) = calm(target, 1);
    let mut pairs = 0;
    for (first, point) in points.iter().enumerate() {
        // How long the second life is depends on the first harm, and two kinds take turns.
        let (mut second, mut missed) = (0, 0);
        while missed < HARMS.len() {
            let dir = folder();
            let harms = (HARMS[(first + second) % 2], HARMS[second / 2 % 2]);
            live(target, dir.path(), "first", 1, Some((first, harms.0)));
            let (reached, _) = live(target, dir.path(), "second", 1, Some((second, harms.1)));
            live(target, dir.path(), "third", 1, None);
            assert_eq!(target.dump(dir.path()), expected, "{target:?} {point:?} {second} {harms:?}");
            missed = if reached { 0 } else { missed + 1 };
            pairs += usize::from(reached);
            second += 1;
        }
    }
    println!("{target:?}: {pairs} pairs of cuts, {} first points", points.len());
}

#[test]
fn a_table_survives_every_point() {
    every_point(Target::Table);
}

#[test]
fn a_topic_survives_every_point() {
    every_point(Target::Topic);
}

#[test]
fn a_table_survives_every_pair_of_points() {
    every_pair(Target::Table);
}

#[test]
fn a_topic_survives_every_pair_of_points() {
    every_pair(Target::Topic);
}

#[test]
fn a_mysql_table_survives_every_point() {
    if testkit::servers::mysql().is_some() {
        every_point(Target::MySql);
    }
}

/// COMMIT was applied and answered with an error: the sink must find out and go on, without a restart.
#[test]
fn an_applied_commit_that_is_answered_with_an_error_counts() {
    let mysql = testkit::servers::mysql().map(|_| Target::MySql);
    for target in [Target::Table, Target::Topic].into_iter().chain(mysql) {
        let (expected, points) = calm(target, 3);
        let commits: Vec<_> = (0..points.len()).filter(|&at| points[at] == (Moment::After, "commit")).collect();
        assert_eq!(commits.len(), 3);
        for at in commits {
            let dir = folder();
            let (reached, last) = live(target, dir.path(), "only", 3, Some((at, Harm::Error)));
            assert!(reached && last.is_some(), "{target:?} {at}");
            assert_eq!(target.dump(dir.path()), expected, "{target:?} {at}");
        }
    }
}
