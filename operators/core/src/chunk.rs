//! Rows as Arrow columns, and where they came from.

use crate::error::Result;
use crate::types::ColumnType;
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute;
use arrow::datatypes::{Field, Schema};
use arrow::ipc::{reader::StreamReader, writer::StreamWriter};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::collections::HashMap;
use std::sync::Arc;

/// What the rows of a chunk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Rows on their way to the sink.
    Rows,
    /// Rows that a stage rejected, on their way to the sink's dead letters; see `dead_letter`.
    DeadLetters,
}

/// A record batch from one source partition, with the position of each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// What the rows are.
    pub kind: Kind,
    /// The source partition all rows were read from.
    pub source: u32,
    /// Where the rows go; the source partition until a partition stage says otherwise.
    pub partition: u32,
    /// One per row: its position in the source partition.
    pub positions: UInt64Array,
    /// The columns.
    pub rows: RecordBatch,
}

impl Chunk {
    /// Rows of one source partition; `positions` has one entry per row.
    pub fn new(source: u32, positions: UInt64Array, rows: RecordBatch) -> Self {
        debug_assert_eq!(positions.len(), rows.num_rows());
        Self { kind: Kind::Rows, source, partition: source, positions, rows }
    }

    /// Number of rows.
    pub fn len(&self) -> u64 {
        self.rows.num_rows() as u64
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.num_rows() == 0
    }

    /// Its columns, which a chunk of a flow has from the stage that gave it, and one of a file from the file.
    pub fn columns(&self) -> crate::Schema {
        crate::Schema::from_arrow(self.rows.schema())
    }

    /// Bytes of memory its columns hold.
    pub fn bytes(&self) -> u64 {
        (self.rows.get_array_memory_size() + self.positions.get_array_memory_size()) as u64
    }

    /// So many of its rows, from the one of an index on.
    pub fn slice(&self, from: u64, rows: u64) -> Self {
        let (from, rows) = (from as usize, rows as usize);
        Self { rows: self.rows.slice(from, rows), positions: self.positions.slice(from, rows), ..*self }
    }

    /// The same rows with other columns.
    pub fn with_rows(&self, rows: RecordBatch) -> Self {
        debug_assert_eq!(self.positions.len(), rows.num_rows());
        Self { rows, positions: self.positions.clone(), ..*self }
    }

    /// Only the rows whose mask is true; null counts as false.
    pub fn filter(&self, mask: &BooleanArray) -> Result<Self> {
        let rows = compute::filter_record_batch(&self.rows, mask)?;
        let positions = compute::filter(&self.positions, mask)?;
        Ok(Self { rows, positions: as_positions(&positions), ..*self })
    }

    /// The rows at the given indices, in that order, bound for one target partition.
    pub fn take(&self, indices: &UInt32Array, partition: u32) -> Result<Self> {
        let rows = compute::take_record_batch(&self.rows, indices)?;
        let positions = compute::take(&self.positions, indices, None)?;
        Ok(Self { rows, positions: as_positions(&positions), partition, ..*self })
    }
}

fn as_positions(array: &dyn Array) -> UInt64Array {
    UInt64Array::from(array.to_data())
}

const POSITIONS: &str = "weatherflow.position";
const ORIGIN: &str = "weatherflow.origin";

/// Chunks cross processes as one Arrow IPC stream: the positions are its last column, the origin is schema metadata.
impl Serialize for Chunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let origin = serde_json::to_string(&(self.kind, self.source, self.partition)).map_err(ser::Error::custom)?;
        let bytes = to_ipc(self, origin).map_err(ser::Error::custom)?;
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Chunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        from_ipc(&bytes).map_err(de::Error::custom)
    }
}

fn to_ipc(chunk: &Chunk, origin: String) -> Result<Vec<u8>> {
    let schema = chunk.rows.schema();
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(POSITIONS, ColumnType::UInt64.arrow(), false)));
    let metadata = HashMap::from([(ORIGIN.to_owned(), origin)]);
    let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
    let mut columns = chunk.rows.columns().to_vec();
    columns.push(Arc::new(chunk.positions.clone()) as ArrayRef);
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
    Ok(writer.into_inner()?)
}

fn from_ipc(bytes: &[u8]) -> Result<Chunk, String> {
    let mut reader = StreamReader::try_new(bytes, None).map_err(|e| e.to_string())?;
    let schema = reader.schema();
    let origin = schema.metadata().get(ORIGIN).ok_or("a chunk without its origin")?;
    let (kind, source, partition) = serde_json::from_str(origin).map_err(|e| e.to_string())?;
    let batch = reader.next().ok_or("a chunk without rows")?.map_err(|e| e.to_string())?;
    let last = batch.num_columns().checked_sub(1).ok_or("a chunk without positions")?;
    let positions = as_positions(batch.column(last));
    let fields: Vec<_> = schema.fields()[..last].to_vec();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns()[..last].to_vec();
    let rows = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|e| e.to_string())?;
    Ok(Chunk { kind, source, partition, positions, rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    fn chunk() -> Chunk {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("ç")]));
        let rows = RecordBatch::try_from_iter_with_nullable([("name", names, true)]).unwrap();
        Chunk { partition: 9, ..Chunk::new(2, UInt64Array::from(vec![7, 8, 11]), rows) }
    }

    #[test]
    fn crosses_processes_whole() {
        let chunk = chunk();
        let bytes = to_ipc(&chunk, serde_json::to_string(&(Kind::Rows, 2, 9)).unwrap()).unwrap();
        assert_eq!(from_ipc(&bytes).unwrap(), chunk);
        let json = serde_json::to_vec(&chunk).unwrap();
        assert_eq!(serde_json::from_slice::<Chunk>(&json).unwrap(), chunk);
    }

    #[test]
    fn cut_bytes_are_an_error_and_no_panic() {
        let chunk = chunk();
        let bytes = to_ipc(&chunk, serde_json::to_string(&(Kind::Rows, 2, 9)).unwrap()).unwrap();
        for cut in 0..bytes.len() / 2 {
            assert!(from_ipc(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn rows_and_positions_stay_together() {
        let chunk = chunk();
        let kept = chunk.filter(&BooleanArray::from(vec![Some(true), None, Some(true)])).unwrap();
        assert_eq!(kept.positions, UInt64Array::from(vec![7, 11]));
        let taken = chunk.take(&UInt32Array::from(vec![2, 0]), 5).unwrap();
        assert_eq!((taken.positions, taken.partition), (UInt64Array::from(vec![11, 7]), 5));
    }
}
