//! The batches of a local archive as a reader finds them.

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// One batch.
pub struct Batch {
    path: PathBuf,
}

impl Batch {
    /// The batch of this number, once readers see it.
    pub fn find(archive: &Path, number: u64) -> Option<Self> {
        let path = archive.join(format!("segment={:06}/batch={number:020}", number / 100_000));
        path.exists().then_some(Self { path })
    }

    fn checkpoint(&self) -> PathBuf {
        self.path.join("_checkpoint.json")
    }

    /// Rows of all batches up to this one.
    pub fn rows_so_far(&self) -> u64 {
        let checkpoint: serde_json::Value = serde_json::from_slice(&std::fs::read(self.checkpoint()).unwrap()).unwrap();
        checkpoint["progress"]["totals"]["written"].as_u64().unwrap()
    }

    /// When its checkpoint was written, a moment before it was published.
    pub fn written(&self) -> SystemTime {
        self.checkpoint().metadata().unwrap().modified().unwrap()
    }

    /// The numbers in the column `degrees`.
    pub fn degrees(&self) -> Vec<f64> {
        let mut degrees = Vec::new();
        for entry in std::fs::read_dir(&self.path).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "parquet") {
                let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
                let column = ProjectionMask::columns(builder.parquet_schema(), ["degrees"]);
                for rows in builder.with_projection(column).build().unwrap() {
                    let rows = rows.unwrap();
                    let column = arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(rows.column(0));
                    degrees.extend(column.values());
                }
            }
        }
        degrees
    }
}
