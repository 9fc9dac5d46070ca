//! The tests of the Parquet sink from outside: archives, their commits and damage, stores and readers.
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[macro_use]
mod archive_world;
mod archive_crashes;
mod archive_damage;
mod archive_readers;
mod archive_staging;
mod archive_zombies;
mod declared_sizes;
mod flat;
mod flat_damage;
mod mutations;
mod parquet_files;
mod parquet_footers;
mod readers;
mod servers;
mod sink_contract;
mod store_contract;
