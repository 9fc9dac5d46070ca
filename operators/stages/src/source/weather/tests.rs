use super::*;
use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use operators_core::source_contract::{self, Growth, Recreation, SourceWorld};
use proptest::prelude::*;

const ALONE: Share = Share { index: 0, of: 1 };

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// `days` days of `stations` stations, as fast as it goes.
fn bounded(stations: u32, days: u64) -> WeatherConfig {
    let first_day = day("2000-02-20");
    let last_day = first_day.checked_add_days(Days::new(days - 1));
    WeatherConfig { stations, first_day, last_day, every: Interval(Duration::ZERO), seed: 7 }
}

fn reader(config: &WeatherConfig, from: u64) -> WeatherReader {
    let BuiltSource { schema, .. } = config.build().unwrap();
    WeatherReader::open(Weather { config: config.clone(), schema }, Position(from)).unwrap()
}

/// The rows of one read, checked against `expected` and their span.
fn rows(read: Read, config: &WeatherConfig) -> std::ops::Range<u64> {
    let Read::Rows(chunk, span) = read else { panic!("no rows but {read:?}") };
    assert!(span.to.0 - span.from.0 <= CHUNK && !chunk.is_empty());
    assert_eq!((span.partition, span.rows, chunk.source, chunk.partition), (0, chunk.len(), 0, 0));
    assert!(chunk.positions.values().iter().copied().eq(span.from.0..span.to.0));
    let (stations, dates) = (chunk.rows.column(0).as_string::<i32>(), chunk.rows.column(1).as_string::<i32>());
    let degrees = chunk.rows.column(2).as_primitive::<Float64Type>();
    for (i, row) in (span.from.0..span.to.0).enumerate() {
        let given = (stations.value(i).to_owned(), dates.value(i).to_owned(), degrees.value(i));
        assert_eq!(given, expected(config, row), "row {row}");
    }
    span.from.0..span.to.0
}

/// All that is left to a reader, as the row numbers of each read.
fn drain(mut reader: WeatherReader, config: &WeatherConfig) -> Vec<std::ops::Range<u64>> {
    let mut found = Vec::new();
    loop {
        match reader.read().unwrap() {
            Read::End => return found,
            read => found.push(rows(read, config)),
        }
    }
}

#[test]
fn the_first_rows_are_these() {
    // Committed rows must come out again the same: a change here needs another entry in the fingerprint.
    let row = |seed, row| expected(&WeatherConfig { seed, ..WeatherConfig::default() }, row);
    let given = |station: &str, date: &str, degrees| (station.to_owned(), date.to_owned(), degrees);
    assert_eq!(row(0, 0), given("station-00", "2000-01-01", -12.79));
    assert_eq!(row(1, 0), given("station-00", "2000-01-01", 22.15));
    assert_eq!(row(0, 3_655), given("station-05", "2000-12-31", -21.69));
}

#[test]
fn station_names_sort() {
    for stations in [1, 10, 100, 101, 1000, 1001] {
        let config = bounded(stations, 1);
        let names: Vec<_> = (0..u64::from(stations)).map(|row| expected(&config, row).0).collect();
        assert!(names.is_sorted(), "{names:?}");
    }
    assert_eq!(expected(&bounded(100, 1), 99).0, "station-99");
    assert_eq!(expected(&bounded(101, 1), 99).0, "station-099");
}

#[test]
fn a_row_depends_on_seed_station_and_date_alone() {
    let config = bounded(10, 1000);
    let shifted = WeatherConfig { first_day: day("2000-02-29"), stations: 20, ..config.clone() };
    let (_, date, degrees) = expected(&config, 9 * 10 + 3);
    assert_eq!((date.as_str(), degrees), ("2000-02-29", expected(&shifted, 3).2));

    let other = WeatherConfig { seed: 8, ..config.clone() };
    let same = (0..10_000).filter(|&row| expected(&config, row).2 == expected(&other, row).2).count();
    assert!(same < 100, "{same} of 10000 rows are equal under two seeds");
}

proptest! {
    /// Wherever a run is cut, the reader opened there gives the rest of the same rows, in order and without a gap.
    #[test]
    fn a_restart_goes_on_with_the_same_rows(stations in 1u32..50, days in 1u64..400, cut in 0.0..=1.0) {
        let config = bounded(stations, days);
        let end = days * u64::from(stations);
        let cut = (end as f64 * cut) as u64;
        let mut next = cut;
        for read in drain(reader(&config, cut), &config) {
            prop_assert_eq!(read.start, next);
            next = read.end;
        }
        prop_assert_eq!(next, end);
    }
}

#[test]
fn weather_is_plausible() {
    let config = WeatherConfig { stations: 30, first_day: day("2001-01-01"), ..WeatherConfig::default() };
    let latitudes: Vec<_> = (0..30).map(|station| latitude(config.seed, station)).collect();
    let years = 10;
    let mut zeros = 0;
    for (station, latitude) in latitudes.iter().enumerate() {
        let series: Vec<(NaiveDate, f64)> = (0..365 * years)
            .map(|day| expected(&config, day * 30 + station as u64))
            .map(|(_, date, degrees)| (date.parse().unwrap(), degrees))
            .collect();
        let mean_of = |keep: &dyn Fn(NaiveDate) -> bool| mean(series.iter().filter(|(d, _)| keep(*d)).map(|(_, t)| *t));
        let name = format!("station {station} at {latitude:.0}");

        let climate = 27.0 - 38.0 * latitude.to_radians().sin().powi(2);
        let year = mean_of(&|_| true);
        assert!((year - climate).abs() < 1.5, "{name}: {year:.1} on average, {climate:.1} expected");
        assert!(
            series.iter().all(|(_, t)| (-70.0..60.0).contains(t) && (t * 100.0 - (t * 100.0).round()).abs() < 1e-6)
        );

        zeros += series.iter().filter(|(_, t)| *t == 0.0).count();
        assert!(series.iter().all(|(_, t)| *t != 0.0 || t.is_sign_positive()), "{name}: there is a -0");

        let warming = mean_of(&|d| d.month() == 7) - mean_of(&|d| d.month() == 1);
        let expected = 0.55 * latitude;
        assert!((warming - expected).abs() < 5.0, "{name}: July is {warming:.1} warmer, {expected:.1} expected");

        let changes: Vec<_> = series.iter().map(|(d, t)| t - climate + 0.28 * latitude * phase(*d).cos()).collect();
        let lag_1 = autocorrelation(&changes, 1);
        assert!((0.5..0.99).contains(&lag_1), "{name}: correlation with the day before {lag_1:.2}");
        let lag_120 = autocorrelation(&changes, 120);
        assert!(lag_120.abs() < 0.3, "{name}: correlation with four months before {lag_120:.2}");
    }
    let (south, north) =
        (latitudes.iter().filter(|l| **l < -20.0).count(), latitudes.iter().filter(|l| **l > 20.0).count());
    assert!(south >= 5 && north >= 8, "{south} southern and {north} northern stations of 30");
    assert!(zeros > 10, "{zeros} days of 0 degrees are too few to tell whether -0 is kept out");
    println!("30 stations over {years} years, {south} of them far south, {north} far north");
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    let mean = mean(values.iter().copied());
    let product = |(a, b): (&f64, &f64)| (a - mean) * (b - mean);
    let lagged: f64 = values.iter().zip(&values[lag..]).map(product).sum();
    let variance: f64 = values.iter().zip(values).map(product).sum();
    lagged / variance
}

#[test]
fn a_day_is_given_when_it_is_due() {
    let every = Duration::from_millis(100);
    let config = WeatherConfig { last_day: None, every: Interval(every), ..bounded(10, 1) };
    // Resumed in the middle of a day, whose rest is due at once.
    let mut reader = reader(&config, 23);
    let start = Instant::now();
    let ms = |ms| start + Duration::from_millis(ms);
    let mut at = |moment| reader.read_at(moment).unwrap();
    assert_eq!(rows(at(ms(0)), &config), 23..30);
    assert!(matches!(at(ms(0)), Read::CaughtUp(wait) if wait == every));
    assert!(matches!(at(ms(70)), Read::CaughtUp(wait) if wait == Duration::from_millis(30)));
    assert_eq!(rows(at(ms(100)), &config), 30..40);
    // A late call moves no later day.
    assert_eq!(rows(at(ms(250)), &config), 40..50);
    assert!(matches!(at(ms(250)), Read::CaughtUp(wait) if wait == Duration::from_millis(50)));
    // Several days at once, and no more than a chunk holds.
    assert_eq!(rows(at(ms(550)), &config), 50..80);
    assert_eq!(rows(at(ms(200_050)), &config), 80..80 + CHUNK);
    assert_eq!(rows(at(ms(200_050)), &config), 80 + CHUNK..80 + 2 * CHUNK);
    assert_eq!(rows(at(ms(200_050)), &config), 80 + 2 * CHUNK..20_030);
    // A clock that seems to run backwards gives nothing twice.
    assert!(matches!(at(ms(0)), Read::CaughtUp(_)));
}

#[test]
fn an_end_that_is_known_makes_pauses_and_an_end() {
    let config = WeatherConfig { every: Interval(Duration::from_secs(1)), ..bounded(3, 2) };
    let mut reader = reader(&config, 0);
    let start = Instant::now();
    let mut at = |seconds| reader.read_at(start + Duration::from_secs(seconds)).unwrap();
    assert_eq!(rows(at(0), &config), 0..3);
    assert!(matches!(at(0), Read::Pause(wait) if wait == Duration::from_secs(1)));
    assert_eq!(rows(at(1000), &config), 3..6);
    assert!(matches!(at(1000), Read::End));
    assert!(matches!(at(1000), Read::End));
}

#[test]
fn the_longest_pace_and_the_last_day_do_not_overflow() {
    let config = WeatherConfig {
        stations: MOST_STATIONS,
        first_day: day("9999-12-31"),
        last_day: None,
        every: Interval(Duration::MAX),
        seed: u64::MAX,
    };
    let mut reader = reader(&config, 0);
    assert_eq!(rows(reader.read().unwrap(), &config), 0..CHUNK);
    let whole = WeatherConfig { first_day: day("0001-01-01"), ..config };
    assert_eq!(whole.rows(), 3_652_059 * u64::from(MOST_STATIONS));
    assert_eq!(expected(&whole, whole.rows() - 1).1, "9999-12-31");
    assert_eq!(expected(&whole, 0).1, "0001-01-01");
}

#[test]
fn a_position_after_the_end_is_refused() {
    let source = bounded(10, 5).build().unwrap().source;
    let open = |position| source.open(ALONE, &Checkpoint([(0, Position(position))].into()));
    assert!(matches!(open(50).unwrap().read().unwrap(), Read::End));
    let Err(error) = open(51) else { panic!("row 51 of 50 was accepted") };
    let text = error.to_string();
    assert!(["row 51", "row 50", "2000-02-24", "last_day"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn only_one_share_reads() {
    let source = bounded(10, 5).build().unwrap().source;
    let readers = (0..4).map(|index| source.open(Share { index, of: 4 }, &Checkpoint::default()).unwrap());
    let first: Vec<_> = readers.map(|mut reader| matches!(reader.read().unwrap(), Read::Rows(..))).collect();
    assert_eq!(first, [true, false, false, false]);
}

#[test]
fn what_is_left_is_known_where_there_is_a_last_day() {
    let lag = |config: &WeatherConfig, from| {
        let from = Checkpoint([(0, Position(from))].into());
        config.build().unwrap().source.open(Share { index: 0, of: 1 }, &from).unwrap().lag().unwrap().total()
    };
    assert_eq!(
        (lag(&bounded(10, 5), 0), lag(&bounded(10, 5), 30), lag(&bounded(10, 5), 50)),
        (Some(50), Some(20), Some(0))
    );
    assert_eq!(lag(&WeatherConfig::default(), 30), None);
}

#[test]
fn counts_are_of_rows_that_exist() {
    let source = bounded(10, 5).build().unwrap().source;
    let count = |partition, from, to| {
        let span = Span { partition, from: Position(from), to: Position(to), rows: 0, anchor: None };
        source.count(&span, &mut |_| {}).unwrap()
    };
    assert_eq!(count(0, 7, 31), Recount::Complete(24));
    assert_eq!(count(0, 40, 50), Recount::Complete(10));
    assert_eq!(count(0, 40, 60), Recount::Partial(10, Removal::LastDay));
    assert_eq!(count(0, 60, 70), Recount::Partial(0, Removal::LastDay));
    assert_eq!(count(1, 0, 10), Recount::Gone);
}

#[test]
fn wrong_configs_are_named_key_by_key() {
    let keys = |config: &WeatherConfig| {
        let Err(problems) = config.build() else { panic!("{config:?} was accepted") };
        problems.into_iter().flat_map(|problem| problem.at).collect::<Vec<_>>()
    };
    let right = bounded(10, 5);
    assert_eq!(keys(&WeatherConfig { stations: 0, ..right.clone() }), ["stations"]);
    assert_eq!(keys(&WeatherConfig { stations: MOST_STATIONS + 1, ..right.clone() }), ["stations"]);
    assert_eq!(keys(&WeatherConfig { last_day: Some(day("2000-02-19")), ..right.clone() }), ["last_day"]);
    assert_eq!(keys(&WeatherConfig { last_day: Some(day("+10000-01-01")), ..right.clone() }), ["last_day"]);
    let all = WeatherConfig { stations: 0, first_day: day("0000-12-31"), last_day: Some(day("-0001-01-01")), ..right };
    assert_eq!(keys(&all), ["stations", "first_day", "last_day", "last_day"]);
}

#[test]
fn says_what_it_is() {
    let summary = |config: &WeatherConfig| config.build().unwrap().about.summary;
    let config = WeatherConfig::default();
    assert_eq!(summary(&config), "10 simulated stations from 2000-01-01, one day every 100ms");
    let one = WeatherConfig { first_day: day("2000-01-01"), ..bounded(1, 2) };
    let until = WeatherConfig { last_day: Some(day("2000-01-02")), ..one };
    assert_eq!(summary(&until), "1 simulated station from 2000-01-01 to 2000-01-02, as fast as it goes");

    let fingerprint = |config: &WeatherConfig| config.build().unwrap().about.fingerprint;
    let harmless =
        WeatherConfig { last_day: Some(day("2030-01-01")), every: Interval(Duration::ZERO), ..config.clone() };
    assert_eq!(fingerprint(&config), fingerprint(&harmless));
    let first_day = day("2001-01-01");
    for other in [
        WeatherConfig { stations: 11, ..config.clone() },
        WeatherConfig { first_day, ..config.clone() },
        WeatherConfig { seed: 1, ..config.clone() },
    ] {
        assert_ne!(fingerprint(&config), fingerprint(&other));
    }
}

struct Bounded;

impl SourceWorld for Bounded {
    fn source(&self) -> Arc<dyn Source> {
        bounded(4, 5).build().unwrap().source
    }

    fn partitions(&self) -> u32 {
        1
    }

    fn add(&self) -> Growth {
        Growth::Ends
    }

    fn recreate(&self) -> Recreation {
        Recreation::NoIdentity
    }
}

#[test]
fn it_is_a_source() {
    source_contract::suite(|| Bounded);
}
