//! What the program does as a whole, and what its crates do together. `cargo test -- --skip servers::` leaves out what needs
//! servers.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod catalogue;
mod common;
mod compose;
mod config;
mod crashes;
mod docs;
mod engine;
mod full_disk;
mod golden;
mod graph;
mod hidden_columns;
mod house;
mod http;
mod inspect;
mod job;
mod kills;
mod output;
mod page;
mod poison;
mod readme;
mod restarts;
mod servers;
mod tap;
mod terminal;
mod trials;
mod verify;
