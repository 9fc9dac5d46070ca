//! Reads Parquet files and only counts.

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

pub const READ_NOTE: &str = "ParquetRecordBatchReader, all columns, 16,384 rows at a time, a thread per core";

/// All Parquet files below a directory.
#[derive(clap::Args)]
pub struct Files {
    #[arg(long)]
    directory: PathBuf,
    /// Rows in all of them.
    #[arg(long)]
    count: u64,
}

impl Files {
    pub fn read(&self) {
        let mut files = Vec::new();
        find(&self.directory, &mut files);
        let files = Mutex::new(files.into_iter());
        let next = || files.lock().unwrap().next();
        let count = || {
            let mut count = 0;
            while let Some(path) = next() {
                let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
                let reader = builder.with_batch_size(16_384).build().unwrap();
                count += reader.map(|rows| rows.unwrap().num_rows() as u64).sum::<u64>();
            }
            count
        };
        let cores = thread::available_parallelism().unwrap().get();
        let rows: u64 = thread::scope(|scope| {
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(count)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(rows, self.count);
    }
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
}
