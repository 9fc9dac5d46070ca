//! Tests on real servers, which `docker/servers` starts: `cargo test -- servers::` runs exactly these.

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

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The set `ALL`, which all tests but one run on.
static ALL: RwLock<()> = RwLock::new(());

/// For a test that runs on `ALL` next to others, as long as this is held.
fn shared() -> RwLockReadGuard<'static, ()> {
    ALL.read().unwrap_or_else(PoisonError::into_inner)
}

/// For a test that kills or pauses servers of `ALL`, or compares all that is on them: no other runs there meanwhile.
fn alone() -> RwLockWriteGuard<'static, ()> {
    ALL.write().unwrap_or_else(PoisonError::into_inner)
}
