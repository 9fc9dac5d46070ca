//! What a running flow tells people: rows, commits, lag, memory, trouble.

use crate::flow::budget::Budget;
use crate::flow::epoch::Epoch;
use crate::flow::halt::Failure;
use operators_core::progress::{Progress, Tally};
use operators_core::{Chunk, Lag};
use stages::sample::{Sampler, Samples};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How many of the last commits and troubles are remembered.
const REMEMBERED: usize = 20;

/// Counters of one flow, written by its threads and read by whoever shows them.
#[derive(Debug)]
pub struct Meter {
    /// Rows read since the last commit that was gone on from, and those committed before it.
    read: AtomicU64,
    done: AtomicBool,
    /// Source, stages and sink, in the order rows pass them.
    stages: Vec<Passed>,
    budget: Arc<Budget>,
    /// While someone wants to see values.
    sampler: OnceLock<Sampler>,
    seen: Mutex<Seen>,
}

/// What has passed a stage, counted anew when rows pass it again.
#[derive(Debug)]
struct Passed {
    name: String,
    rows: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Seen {
    committed: Tally,
    last: Option<(Instant, Progress)>,
    last_at: Option<SystemTime>,
    made: u64,
    commits: VecDeque<Landed>,
    latency: Latency,
    /// Epochs in flight, and when each got its first row.
    epochs: BTreeMap<Epoch, Instant>,
    /// Per worker.
    lag: BTreeMap<u32, Lag>,
    restarts: u64,
    health: Health,
    troubles: VecDeque<Trouble>,
}

/// Whether a flow runs.
#[derive(Clone, Debug, Default)]
pub enum Health {
    /// Its source has not answered yet.
    #[default]
    Starting,
    /// Its source can be read, since then.
    Up(Instant),
    /// Why it has to be begun again or has ended, until it is up.
    Trouble(Failure),
}

/// A commit that was made.
#[derive(Clone, Debug)]
pub struct Landed {
    /// When.
    pub at: SystemTime,
    /// Its number.
    pub version: u64,
    /// Where its rows went.
    pub tally: Tally,
    /// How long the sink took to publish it.
    pub took: Duration,
}

/// Something that made a flow begin again, or end.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// When.
    pub at: SystemTime,
    /// What happened.
    pub failure: Failure,
    /// The restart that it led to, counted from 1; none when the flow ended.
    pub restart: Option<u64>,
}

/// How long commits took: a histogram whose buckets count all commits up to their bound.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// Commits that took at most [`Latency::BOUNDS`] seconds, bound by bound.
    pub buckets: [u64; Latency::BOUNDS.len()],
    /// All commits.
    pub count: u64,
    /// Their time together.
    pub sum: Duration,
}

impl Latency {
    /// Upper bounds of the buckets in seconds.
    pub const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

    fn add(&mut self, took: Duration) {
        let within = |(_, bound): &(_, f64)| took.as_secs_f64() <= *bound;
        self.buckets.iter_mut().zip(Self::BOUNDS).filter(within).for_each(|(bucket, _)| *bucket += 1);
        self.count += 1;
        self.sum += took;
    }
}

/// A flow at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Rows read in this run, committed or not.
    pub read: u64,
    /// Rows committed in this run.
    pub committed: Tally,
    /// The last commit of this run, and when it was.
    pub last_commit: Option<(Instant, Progress)>,
    /// The same moment by the clock on the wall.
    pub last_commit_at: Option<SystemTime>,
    /// Commits of this run, one whose answer was lost among them.
    pub commits_made: u64,
    /// The last commits of this run whose answer came, the newest at the end.
    pub commits: Vec<Landed>,
    /// How long commits took whose answer came.
    pub latency: Latency,
    /// Rows in the source that are not read yet, where it can tell.
    pub lag: Lag,
    /// What has passed source, stages and sink, in this order.
    pub passed: Vec<StageReading>,
    /// Epochs with rows that are not committed yet.
    pub epochs: u64,
    /// How long ago the oldest of them got its first row.
    pub epoch_age: Option<Duration>,
    /// Bytes of rows on their way, and how many there may be.
    pub memory: (u64, u64),
    /// Whether the flow has ended and everything is committed.
    pub done: bool,
    /// How often the flow was begun again from its last commit.
    pub restarts: u64,
    /// Whether it runs.
    pub health: Health,
    /// The last of what went wrong, the newest at the end.
    pub troubles: Vec<Trouble>,
}

impl Reading {
    /// Why the flow does not run.
    pub fn trouble(&self) -> Option<&Failure> {
        match &self.health {
            Health::Trouble(failure) => Some(failure),
            Health::Starting | Health::Up(_) => None,
        }
    }
}

/// What has passed one stage in this run; rows that are read again are counted again.
#[derive(Clone, Debug)]
pub struct StageReading {
    /// `decode.protobuf`
    pub name: String,
    /// Rows that it gave; for a sink, that it took.
    pub rows: u64,
    /// Bytes of memory that their columns held.
    pub bytes: u64,
}

impl Meter {
    /// A meter for a flow with these stages, source and sink among them, whose rows are charged to a budget.
    pub(crate) fn new(stages: impl IntoIterator<Item = String>, budget: Arc<Budget>) -> Self {
        let passed = |name| Passed { name, rows: AtomicU64::new(0), bytes: AtomicU64::new(0) };
        Self {
            read: AtomicU64::new(0),
            done: AtomicBool::new(false),
            stages: stages.into_iter().map(passed).collect(),
            budget,
            sampler: OnceLock::new(),
            seen: Mutex::default(),
        }
    }

    /// What the flow's rows are charged to.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(crate) fn add_read(&self, epoch: Epoch, rows: u64) {
        self.read.fetch_add(rows, Ordering::Relaxed);
        self.seen().epochs.entry(epoch).or_insert_with(Instant::now);
    }

    /// Rows that a stage gave, by its place among all stages.
    pub(crate) fn add_passed(&self, stage: usize, rows: u64, bytes: u64) {
        if let Some(stage) = self.stages.get(stage) {
            stage.rows.fetch_add(rows, Ordering::Relaxed);
            stage.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Rows that the sink takes.
    pub(crate) fn add_taken(&self, chunk: &Chunk) {
        self.add_passed(self.stages.len().saturating_sub(1), chunk.len(), chunk.bytes());
        if let Some(sampler) = self.sampler.get() {
            sampler.look(chunk);
        }
    }

    /// Has values of rows that reach the sink remembered from now on.
    pub fn sample(&self, sampler: Sampler) {
        // A second one would see the same.
        let _ = self.sampler.set(sampler);
    }

    /// Values that reached the sink after a mark, where they are remembered.
    pub fn samples(&self, mark: u64) -> Option<Samples> {
        self.sampler.get()?.after(mark)
    }

    pub(crate) fn set_lag(&self, worker: u32, lag: Lag) {
        self.seen().lag.insert(worker, lag);
    }

    pub(crate) fn add_commit(&self, epoch: Epoch, tally: Tally, progress: Progress, took: Duration) {
        let mut seen = self.seen();
        let landed = Landed { at: SystemTime::now(), version: progress.version.0, tally, took };
        remember(&mut seen.commits, landed);
        seen.latency.add(took);
        seen.committed += tally;
        seen.set_last(progress);
        seen.epochs.remove(&epoch);
    }

    /// The sink holds more than this run was told of, as the answer to its last commit was lost.
    pub(crate) fn add_found(&self, committed: Tally, progress: Progress) {
        let mut seen = self.seen();
        seen.committed = committed;
        seen.set_last(progress);
        self.read.store(committed.read, Ordering::Relaxed);
    }

    /// The source was read.
    pub(crate) fn set_up(&self) {
        let health = &mut self.seen().health;
        if !matches!(health, Health::Up(_)) {
            *health = Health::Up(Instant::now());
        }
    }

    /// The flow begins again from its last commit: rows read since then will be read once more.
    pub(crate) fn add_restart(&self, why: &Failure) {
        let mut seen = self.seen();
        seen.restarts += 1;
        let restart = Some(seen.restarts);
        seen.add_trouble(why, restart);
        seen.epochs.clear();
        self.read.store(seen.committed.read, Ordering::Relaxed);
    }

    /// The flow does not run any more.
    pub(crate) fn add_trouble(&self, why: &Failure) {
        self.seen().add_trouble(why, None);
    }

    pub(crate) fn set_done(&self) {
        self.done.store(true, Ordering::SeqCst);
    }

    /// Whether the flow has ended and everything is committed.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    /// The flow at this moment.
    pub fn read(&self) -> Reading {
        let seen = self.seen();
        let passed = |stage: &Passed| StageReading {
            name: stage.name.clone(),
            rows: stage.rows.load(Ordering::Relaxed),
            bytes: stage.bytes.load(Ordering::Relaxed),
        };
        Reading {
            read: self.read.load(Ordering::Relaxed),
            committed: seen.committed,
            last_commit: seen.last.clone(),
            last_commit_at: seen.last_at,
            commits_made: seen.made,
            commits: seen.commits.iter().cloned().collect(),
            latency: seen.latency.clone(),
            // Each partition is one worker's.
            lag: Lag(seen.lag.values().flat_map(|lag| lag.0.iter().map(|(&at, &rows)| (at, rows))).collect()),
            passed: self.stages.iter().map(passed).collect(),
            epochs: seen.epochs.len() as u64,
            epoch_age: seen.epochs.values().min().map(Instant::elapsed),
            memory: (self.budget.used(), self.budget.limit()),
            done: self.is_done(),
            restarts: seen.restarts,
            health: seen.health.clone(),
            troubles: seen.troubles.iter().cloned().collect(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn set_last(&mut self, progress: Progress) {
        self.made += 1;
        self.last_at = Some(SystemTime::now());
        self.last = Some((Instant::now(), progress));
    }

    fn add_trouble(&mut self, why: &Failure, restart: Option<u64>) {
        remember(&mut self.troubles, Trouble { at: SystemTime::now(), failure: why.clone(), restart });
        self.health = Health::Trouble(why.clone());
    }
}

fn remember<T>(last: &mut VecDeque<T>, one: T) {
    if last.len() == REMEMBERED {
        last.pop_front();
    }
    last.push_back(one);
}

#[cfg(test)]
mod tests {
    use super::*;
    use operators_core::Checkpoint;
    use operators_core::position::Anchors;
    use operators_core::progress::{Fingerprint, Run, Version};

    #[test]
    fn a_commit_whose_answer_was_lost_is_counted_without_a_latency() {
        let progress = |version| Progress {
            version: Version(version),
            run: Run { id: "one".to_owned(), flow: "weather/archive".to_owned() },
            fingerprint: Fingerprint::default(),
            source: None,
            positions: Checkpoint::default(),
            anchors: Anchors::default(),
            totals: Tally::default(),
        };
        let meter = Meter::new([], Budget::new(1000));
        meter.add_commit(0, Tally::default(), progress(7), Duration::from_secs(1));
        meter.add_found(Tally::default(), progress(8));
        let reading = meter.read();
        let last = reading.last_commit.map(|(_, progress)| progress.version);
        assert_eq!((reading.commits_made, last, reading.latency.count), (2, Some(Version(8)), 1));
    }
}
