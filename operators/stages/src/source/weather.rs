//! `source.weather`: simulated stations, one row per station and day.
//!
//! One source partition, 0. Position `n` is row `n`: station `n % stations` on the day `n / stations` days after the
//! first, so that every row can be made again from its position alone; `degrees` below has the formula.

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringBuilder, UInt64Array};
use chrono::{Datelike, Days, NaiveDate};
use operators_core::chunk::Chunk;
use operators_core::config::Interval;
use operators_core::error::{Error, Problem, Result};
use operators_core::inspect::Inspect;
use operators_core::position::{Checkpoint, Lag, Position, Span};
use operators_core::schema::{Column, Schema};
use operators_core::stage::{About, BuiltSource, Read, Reader, Recount, Removal, Share, Source};
use operators_core::types::ColumnType;
use schemars::JsonSchema;
use serde::Deserialize;
use std::f64::consts::TAU;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of one chunk at most.
const CHUNK: u64 = 8192;

/// More stations than any weather service has; keeps every row number far inside 64 bits.
const MOST_STATIONS: u32 = 1_000_000;

const PARTITION: u32 = 0;

/// Simulated weather stations: day d of station s is a pure function of the seed.
///
/// Gives the columns `station_id` (`station-00`), `date` (`YYYY-MM-DD`) and `degrees` (Celsius, two decimals).
///
/// ```toml
/// [flow.source.weather]
/// stations = 10
/// every = "0.1s"
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WeatherConfig {
    /// Number of stations.
    pub stations: u32,
    /// First simulated day.
    pub first_day: NaiveDate,
    /// Last simulated day; without one the source goes on to 9999-12-31.
    pub last_day: Option<NaiveDate>,
    /// Pause after each simulated day; 0 is as fast as it goes.
    pub every: Interval,
    /// Another seed gives other weather.
    pub seed: u64,
}

impl Default for WeatherConfig {
    fn default() -> Self {
        Self {
            stations: 10,
            first_day: NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default(),
            last_day: None,
            every: Interval(Duration::from_millis(100)),
            seed: 0,
        }
    }
}

impl WeatherConfig {
    pub(super) fn build(&self) -> Result<BuiltSource, Vec<Problem>> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let schema = Schema::new(vec![
            Column::new("station_id", ColumnType::String, false),
            Column::new("date", ColumnType::String, false),
            Column::new("degrees", ColumnType::Float64, false),
        ]);
        Ok(BuiltSource {
            source: Arc::new(Weather { config: self.clone(), schema: schema.clone() }),
            schema,
            place: "weather".to_owned(),
            about: About {
                summary: self.summary(),
                fingerprint: vec![
                    ("stations", self.stations.to_string()),
                    ("first_day", self.first_day.to_string()),
                    ("seed", self.seed.to_string()),
                ],
            },
        })
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.stations == 0 || self.stations > MOST_STATIONS {
            problems.push(
                Problem::at("stations", format!("there cannot be {} stations", self.stations))
                    .help(format!("a number from 1 to {MOST_STATIONS}")),
            );
        }
        for (key, day) in [("first_day", Some(self.first_day)), ("last_day", self.last_day)] {
            if let Some(day) = day.filter(|day| !(1..=9999).contains(&day.year())) {
                problems.push(
                    Problem::at(key, format!("{day} is not a day this source can simulate"))
                        .help("a day from 0001-01-01 to 9999-12-31"),
                );
            }
        }
        if let Some(last_day) = self.last_day.filter(|last_day| *last_day < self.first_day) {
            problems.push(
                Problem::at("last_day", format!("the last day, {last_day}, is before the first, {}", self.first_day))
                    .help("the same day or a later one"),
            );
        }
        problems
    }

    fn summary(&self) -> String {
        let stations = if self.stations == 1 { "station" } else { "stations" };
        let until = self.last_day.map(|day| format!(" to {day}")).unwrap_or_default();
        let pace = match self.every.0 {
            Duration::ZERO => "as fast as it goes".to_owned(),
            every => format!("one day every {every:?}"),
        };
        format!("{} simulated {stations} from {}{until}, {pace}", self.stations, self.first_day)
    }

    /// Number of rows from the first day to the last.
    fn rows(&self) -> u64 {
        let last_day = self.last_day.or(NaiveDate::from_ymd_opt(9999, 12, 31)).unwrap_or(NaiveDate::MAX);
        let days = last_day.signed_duration_since(self.first_day).num_days() + 1;
        days.unsigned_abs() * u64::from(self.stations)
    }

    /// The day and the station of a row.
    fn day_and_station(&self, row: u64) -> (NaiveDate, u32) {
        let stations = u64::from(self.stations);
        let day = self.first_day.checked_add_days(Days::new(row / stations)).unwrap_or(NaiveDate::MAX);
        (day, (row % stations) as u32)
    }

    /// The name of a station, with as many digits as the last one needs and two at least, so that names sort.
    fn name(&self, station: u32) -> impl fmt::Display {
        let digits = (self.stations - 1).checked_ilog10().map_or(1, |digits| digits as usize + 1).max(2);
        fmt::from_fn(move |f| write!(f, "station-{station:0digits$}"))
    }
}

/// What a row says: station, date and degrees. For configs that `build` accepts and rows before the end of the last
/// day; what the source gives is this, row by row.
pub fn expected(config: &WeatherConfig, row: u64) -> (String, String, f64) {
    let (day, station) = config.day_and_station(row);
    (config.name(station).to_string(), day.to_string(), degrees(config.seed, station, day))
}

/// Mean temperature of a station on a day in degrees Celsius, rounded to two decimals; never -0.
///
/// ```text
/// climate =  27 - 38 * sin²(latitude)                     27 at the equator, 8 at 45 degrees, -2 at 60
/// season  = -0.28 * latitude * cos(phase)                 coldest in January; half a year later in the south
/// weather =  4 * noise(4) + 3 * noise(11) + 2 * noise(37) changes over days, weeks and a month
/// ```
fn degrees(seed: u64, station: u32, day: NaiveDate) -> f64 {
    let latitude = latitude(seed, station);
    let climate = 27.0 - 38.0 * latitude.to_radians().sin().powi(2);
    let season = -0.28 * latitude * phase(day).cos();
    let own = mix(seed ^ mix(u64::from(station)));
    let day = day.num_days_from_ce();
    let weather = 4.0 * noise(own, day, 4) + 3.0 * noise(own, day, 11) + 2.0 * noise(own, day, 37);
    // Adding 0 turns -0 into 0, which some readers would print and compare as another number.
    ((climate + season + weather) * 100.0).round() / 100.0 + 0.0
}

/// In degrees, south of the equator negative. Stations step by the golden ratio from a start that the seed gives, which
/// spreads any number of them evenly between 60° S and 70° N.
fn latitude(seed: u64, station: u32) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    -60.0 + 130.0 * (unit(mix(seed)) + f64::from(station) * GOLDEN).fract()
}

/// The time of the year as an angle, 0 on 20 January.
fn phase(day: NaiveDate) -> f64 {
    const YEAR: f64 = 365.2425;
    const COLDEST: i32 = 730_139; // 2000-01-20, counted as `num_days_from_ce` does
    TAU * f64::from(day.num_days_from_ce() - COLDEST) / YEAR
}

/// Smooth noise from -1 to 1: random values every `scale` days, with smooth curves between them.
fn noise(seed: u64, day: i32, scale: i32) -> f64 {
    let knot = |index: i32| 2.0 * unit(mix(seed ^ mix((index as u64) ^ ((scale as u64) << 32)))) - 1.0;
    let index = day.div_euclid(scale);
    let along = f64::from(day.rem_euclid(scale)) / f64::from(scale);
    let smooth = along * along * (3.0 - 2.0 * along);
    let (from, to) = (knot(index), knot(index + 1));
    from + (to - from) * smooth
}

/// Scatters the bits of a number (the finalizer of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The upper 53 bits as a number in `[0, 1)`.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[derive(Clone)]
struct Weather {
    config: WeatherConfig,
    schema: Schema,
}

impl Inspect for Weather {}

impl Source for Weather {
    fn open(&self, share: Share, from: &Checkpoint) -> Result<Box<dyn Reader>> {
        if !share.owns(PARTITION) {
            return Ok(Box::new(Nothing));
        }
        let next = from.position(PARTITION).unwrap_or_default();
        Ok(Box::new(WeatherReader::open(self.clone(), next)?))
    }

    fn identity(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn count(&self, span: &Span, _: &mut dyn FnMut(u64)) -> Result<Recount> {
        if span.partition != PARTITION {
            return Ok(Recount::Gone);
        }
        let end = self.config.rows();
        let rows = span.to.0.min(end).saturating_sub(span.from.0);
        let is_whole = span.to.0 <= end;
        Ok(if is_whole { Recount::Complete(rows) } else { Recount::Partial(rows, Removal::LastDay) })
    }
}

/// The reader of a share without the only partition.
struct Nothing;

impl Reader for Nothing {
    fn read(&mut self) -> Result<Read> {
        Ok(Read::End)
    }

    fn lag(&mut self) -> Result<Lag> {
        Ok(Lag::default())
    }
}

struct WeatherReader {
    weather: Weather,
    /// The next row to give.
    next: u64,
    /// The first row after the last day.
    end: u64,
    /// When the first day was due; the day `n` days later is due `n * every` later.
    first_due: Option<FirstDue>,
}

#[derive(Clone, Copy)]
struct FirstDue {
    at: Instant,
    day: u64,
}

impl WeatherReader {
    fn open(weather: Weather, next: Position) -> Result<Self> {
        let end = weather.config.rows();
        if next.0 > end {
            let reason = format!(
                "the commits stand at row {next}, and {} ends with row {end}. Set last_day back to what it was, or to a \
                 later day",
                weather.config.summary()
            );
            return Err(Error::Refused { place: "source.weather".to_owned(), reason });
        }
        Ok(Self { weather, next: next.0, end, first_due: None })
    }

    /// What [`Reader::read`] gives at a moment.
    fn read_at(&mut self, now: Instant) -> Result<Read> {
        if self.next == self.end {
            return Ok(Read::End);
        }
        let (due, wait) = self.due(now);
        if self.next < due {
            return self.rows(due.min(self.next + CHUNK));
        }
        Ok(match self.weather.config.last_day {
            Some(_) => Read::Pause(wait),
            None => Read::CaughtUp(wait),
        })
    }

    /// The first row that is not due yet, and the time until it is.
    fn due(&mut self, now: Instant) -> (u64, Duration) {
        let every = self.weather.config.every.0.as_nanos();
        if every == 0 {
            return (self.end, Duration::ZERO);
        }
        let stations = u64::from(self.weather.config.stations);
        // The clock starts with the first call: the time the program was down is not made up for.
        let first = *self.first_due.get_or_insert(FirstDue { at: now, day: self.next / stations });
        let elapsed = now.saturating_duration_since(first.at).as_nanos();
        let days = u64::try_from(elapsed / every).unwrap_or(u64::MAX);
        let due = first.day.saturating_add(days).saturating_add(1).saturating_mul(stations);
        let wait = Duration::from_nanos_u128(every - elapsed % every);
        (due.min(self.end), wait)
    }

    /// The rows from the next one to `to`, where the next call goes on.
    fn rows(&mut self, to: u64) -> Result<Read> {
        let config = &self.weather.config;
        let from = self.next;
        let count = (to - from) as usize;
        let mut stations = StringBuilder::with_capacity(count, count * "station-0000".len());
        let mut dates = StringBuilder::with_capacity(count, count * "2000-01-01".len());
        let mut celsius = Vec::with_capacity(count);
        let mut row = from;
        while row < to {
            let (day, station) = config.day_and_station(row);
            let date = day.to_string();
            let left_of_day = u64::from(config.stations - station).min(to - row);
            for station in (station..).take(left_of_day as usize) {
                stations.append_value(config.name(station).to_string());
                dates.append_value(&date);
                celsius.push(degrees(config.seed, station, day));
            }
            row += left_of_day;
        }
        let columns: Vec<ArrayRef> =
            vec![Arc::new(stations.finish()), Arc::new(dates.finish()), Arc::new(Float64Array::from(celsius))];
        let rows = RecordBatch::try_new(Arc::clone(self.weather.schema.arrow()), columns)?;
        let positions = UInt64Array::from_iter_values(from..to);
        let span = Span { partition: PARTITION, from: Position(from), to: Position(to), rows: to - from, anchor: None };
        self.next = to;
        Ok(Read::Rows(Chunk::new(PARTITION, positions, rows), span))
    }
}

impl Reader for WeatherReader {
    fn read(&mut self) -> Result<Read> {
        self.read_at(Instant::now())
    }

    /// What is left up to the last day. Without one rows are made when they are due, and none ever waits.
    fn lag(&mut self) -> Result<Lag> {
        let is_bounded = self.weather.config.last_day.is_some();
        Ok(if is_bounded { Lag::of(PARTITION, self.end - self.next) } else { Lag::default() })
    }
}

#[cfg(test)]
mod tests;
