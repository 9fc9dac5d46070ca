//! `source.weather`: simulated stations, one row per station and day.

use crate::config::Interval;
use crate::error::Problem;
use crate::stage::BuiltSource;
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Simulated weather stations: day d of station s is a pure function of the seed.
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
        unimplemented!()
    }
}
