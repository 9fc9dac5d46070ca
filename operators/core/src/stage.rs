//! What a stage is: its config builds a stage (shared by all workers), the stage opens handles (one worker each).
//!
//! Sources and sinks have traits of their own; everything between them turns a chunk into chunks and shares one.
//! No handle ever blocks for long without cause, and none knows about time: the engine decides when an epoch ends.

use crate::chunk::Chunk;
use crate::error::Result;
use crate::inspect::{Extent, Holdings, Inspect, StoredRows, Which};
use crate::position::{Anchors, Checkpoint, Lag, Span};
use crate::progress::{Commit, Fingerprint, Progress, Receipt, Run, Version};
use crate::schema::Schema;
use std::sync::Arc;
use std::time::Duration;

/// Which of the source partitions a reader owns: those with `partition % of == index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// This worker.
    pub index: u32,
    /// All workers.
    pub of: u32,
}

impl Share {
    /// Whether a partition is this worker's to read.
    pub fn owns(self, partition: u32) -> bool {
        partition % self.of == self.index
    }
}

/// A place rows come from. It can seek to any position it once gave.
pub trait Source: Inspect + Send + Sync {
    /// Where each partition starts that is there before the first commit, which will carry it. The answer stays the same;
    /// a partition that is not in it starts at its beginning.
    fn starts(&self) -> Result<Checkpoint> {
        Ok(Checkpoint::default())
    }

    /// Receives the last rows before stored positions, before the source is opened there or counts what was read.
    fn anchored(&self, _anchors: &Anchors) {}

    /// Opens a reader of this worker's share at the given positions; a partition without one starts where
    /// [`Source::starts`] says. An error when a position does not exist there any more, or not yet.
    fn open(&self, share: Share, from: &Checkpoint) -> Result<Box<dyn Reader>>;

    /// What tells this source from a recreated one under the same name; `None` where there is no such thing, or the
    /// source does not exist yet.
    fn identity(&self) -> Result<Option<String>>;

    /// What to do when the source, as it is now, is not the one of a stored identity; `None` when it is.
    fn if_another(&self, stored: &str, now: Option<&str>) -> Option<String> {
        (now != Some(stored)).then(|| "Bring the old one back, or give the flow a new sink".to_owned())
    }

    /// Counts the rows of a span again, for `verify`. A source that reads them one by one reports each step to `more`.
    fn count(&self, span: &Span, more: &mut dyn FnMut(u64)) -> Result<Recount>;

    /// What each partition holds now, without reading it; empty where there is nothing yet, or no such thing.
    fn extents(&self) -> Result<Vec<Extent>> {
        Ok(Vec::new())
    }

    /// Is told what has been committed, for places that show it to others. Never waits, and nothing rests on it.
    fn committed(&self, _positions: &Checkpoint) {}

    /// The flow has come to its end: waits, some seconds at most, until the last of what it was told is shown.
    fn ended(&self) {}
}

/// What a source finds when it counts the rows of a span that was read before.
///
/// | source | answer |
/// |---|---|
/// | `weather` | `Complete`; `Partial` when `last_day` was moved before the end of the span |
/// | `table` | `Partial`: a row may be deleted at any time; `Gone` without the table |
/// | `topic` | `Complete`; `Partial` when the oldest messages were deleted; `Truncated` when the newest were; `Gone` without the topic |
/// | `kafka` | `Complete`; `Partial` after retention and under compaction; `Truncated` when the log lost its end; `Gone` without the topic or the partition |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recount {
    /// The source keeps all rows of the span, and has this many. Any other number than was read is a finding.
    Complete(u64),
    /// The source has this many rows, and others may have been removed since they were read. Fewer than were read is
    /// explained, more is a finding.
    Partial(u64, Removal),
    /// The source has this many rows, and lost others that it should have kept: a finding.
    Truncated(u64, String),
    /// The source, or this partition of it, doesn't exist any more.
    Gone,
}

impl Recount {
    /// Rows that are there.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Complete(rows) | Self::Partial(rows, _) | Self::Truncated(rows, _) => *rows,
            Self::Gone => 0,
        }
    }
}

/// What may have removed rows from a source after they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// The oldest rows: the retention of a topic, or an administrator.
    Retention,
    /// The compaction of a topic.
    Compaction,
    /// Perhaps compaction: the brokers don't show this user the settings of the topic.
    Unknown,
    /// A DELETE in a table.
    Delete,
    /// The newest rows: `last_day` is earlier now.
    LastDay,
}

impl std::fmt::Display for Removal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Retention => "by retention or an administrator",
            Self::Compaction => "by compaction",
            Self::Unknown => "perhaps by compaction, as the brokers don't show this user the topic's settings",
            Self::Delete => "by a DELETE",
            Self::LastDay => "because last_day is earlier now",
        })
    }
}

/// What one call of [`Reader::read`] found.
#[derive(Debug)]
pub enum Read {
    /// Rows of one partition and the advance they are. The span follows the last one of its partition at once.
    Rows(Chunk, Span),
    /// Nothing now, but the source knows that more will come: look again after this time.
    Pause(Duration),
    /// Nothing now, and perhaps never: all there is has been read. Look again after this time.
    CaughtUp(Duration),
    /// Nothing ever again.
    End,
}

/// Reads one worker's share of a source, on a thread of its own.
pub trait Reader: Send {
    /// Reads the next few thousand rows at most; never waits for rows that are not there.
    fn read(&mut self) -> Result<Read>;

    /// Rows that are there and not read yet, where the source can tell cheaply.
    fn lag(&mut self) -> Result<Lag>;
}

/// What one call of [`Apply::apply`] made of a chunk; every row is in one of these.
#[derive(Debug, Default)]
pub struct Applied {
    /// Rows that go on; no empty chunks.
    pub rows: Vec<Chunk>,
    /// Rows rejected with a reason, of kind `DeadLetters`.
    pub dead_letters: Option<Chunk>,
    /// Rows left out as asked.
    pub filtered: u64,
    /// Rows left out because they could not be processed.
    pub skipped: u64,
}

/// A stage between source and sink.
pub trait Stage: Send + Sync {
    /// A handle for one worker.
    fn handle(&self) -> Box<dyn Apply>;
}

/// One worker's handle of a stage.
pub trait Apply: Send {
    /// Turns a chunk of rows into others.
    fn apply(&mut self, chunk: Chunk) -> Result<Applied>;
}

/// A place rows go to, which stores positions in the same atomic step.
pub trait Sink: Audit + Inspect + Send + Sync {
    /// The last commit, read without touching anything; `None` before the first.
    fn progress(&self, flow: &str) -> Result<Option<Progress>>;

    /// Takes the place over: creates what is missing, shuts out what an older run left half done, and only then reads
    /// the last commit.
    fn open(&self, run: &Run) -> Result<Opened>;

    /// A writer for one worker's rows of one batch; `attempt` is a number that no other batch of this run has.
    fn writer(&self, run: &Run, attempt: u64) -> Result<Box<dyn Writer>>;
}

/// A sink that has been taken over.
pub struct Opened {
    /// Publishes batches.
    pub committer: Box<dyn Committer>,
    /// The last commit; `None` before the first.
    pub progress: Option<Progress>,
}

/// Writes one worker's rows of one batch, on a thread of its own. Dropping it leaves nothing that counts.
pub trait Writer: Send {
    /// Takes a chunk; returns the memory this writer holds now.
    fn write(&mut self, chunk: Chunk) -> Result<Held>;

    /// Makes all rows durable, or holds them ready for the commit.
    fn close(self: Box<Self>, batch: &Closing) -> Result<Receipt>;
}

/// What a writer is told at its close: what is known of the whole batch, the other workers' parts included.
#[derive(Clone, Debug, Default)]
pub struct Closing {
    /// The commit it will be.
    pub version: Version,
    /// What it moves the source partitions by.
    pub spans: Vec<Span>,
    /// What the positions mean.
    pub fingerprint: Fingerprint,
    /// Identity of the source the positions belong to, where it has one.
    pub source: Option<String>,
}

/// Bytes of memory a writer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// All of it.
    pub bytes: u64,
    /// The part that only a commit frees; the rest the writer bounds by itself.
    pub until_commit: u64,
}

/// Publishes batches, one after the other.
pub trait Committer: Send {
    /// Publishes rows and positions in one atomic step. `Ok` means that both are there for good; an error means that
    /// they are not, or that this run does not own the place any more; only `Unavailable` leaves it open whether they
    /// are, and then [`Sink::open`] finds out. A sink may commit each source partition in a step of its own; then an error leaves some of them committed, and
    /// what [`Sink::open`] says next is where each of them stands.
    fn commit(&mut self, commit: Commit) -> Result<()>;

    /// The flow ends well, and no other commit comes: removes what was only there for commits to come.
    fn tidy(&mut self) {}
}

/// Reads back what is committed, trusting nobody; the proof behind `verify`.
pub trait Audit {
    /// Checks everything committed by a flow, telling each finding as it is met. Memory does not grow with history.
    fn audit(&self, flow: &str, listener: &mut dyn Listen) -> Result<Account>;

    /// What is there of a flow, for people: read from names and records, without the proof.
    fn holdings(&self, _flow: &str) -> Result<Holdings> {
        Ok(Holdings::default())
    }

    /// The rows it has committed of a flow, oldest first; `None` where they are read by a source.
    fn stored(&self, _flow: &str, _which: &Which) -> Result<Option<StoredRows>> {
        Ok(None)
    }
}

/// Listens to an audit.
pub trait Listen {
    /// Something is not as it should be.
    fn found(&mut self, finding: Finding);

    /// So many more rows of the sink have been looked at.
    fn checked(&mut self, _rows: u64) {}
}

impl<F: FnMut(Finding)> Listen for F {
    fn found(&mut self, finding: Finding) {
        self(finding);
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// File, directory or table.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What an audit counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Account {
    /// Commits.
    pub batches: u64,
    /// Those of them that an earlier version made, without digests: their bytes are not proven.
    pub without_digests: u64,
    /// Files; 0 for tables.
    pub files: u64,
    /// Rows found in the sink by counting them.
    pub rows: u64,
    /// Rows that the commits say were read, written and left out.
    pub totals: crate::progress::Tally,
    /// Per source partition all that was read, as one span.
    pub spans: Vec<Span>,
}

/// What every built stage tells the engine.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Where rows come from or go, or what is done to them, for people: `topic temperatures in data/topic.db`.
    pub summary: String,
    /// Settings that give stored positions their meaning: name as in the file, value.
    pub fingerprint: Vec<(&'static str, String)>,
}

/// A source, ready to open.
pub struct BuiltSource {
    /// The stage.
    pub source: Arc<dyn Source>,
    /// Columns it gives.
    pub schema: Schema,
    /// Equal to the place of a sink that feeds it.
    pub place: String,
    /// For people and for the fingerprint.
    pub about: About,
}

/// A stage between source and sink, ready to hand out handles.
#[derive(Clone)]
pub struct BuiltStage {
    /// The stage.
    pub stage: Arc<dyn Stage>,
    /// Columns it gives.
    pub schema: Schema,
    /// Number of partitions it spreads rows over, when it decides that.
    pub partitions: Option<u32>,
    /// Whether it turns rows it cannot process into dead letters.
    pub dead_letters: bool,
    /// For people and for the fingerprint.
    pub about: About,
}

/// How rows reach a sink, beside their columns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inflow {
    /// Number of partitions that a stage spreads them over; `None` when they keep the partitions of their source.
    pub partitions: Option<u32>,
    /// Whether some may come as dead letters.
    pub dead_letters: bool,
}

/// A sink, ready to open.
pub struct BuiltSink {
    /// The stage.
    pub sink: Arc<dyn Sink>,
    /// Two sinks with one place are refused; a source with the place of a sink reads what it writes.
    pub place: String,
    /// Where its rows lie until they are committed, if that is another place; written as places are.
    pub staging: Option<String>,
    /// For people and for the fingerprint.
    pub about: About,
}
