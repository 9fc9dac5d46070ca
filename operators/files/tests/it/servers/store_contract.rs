//! The contract of a store, on HDFS.

use crate::store_contract::suite;
use files::store::hdfs::Hdfs;
use testkit::servers;

#[test]
fn hdfs() {
    let Some(url) = servers::hdfs() else { return };
    let next = std::cell::Cell::new(0);
    suite(|| {
        next.set(next.get() + 1);
        Hdfs::new(&format!("{url}/contract {}%20ü/{}/root", std::process::id(), next.get())).unwrap()
    });
}
