//! A few values out of the rows that pass by, for people who watch. Nothing rests on it: it costs next to nothing, its
//! memory is bounded, and whatever the rows are, it is never an error.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, Float64Type, TimestampSecondType};
use operators_core::chunk::{Chunk, Kind};
use operators_core::schema::Schema;
use operators_core::types::Family;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one look at the partitions lasts; each is looked at once in it.
const LOOK: Duration = Duration::from_millis(250);

/// Partitions looked at in one look.
const PARTITIONS: usize = 8;

/// Rows looked at in one chunk, the last ones.
const ROWS: usize = 512;

/// Series that are remembered, those seen first.
const SERIES: usize = 12;

/// Points that are remembered of each series, the last ones.
const POINTS: usize = 240;

/// Characters that are kept of the name of a series.
const NAME: usize = 40;

/// Watches the chunks of one flow, from any thread.
#[derive(Debug)]
pub struct Sampler {
    columns: Columns,
    seen: Mutex<Seen>,
}

/// Columns that may give a point, by index.
#[derive(Debug)]
struct Columns {
    names: Vec<String>,
    texts: Vec<usize>,
    times: Vec<usize>,
    value: usize,
}

#[derive(Debug, Default)]
struct Seen {
    look: Option<Look>,
    axes: Option<Axes>,
    /// Number of the next point.
    next: u64,
    series: BTreeMap<String, VecDeque<(u64, Point)>>,
}

/// The look that is on, and the partitions it has seen.
#[derive(Debug)]
struct Look {
    began: Instant,
    /// Source and target.
    partitions: BTreeSet<(u32, u32)>,
}

/// Which column tells what, known from the first rows on.
#[derive(Clone, Copy, Debug)]
struct Axes {
    series: Option<usize>,
    time: usize,
}

/// One value of one series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The text that tells series apart, or the name of the value's column where there is none.
    pub series: String,
    /// Seconds since 1970-01-01, as the row says.
    pub time: i64,
    /// A finite number.
    pub value: f64,
}

/// What passed by after a mark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Samples {
    /// The column of the values.
    pub value: String,
    /// The column that tells series apart.
    pub series: Option<String>,
    /// The column of the times.
    pub time: String,
    /// Points in the order they were seen.
    pub points: Vec<Point>,
    /// The mark that follows them.
    pub mark: u64,
}

impl Sampler {
    /// For rows of these columns: the first float is the value, the first date or timestamp the time, or else the first
    /// text that reads as one, and the first other text tells series apart. `None` where that gives no points.
    pub fn new(schema: &Schema) -> Option<Self> {
        let (mut texts, mut dates, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (index, column) in schema.columns().iter().enumerate() {
            match column.column_type.family() {
                Family::Text => texts.push(index),
                Family::Time => dates.push(index),
                Family::Real => values.push(index),
                Family::Bool | Family::Integer | Family::Bytes | Family::Other => {}
            }
        }
        let value = *values.first()?;
        let times = if dates.is_empty() { texts.clone() } else { dates };
        let names = schema.columns().iter().map(|column| column.name.clone()).collect();
        let columns = Columns { names, texts, times, value };
        (!columns.times.is_empty()).then(|| Self { columns, seen: Mutex::default() })
    }

    /// Looks at rows on their way; most of the time it does nothing, and it never waits.
    pub fn look(&self, chunk: &Chunk) {
        if chunk.kind != Kind::Rows || chunk.is_empty() {
            return;
        }
        if let Ok(mut seen) = self.seen.try_lock()
            && seen.is_due((chunk.source, chunk.partition))
        {
            seen.take(&self.columns, &chunk.rows);
        }
    }

    /// What was seen after a mark, 0 being before all; `None` before the first point.
    pub fn after(&self, mark: u64) -> Option<Samples> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let axes = seen.axes?;
        let mut points: Vec<_> = seen.series.values().flatten().filter(|(number, _)| *number >= mark).collect();
        points.sort_unstable_by_key(|(number, _)| *number);
        let name = |column: usize| self.columns.names.get(column).cloned().unwrap_or_default();
        Some(Samples {
            value: name(self.columns.value),
            series: axes.series.map(name),
            time: name(axes.time),
            points: points.into_iter().map(|(_, point)| point.clone()).collect(),
            mark: seen.next,
        })
    }
}

impl Seen {
    /// Whether a chunk of this partition is to be looked at. Each partition has its turn, as those of one topic often
    /// arrive together and hold other series.
    fn is_due(&mut self, partition: (u32, u32)) -> bool {
        let look = self.look.get_or_insert_with(|| Look { began: Instant::now(), partitions: BTreeSet::new() });
        if look.began.elapsed() >= LOOK {
            *look = Look { began: Instant::now(), partitions: BTreeSet::new() };
        }
        look.partitions.len() < PARTITIONS && look.partitions.insert(partition)
    }

    /// The last value of each series in these rows.
    fn take(&mut self, columns: &Columns, rows: &RecordBatch) -> Option<()> {
        let count = rows.num_rows().min(ROWS);
        let rows = rows.slice(rows.num_rows() - count, count);
        if self.axes.is_none() {
            self.axes = Axes::of(columns, &rows);
        }
        let axes = self.axes?;
        let times = times(&rows, axes.time)?;
        let times = times.as_primitive_opt::<TimestampSecondType>()?;
        let values = cast(rows.columns().get(columns.value)?, &Float64Type::DATA_TYPE).ok()?;
        let values = values.as_primitive_opt::<Float64Type>()?;
        let series = axes.series.and_then(|column| rows.columns().get(column)?.as_string_opt::<i32>());
        let whole = columns.names.get(columns.value)?.as_str();
        let mut last = BTreeMap::new();
        for row in (0..count).rev() {
            let name = series.map_or(whole, |series| if series.is_null(row) { "" } else { series.value(row) });
            if last.len() < SERIES && times.is_valid(row) && values.is_valid(row) && values.value(row).is_finite() {
                last.entry(name).or_insert((times.value(row), values.value(row)));
            }
        }
        for (name, (time, value)) in last {
            self.remember(name, time, value);
        }
        Some(())
    }

    fn remember(&mut self, name: &str, time: i64, value: f64) {
        let series: String = name.chars().take(NAME).collect();
        if !self.series.contains_key(&series) && self.series.len() == SERIES {
            return;
        }
        let points = self.series.entry(series.clone()).or_default();
        // Rows that are read again after a restart were seen before.
        if points.back().is_some_and(|(_, last)| last.time >= time) {
            return;
        }
        if points.len() == POINTS {
            points.pop_front();
        }
        points.push_back((self.next, Point { series, time, value }));
        self.next += 1;
    }
}

impl Axes {
    fn of(columns: &Columns, rows: &RecordBatch) -> Option<Self> {
        let reads = |column: &&usize| times(rows, **column).is_some_and(|times| times.null_count() < times.len());
        let time = *columns.times.iter().find(reads)?;
        let series = columns.texts.iter().find(|column| **column != time).copied();
        Some(Self { series, time })
    }
}

/// A column as times, null where it does not read as one.
fn times(rows: &RecordBatch, column: usize) -> Option<ArrayRef> {
    cast(rows.columns().get(column)?, &TimestampSecondType::DATA_TYPE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Float32Array, Float64Array, StringArray, TimestampMicrosecondArray, UInt64Array};
    use std::sync::Arc;

    fn chunk(partition: u32, columns: Vec<(&str, ArrayRef)>) -> Chunk {
        let rows = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
        Chunk::new(partition, UInt64Array::from_iter_values(0..rows.num_rows() as u64), rows)
    }

    fn reports(partition: u32, rows: &[(&str, &str, f64)]) -> Chunk {
        let dates: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
        let stations: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)));
        let degrees: ArrayRef = Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.2)));
        chunk(partition, vec![("date", dates), ("station_id", stations), ("degrees", degrees)])
    }

    fn seen(sampler: &Sampler, mark: u64) -> Vec<(String, i64, f64)> {
        let points = sampler.after(mark).map(|samples| samples.points).unwrap_or_default();
        points.into_iter().map(|point| (point.series, point.time, point.value)).collect()
    }

    #[test]
    fn a_text_that_reads_as_a_date_is_the_time() {
        let first = reports(0, &[("2000-01-01", "a", 1.0), ("2000-01-01", "b", 2.0), ("2000-01-02", "a", 3.0)]);
        let sampler = Sampler::new(&first.columns()).unwrap();
        assert_eq!(sampler.after(0), None);
        sampler.look(&first);
        let samples = sampler.after(0).unwrap();
        assert_eq!(
            (samples.value.as_str(), samples.series.as_deref(), samples.time.as_str()),
            ("degrees", Some("station_id"), "date")
        );
        let day = 946_684_800;
        assert_eq!(seen(&sampler, 0), [("a".to_owned(), day + 86_400, 3.0), ("b".to_owned(), day, 2.0)]);
        assert_eq!(seen(&sampler, samples.mark), []);
    }

    #[test]
    fn typed_times_and_single_floats_count_too() {
        let values: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.5), None, Some(f32::NAN)]));
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![1, 2, 3]));
        let sampler = |chunk: &Chunk| Sampler::new(&chunk.columns()).unwrap();
        let dated = chunk(0, vec![("v", Arc::clone(&values)), ("day", dates)]);
        let by_date = sampler(&dated);
        by_date.look(&dated);
        assert_eq!(seen(&by_date, 0), [("v".to_owned(), 86_400, 1.5)]);
        let stamps: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(5_000_000), None, Some(0)]));
        let stamped = chunk(0, vec![("at", stamps), ("v", values)]);
        let by_stamp = sampler(&stamped);
        by_stamp.look(&stamped);
        assert_eq!(seen(&by_stamp, 0), [("v".to_owned(), 5, 1.5)]);
    }

    #[test]
    fn rows_that_give_no_points_give_none() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["<b>", "x"]));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
        assert!(Sampler::new(&chunk(0, vec![("text", Arc::clone(&texts))]).columns()).is_none());
        assert!(Sampler::new(&chunk(0, vec![("v", Arc::clone(&floats))]).columns()).is_none());
        let undated = chunk(0, vec![("text", Arc::clone(&texts)), ("v", floats)]);
        let sampler = Sampler::new(&undated.columns()).unwrap();
        sampler.look(&undated);
        // Other rows than were announced.
        sampler.look(&chunk(1, vec![("text", texts)]));
        sampler.look(&Chunk { kind: Kind::DeadLetters, ..reports(2, &[("2000-01-01", "a", 1.0)]) });
        assert_eq!(sampler.after(0), None);
    }

    #[test]
    fn each_partition_has_one_turn_a_look() {
        let chunks: Vec<_> = [(0, "2000-01-01", "a"), (1, "2000-01-01", "b"), (0, "2000-01-02", "a")]
            .map(|(p, d, s)| reports(p, &[(d, s, 1.0)]))
            .into();
        let sampler = Sampler::new(&chunks[0].columns()).unwrap();
        sampler.seen.lock().unwrap().look =
            Some(Look { began: Instant::now() + Duration::from_secs(3600), partitions: BTreeSet::new() });
        chunks.iter().for_each(|chunk| sampler.look(chunk));
        assert_eq!(seen(&sampler, 0).len(), 2);
        for partition in 0..100 {
            sampler.look(&reports(partition, &[("2000-01-01", &format!("s{partition}"), 1.0)]));
        }
        assert_eq!(seen(&sampler, 0).len(), PARTITIONS);
    }

    #[test]
    fn memory_is_bounded_and_what_was_seen_is_not_seen_again() {
        let mut seen = Seen::default();
        let long = "x".repeat(10_000);
        for time in 0..1_000 {
            for name in 0..100 {
                seen.remember(&format!("{name}{long}"), time, 0.5);
            }
        }
        seen.remember(&format!("0{long}"), 7, 0.5);
        assert_eq!(seen.series.len(), SERIES);
        assert!(seen.series.iter().all(|(name, points)| name.len() == NAME && points.len() == POINTS));
        assert_eq!(seen.next, 1_000 * SERIES as u64);
    }
}
