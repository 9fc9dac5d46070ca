//! The Parquet sink.
//!
//! | module | what it holds |
//! |---|---|
//! | [`sink`] | the stage: settings, the writer of one worker |
//! | [`archive`] | batches of Parquet files: how they are committed, found again and proven |
//! | [`store`] | the files below: a local directory, HDFS, memory |

pub mod archive;
pub mod sink;
pub mod store;
