//! What the partition stages share: the bound on partitions, and how a chunk falls apart into one per partition.

use arrow::array::UInt32Array;
use operators_core::chunk::Chunk;
use operators_core::error::{Problem, Result};

/// Far more than a topic or an archive can use; every partition costs open files and memory.
const MOST: u32 = 10_000;

/// What is wrong with a number of partitions, if anything.
pub(super) fn check(partitions: u32) -> Option<Problem> {
    let wrong = partitions == 0 || partitions > MOST;
    wrong.then(|| {
        Problem::at("partitions", format!("rows cannot be spread over {partitions} partitions"))
            .help(format!("a number from 1 to {MOST}"))
    })
}

/// One chunk per partition that has rows, each in the order the rows had; `choose` gives the partition of a row and
/// is asked once for each, in order.
pub(super) fn split(chunk: Chunk, partitions: u32, choose: impl FnMut(usize) -> u32) -> Result<Vec<Chunk>> {
    let mut indices = vec![Vec::new(); partitions as usize];
    for (row, partition) in (0..chunk.rows.num_rows()).map(choose).enumerate() {
        indices[partition as usize].push(row as u32);
    }
    let mut chunks = Vec::new();
    for (partition, rows) in (0..).zip(indices) {
        if rows.len() == chunk.rows.num_rows() && !rows.is_empty() {
            return Ok(vec![Chunk { partition, ..chunk }]);
        }
        if !rows.is_empty() {
            chunks.push(chunk.take(&UInt32Array::from(rows), partition)?);
        }
    }
    Ok(chunks)
}

/// Partitions one after the other, round and round, from 0.
pub(super) struct Turns {
    next: u32,
    partitions: u32,
}

impl Turns {
    /// `partitions` is at least 1.
    pub(super) fn new(partitions: u32) -> Self {
        Self { next: 0, partitions }
    }

    /// The partition whose turn it is.
    pub(super) fn take(&mut self) -> u32 {
        let turn = self.next;
        self.next = (turn + 1) % self.partitions;
        turn
    }
}
