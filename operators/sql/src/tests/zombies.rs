//! Two copies of one flow on one database: the one that was opened last wins, the other stops with the fence's error.

use super::{Target, batch, drive, folder, run};
use crate::database::failpoint::Failpoints;
use operators_core::Error;
use operators_core::progress::Progress;
use operators_core::stage::Committer;
use std::sync::Barrier;
use testkit::Random;

/// One copy: who it is, and what it has in its hands.
struct Copy {
    id: String,
    open: Option<(Box<dyn Committer>, Option<Progress>)>,
}

/// Two copies open and commit in an order that the seed gives; returns how many commits were won and lost.
fn interleave(target: Target, seed: u64) -> (u64, u64) {
    let dir = folder();
    let sink = target.sink(dir.path(), Failpoints::default());
    let mut random = Random(seed);
    let mut copies = ["a", "b"].map(|id| Copy { id: id.into(), open: None });
    let (mut owner, mut won, mut lost) = (None, 0, 0);
    for step in 0..12 {
        let who = random.below(2) as usize;
        let copy = &mut copies[who];
        if random.below(4) == 0 || copy.open.is_none() {
            copy.id = format!("{}{step}", ["a", "b"][who]);
            let opened = sink.open(&run(&copy.id)).unwrap();
            let stands = opened.progress.as_ref().map_or(0, |p| p.version.0 + 1);
            assert_eq!(stands, won, "seed {seed}: {target:?} opened at another version");
            copy.open = Some((opened.committer, opened.progress));
            owner = Some(who);
            continue;
        }
        let (committer, last) = copy.open.as_mut().unwrap();
        let commit = batch(&*sink, &run(&copy.id), last.as_ref(), step);
        let progress = commit.progress.clone();
        match committer.commit(commit) {
            Ok(()) => {
                assert_eq!(owner, Some(who), "seed {seed}: {target:?} a copy that was shut out committed");
                *last = Some(progress);
                won += 1;
            }
            Err(Error::Fenced { reason, .. }) => {
                assert_ne!(owner, Some(who), "seed {seed}: {target:?} the owner was shut out: {reason}");
                assert!(reason.contains(&copy.id) && reason.contains("version"), "seed {seed}: {reason}");
                copy.open = None;
                lost += 1;
            }
            Err(error) => panic!("seed {seed}: {target:?} {error}"),
        }
    }
    assert_as_if_alone(target, dir.path(), won, seed);
    (won, lost)
}

/// The database is as one copy alone would have left it.
fn assert_as_if_alone(target: Target, dir: &std::path::Path, versions: u64, seed: u64) {
    if versions > 0 {
        let alone = folder();
        drive(&*target.sink(alone.path(), Failpoints::default()), &run("alone"), versions).unwrap();
        assert_eq!(target.dump(dir), target.dump(alone.path()), "seed {seed}: {target:?}");
    }
}

#[test]
fn exactly_one_copy_wins_each_version() {
    // WEATHERFLOW_SEED reruns one.
    let seeds = match std::env::var("WEATHERFLOW_SEED") {
        Ok(seed) => seed.parse().unwrap()..=seed.parse().unwrap(),
        Err(_) => 0..=249,
    };
    let (mut won, mut lost, mut runs) = (0, 0, 0);
    for seed in seeds {
        for target in [Target::Table, Target::Topic] {
            let (w, l) = interleave(target, seed);
            (won, lost, runs) = (won + w, lost + l, runs + 1);
        }
    }
    println!("{runs} interleavings: {won} commits won, {lost} fenced off");
    assert!(runs < 100 || lost > runs / 10, "the copies hardly met: {lost} of {runs}");
}

#[test]
fn exactly_one_copy_wins_each_version_on_a_server() {
    if testkit::servers::mysql().is_none() {
        return;
    }
    let (mut won, mut lost) = (0, 0);
    for seed in 0..20 {
        let (w, l) = interleave(Target::MySql, seed);
        (won, lost) = (won + w, lost + l);
    }
    println!("20 interleavings: {won} commits won, {lost} fenced off");
    assert!(won > 0 && lost > 0, "the copies hardly met: {won} won, {lost} lost");
}

/// Both at once, in threads: however they meet, the versions stay dense and the rows are those of one copy.
#[test]
fn copies_that_race_leave_what_one_would() {
    let (mut versions, mut fenced) = (0, 0);
    let targets = [Target::Table, Target::Topic].into_iter().chain(testkit::servers::mysql().map(|_| Target::MySql));
    let targets: Vec<_> = targets.collect();
    for round in 0..12 {
        let target = targets[round % targets.len()];
        let dir = folder();
        let barrier = Barrier::new(2);
        let lives = std::thread::scope(|scope| {
            let lives = ["left", "right"].map(|id| {
                let (barrier, sink) = (&barrier, target.sink(dir.path(), Failpoints::default()));
                scope.spawn(move || {
                    barrier.wait();
                    drive(&*sink, &run(id), 6).map(drop)
                })
            });
            lives.map(|life| life.join().unwrap())
        });
        for life in lives {
            match life {
                Ok(()) => {}
                Err(Error::Fenced { .. }) => fenced += 1,
                Err(error) => panic!("round {round}: {target:?} {error}"),
            }
        }
        let sink = target.sink(dir.path(), Failpoints::default());
        let last = sink.progress("weather/test").unwrap().unwrap();
        assert_eq!(last.version.0, 5, "round {round}: the last owner finishes");
        assert_as_if_alone(target, dir.path(), 6, round as u64);
        versions += 6;
    }
    println!("{versions} versions, {fenced} copies fenced off");
}
