//! What the progress topic of a flow holds. Its two kinds of entries have a key each, so that compaction keeps the
//! newest of both:
//!
//! | key | value | written |
//! |---|---|---|
//! | `owner` | the run that may commit | when a run takes over |
//! | `commit` | what is known after the last commit | in the transaction of the rows |

use super::written::Written;
use operators_core::position::{self, Span};
use operators_core::progress::{Commit, Progress, Run, Tally};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The value of a record of the progress topic, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// A run has taken over.
    Owner(Run),
    /// A run has committed.
    Commit(Box<Record>),
}

impl Entry {
    pub(super) fn key(&self) -> &'static [u8] {
        match self {
            Self::Owner(_) => b"owner",
            Self::Commit(_) => b"commit",
        }
    }

    pub(super) fn run(&self) -> &Run {
        match self {
            Self::Owner(run) => run,
            Self::Commit(record) => &record.progress.run,
        }
    }
}

/// What is known after a commit: enough to go on from it, and to prove what lies in the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Where the flow stands.
    pub(super) progress: Progress,
    /// Rows of this commit.
    pub(super) tally: Tally,
    /// All that was read since the first commit, one span per source partition.
    pub(super) spans: Vec<Span>,
    /// Id of the topic that the rows are in: a recreated one has another.
    pub(super) topic: Option<String>,
    /// All that was written since the first commit, per partition of the topic.
    pub(super) rows: BTreeMap<u32, Written>,
    /// All dead letters since the first commit.
    pub(super) dead_letters: Option<Written>,
}

/// What one transaction has stored.
pub(super) struct Stored {
    pub(super) rows: BTreeMap<u32, Written>,
    pub(super) dead_letters: Option<Written>,
}

impl Record {
    /// What holds after a commit that follows on another; an error where the two contradict each other.
    pub(super) fn after(
        before: Option<&Self>,
        commit: Commit,
        topic: Option<String>,
        stored: Stored,
    ) -> Result<Self, String> {
        let Commit { progress, spans: steps, tally, .. } = commit;
        let mut spans = before.map(|before| before.spans.clone()).unwrap_or_default();
        position::join(&mut spans, &steps).map_err(|error| format!("the source: {error}"))?;
        let mut rows = before.map(|before| before.rows.clone()).unwrap_or_default();
        for (partition, written) in stored.rows {
            let joined = join(rows.get(&partition).copied(), written);
            rows.insert(partition, joined.map_err(|reason| format!("partition {partition}: {reason}"))?);
        }
        let dead_letters = before.and_then(|before| before.dead_letters);
        let dead_letters = match stored.dead_letters {
            Some(written) => Some(join(dead_letters, written).map_err(|reason| format!("dead letters: {reason}"))?),
            None => dead_letters,
        };
        Ok(Self { progress, tally, spans, topic, rows, dead_letters })
    }
}

fn join(before: Option<Written>, next: Written) -> Result<Written, String> {
    let Some(before) = before else { return Ok(next) };
    before.then(next).ok_or_else(|| {
        format!(
            "new messages came to offset {}, and the flow had written up to {}: the log was cut",
            next.from, before.to
        )
    })
}
