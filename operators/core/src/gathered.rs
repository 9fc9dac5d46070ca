//! Rows that are kept in memory until their commit, for sinks that write them in the transaction of the commit.

use crate::chunk::{Chunk, Kind};
use crate::error::{Error, Result};
use crate::message::Messages;
use crate::progress::{Commit, Contents, Receipt, Run};
use crate::stage::{Closing, Held, Writer};

/// Keeps the rows of one worker's part of a batch.
#[derive(Default)]
pub struct Gatherer {
    /// What of the rows is kept, where it is not all.
    only: Option<Messages>,
    chunks: Vec<Chunk>,
    bytes: u64,
}

impl Gatherer {
    /// Keeps of each row only its message.
    pub fn of(messages: Messages) -> Self {
        Self { only: Some(messages), ..Self::default() }
    }
}

impl Writer for Gatherer {
    fn write(&mut self, chunk: Chunk) -> Result<Held> {
        let chunk = match self.only {
            Some(messages) if chunk.kind == Kind::Rows => chunk.with_rows(messages.only(&chunk.rows)?),
            _ => chunk,
        };
        self.bytes += chunk.bytes();
        self.chunks.push(chunk);
        Ok(Held { bytes: self.bytes, until_commit: self.bytes })
    }

    fn close(self: Box<Self>, _batch: &Closing) -> Result<Receipt> {
        let rows = |kind| self.chunks.iter().filter(|chunk| chunk.kind == kind).map(Chunk::len).sum();
        Ok(Receipt {
            rows: rows(Kind::Rows),
            dead_letters: rows(Kind::DeadLetters),
            contents: Contents::Chunks(self.chunks),
        })
    }
}

/// The rows of all writers of a batch.
pub struct Gathered {
    /// Rows, in the order in which they were written.
    pub rows: Vec<Chunk>,
    /// Dead letters, in the order in which they were written.
    pub dead_letters: Vec<Chunk>,
}

impl Gathered {
    /// Takes the rows out of a commit, and checks that they are those which it says it has.
    pub fn take(commit: &mut Commit, run: &Run, place: &str) -> Result<Self> {
        let mut chunks = Vec::new();
        for receipt in std::mem::take(&mut commit.receipts) {
            match receipt.contents {
                Contents::Chunks(more) => chunks.extend(more),
                Contents::Files(_) => return Err(Error::Other(format!("{place}: was given files instead of rows"))),
            }
        }
        let (rows, dead_letters) = chunks.into_iter().partition(|chunk| chunk.kind == Kind::Rows);
        let gathered = Self { rows, dead_letters };
        let (written, rejected) = (count(&gathered.rows), count(&gathered.dead_letters));
        let Commit { progress, tally, .. } = &*commit;
        if (written, rejected) != (tally.written, tally.dead_letters) || progress.run != *run {
            return Err(Error::Other(format!(
                "{place}: the batch says {} rows and {} dead letters by run {}, and holds {written} and {rejected} by \
                 run {}; nothing of it was committed",
                tally.written, tally.dead_letters, progress.run.id, run.id
            )));
        }
        Ok(gathered)
    }
}

fn count(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(Chunk::len).sum()
}
