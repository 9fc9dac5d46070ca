//! A table of a server passes the contract of sources.

use super::{Own, own};
use operators_core::source_contract::{self, Growth, Recreation, SourceWorld};
use operators_core::stage::Source;
use std::sync::Arc;

const CREATE: &str = "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT)";
const INSERT: &str = "INSERT INTO t (a) VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12)";

impl SourceWorld for Own {
    fn source(&self) -> Arc<dyn Source> {
        super::World::source(self, r#"{"a": "int32"}"#, "").source
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn add(&self) -> Growth {
        self.run(INSERT);
        Growth::Added(12)
    }

    fn recreate(&self) -> Recreation {
        self.run(&format!("DROP TABLE t; {CREATE}; {INSERT}"));
        Recreation::Another
    }
}

#[test]
fn a_table_is_a_source() {
    if testkit::servers::mysql().is_none() {
        return;
    }
    source_contract::suite(|| {
        let world = own().unwrap();
        // With gaps, as deleted rows leave them.
        world.run(&format!("{CREATE}; {INSERT}; {INSERT}; DELETE FROM t WHERE id IN (1, 5, 6, 24)"));
        world
    });
}
