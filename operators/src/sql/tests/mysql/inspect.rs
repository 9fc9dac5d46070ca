//! What a server's tables tell of themselves.

use super::super::refusal;
use super::{Own, own};
use crate::inspect::Extent;

const COLUMNS: &str = r#"{"a": "int32"}"#;

fn extents(world: &Own) -> crate::Result<Vec<(u32, u64, u64)>> {
    let extents = world.source(COLUMNS, "").source.extents()?;
    Ok(extents.iter().map(|Extent { partition, first, next }| (*partition, first.0, next.0)).collect())
}

#[test]
fn the_extent_of_a_table_is_that_of_its_ids() {
    let Some(world) = own() else { return };
    assert_eq!(extents(&world).unwrap(), []);
    world.run("CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY, a INT)");
    assert_eq!(extents(&world).unwrap(), [(0, 0, 0)]);
    world.run("INSERT INTO t VALUES (7, 1), (8, 1), (900, 1)");
    assert_eq!(extents(&world).unwrap(), [(0, 7, 901)]);
    // What is not committed is not there yet, and is not waited for.
    let mut other = world.client();
    other.run("BEGIN; INSERT INTO t VALUES (901, 1); DELETE FROM t WHERE id = 7");
    assert_eq!(extents(&world).unwrap(), [(0, 7, 901)]);
    other.run("ROLLBACK");
    world.run(&format!("INSERT INTO t VALUES ({}, 1)", u64::MAX - 1));
    assert_eq!(extents(&world).unwrap(), [(0, 7, u64::MAX)]);
    world.run("ALTER TABLE t MODIFY id VARCHAR(30); INSERT INTO t VALUES ('x', 1)");
    let error = refusal(extents(&world));
    assert!(error.contains("id holds x"), "{error}");
}
