//! Tests on real servers.

mod hdfs;
mod hdfs_faults;
mod hdfs_flat;
mod hdfs_losses;
mod start;
mod store_contract;
