//! Rows made up for a test that only says how many.

use super::cells;
use arrow::array::RecordBatch;
use operators_core::schema::Schema;
use std::sync::Arc;

/// So many rows of these columns, none of them null. The same numbers give the same rows.
pub(super) fn rows(columns: &Schema, count: u64, seed: u64, partition: u32) -> Result<RecordBatch, String> {
    let made = columns.columns().iter().enumerate().map(|(index, column)| {
        let mut random = Random(mix(seed ^ mix(u64::from(partition) << 32 | index as u64)));
        cells::made_up(column, count as usize, |bound| random.below(bound))
    });
    let made = made.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(columns.arrow()), made).map_err(|error| error.to_string())
}

/// Numbers that look random and follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % bound
    }
}

fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
