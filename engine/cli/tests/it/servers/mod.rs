//! Tests on real servers, which `docker/servers` starts: `cargo test -- servers::` runs exactly these.

mod authorities;
mod cluster;
mod cut_log;
mod fault;
mod faults;
mod golden;
mod inspect;
mod job;
mod program;
mod quota;
mod tap;
mod verify;
