//! How fast it goes: `cargo test --release -p operators --lib sql::tests::mysql::speed -- --ignored --nocapture`.

use super::super::{ALL, at};
use super::{ids, own};
use futures_util::TryStreamExt;
use std::time::Instant;

const ROWS: usize = 1_000_000;

#[test]
#[ignore = "a measurement, for a release build"]
fn speed() {
    let Some(world) = own() else { return };
    world.run(
        "CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, station_id VARCHAR(50), date DATE, degrees DOUBLE);
         CREATE TABLE n (n INT); INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
         INSERT INTO t (station_id, date, degrees)
            SELECT CONCAT('station-', a.n), '2000-01-01' + INTERVAL (b.n + 10 * c.n) DAY, a.n + d.n / 100
            FROM n a, n b, n c, n d, n e, n f",
    );
    let built = world.source(r#"{"station_id": "string", "date": "string", "degrees": "float64"}"#, "");
    let mut best = [0.0_f64; 2];
    for _ in 0..3 {
        let start = Instant::now();
        let (mut reader, mut next) = (built.source.open(ALL, &at(0)).unwrap(), 0);
        assert_eq!(ids(&mut *reader, &mut next, ROWS).len(), ROWS);
        best[0] = best[0].max(ROWS as f64 / start.elapsed().as_secs_f64());
        let mut client = world.client();
        let start = Instant::now();
        let bare = operators_core::runtime::wait(async {
            let mut rows = sqlx::query("SELECT id, date, degrees, station_id FROM t ORDER BY id").fetch(&mut client.0);
            let mut count = 0;
            while rows.try_next().await.unwrap().is_some() {
                count += 1;
            }
            Ok(count)
        });
        assert_eq!(bare.unwrap(), ROWS);
        best[1] = best[1].max(ROWS as f64 / start.elapsed().as_secs_f64());
    }
    let [read, bare] = best;
    println!("source.table: {read:.0} rows/s; a bare SELECT: {bare:.0} rows/s; {:.2} of it", read / bare);
    assert!(read >= 300_000.0 || read >= 0.8 * bare);
}
