//! `/metrics`: the meters as OpenMetrics text, which Prometheus reads. Base units; counters begin at 0 with the process
//! and never go down.

use super::process::Process;
use super::view::View;
use axum::extract::State as Of;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use runtime::meter::{Health, Latency, Reading};
use std::fmt::Error;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(Of(view): Of<Arc<View>>) -> impl IntoResponse {
    match render(&view) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn render(view: &View) -> Result<String, Error> {
    let flows = view.flows.iter().map(|flow| (flow.name.clone(), flow.meter.read())).collect();
    Scrape { flows, process: Process::read() }.render()
}

/// All flows at one moment.
#[derive(Debug)]
struct Scrape {
    flows: Vec<(String, Reading)>,
    /// Where the system tells.
    process: Option<Process>,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        self.rows(&mut page)?;
        self.commits(&mut page)?;
        self.state(&mut page)?;
        self.process(&mut page)
    }
}

impl Scrape {
    fn render(self) -> Result<String, Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn rows(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let stages = |value: fn(&runtime::meter::StageReading) -> u64| {
            self.flows.iter().flat_map(move |(flow, reading)| {
                reading.passed.iter().map(move |stage| ([("flow", flow), ("stage", &stage.name)], value(stage)))
            })
        };
        let help = "Rows that a stage gave, or that a sink took; rows read again after a restart are counted again";
        page.counters("weatherflow_rows", help, None, stages(|stage| stage.rows))?;
        let help = "Bytes of memory that the columns of these rows held";
        page.counters("weatherflow", help, Some(&Unit::Bytes), stages(|stage| stage.bytes))?;
        let rejected = self.flows.iter().flat_map(|(flow, reading)| {
            let tally = reading.committed;
            [("filtered", tally.filtered), ("skipped", tally.skipped), ("dead_letter", tally.dead_letters)]
                .map(|(reason, rows)| ([("flow", flow.as_str()), ("reason", reason)], rows))
        });
        page.counters(
            "weatherflow_rejected_rows",
            "Committed rows that did not reach the sink's rows",
            None,
            rejected,
        )?;
        let lag = self.flows.iter().flat_map(|(flow, reading)| {
            let partition = move |(partition, rows): (&u32, &u64)| {
                ([("flow", flow.clone()), ("partition", partition.to_string())], *rows)
            };
            reading.lag.0.iter().map(partition)
        });
        page.gauges("weatherflow_lag_rows", "Rows in the source that are not read yet", None, lag)
    }

    fn commits(&self, page: &mut Page<'_>) -> Result<(), Error> {
        page.counters("weatherflow_commits", "Commits", None, self.each(|reading| reading.commits_made))?;
        let help = "Rows committed to the sink";
        page.counters("weatherflow_committed_rows", help, None, self.each(|reading| reading.committed.written))?;
        let help = "How long the sink took to publish a commit";
        let mut metric = page.0.encode_descriptor(
            "weatherflow_commit_duration",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (flow, reading) in &self.flows {
            let Latency { count, sum, .. } = reading.latency;
            let labels = [("flow", flow.as_str())];
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                sum.as_secs_f64(),
                count,
                &buckets(&reading.latency),
                None,
            )?;
        }
        let version = |reading: &Reading| Some(reading.last_commit.as_ref()?.1.version.0);
        page.gauges("weatherflow_last_commit_version", "Number of the last commit", None, self.known(version))?;
        let when = |reading: &Reading| Some(reading.last_commit_at?.duration_since(UNIX_EPOCH).ok()?.as_secs_f64());
        let help = "When the last commit was made, since 1970-01-01";
        page.gauges("weatherflow_last_commit_timestamp", help, Some(&Unit::Seconds), self.known(when))
    }

    fn state(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let help = "Epochs with rows that are not committed yet";
        page.gauges("weatherflow_epochs_in_flight", help, None, self.each(|reading| reading.epochs))?;
        let age = self.each(|reading| reading.epoch_age.unwrap_or_default().as_secs_f64());
        let help = "How long ago the oldest epoch in flight got its first row; 0 without one";
        page.gauges("weatherflow_epoch_age", help, Some(&Unit::Seconds), age)?;
        let help = "Bytes of rows on their way";
        page.gauges("weatherflow_memory_used", help, Some(&Unit::Bytes), self.each(|reading| reading.memory.0))?;
        let help = "Bytes of rows on their way at which the source waits";
        page.gauges("weatherflow_memory_limit", help, Some(&Unit::Bytes), self.each(|reading| reading.memory.1))?;
        let help = "How often the flow began again from its last commit";
        page.counters("weatherflow_restarts", help, None, self.each(|reading| reading.restarts))?;
        let help = "Whether the flow runs or has done all it had to (1), or has not begun or is in trouble (0)";
        page.gauges(
            "weatherflow_flow_up",
            help,
            None,
            self.each(|reading| u64::from(reading.done || matches!(reading.health, Health::Up(_)))),
        )?;
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        let mut metric = page.0.encode_descriptor("weatherflow_build", "The program", None, MetricType::Info)?;
        metric.encode_info(&labels)?;
        Ok(())
    }

    /// Under the names that every program has for them.
    fn process(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let Some(process) = &self.process else { return Ok(()) };
        let help = "Resident memory";
        let bytes = &Unit::Bytes;
        page.0
            .encode_descriptor("process_resident_memory", help, Some(bytes), MetricType::Gauge)?
            .encode_gauge(&process.resident)?;
        let help = "When the program was started, since 1970-01-01";
        page.0
            .encode_descriptor("process_start_time", help, Some(&Unit::Seconds), MetricType::Gauge)?
            .encode_gauge(&process.started)?;
        let help = "Time on a processor, in user and system mode";
        page.0
            .encode_descriptor("process_cpu", help, Some(&Unit::Seconds), MetricType::Counter)?
            .encode_counter::<NoLabelSet, f64, u64>(&process.seconds, None)
    }

    fn each<V>(&self, value: impl Fn(&Reading) -> V) -> impl Iterator<Item = ([(&str, &str); 1], V)> {
        self.known(move |reading| Some(value(reading)))
    }

    fn known<V>(&self, value: impl Fn(&Reading) -> Option<V>) -> impl Iterator<Item = ([(&str, &str); 1], V)> {
        self.flows.iter().filter_map(move |(flow, reading)| Some(([("flow", flow.as_str())], value(reading)?)))
    }
}

/// Writes families: a name, what it means, and a value for each set of labels.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, V, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// Number of commits between one bound and the next, where the meter counts all up to a bound.
fn buckets(latency: &Latency) -> Vec<(f64, u64)> {
    let bounds = Latency::BOUNDS.into_iter().chain([f64::INFINITY]);
    let up_to = latency.buckets.into_iter().chain([latency.count]);
    let before = [0].into_iter().chain(latency.buckets);
    bounds.zip(up_to.zip(before)).map(|(bound, (up_to, before))| (bound, up_to - before)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use operators_core::Checkpoint;
    use operators_core::position::Anchors;
    use operators_core::progress::{Fingerprint, Progress, Run, Tally, Version};
    use std::time::Instant;

    #[test]
    fn a_commit_whose_answer_was_lost_is_one_too() {
        let progress = Progress {
            version: Version(8),
            run: Run { id: "one".to_owned(), flow: "weather/archive".to_owned() },
            fingerprint: Fingerprint::default(),
            source: None,
            positions: Checkpoint::default(),
            anchors: Anchors::default(),
            totals: Tally::default(),
        };
        let reading = Reading {
            commits_made: 2,
            last_commit: Some((Instant::now(), progress)),
            latency: Latency { count: 1, ..Latency::default() },
            ..Reading::default()
        };
        let text = Scrape { flows: vec![("archive".to_owned(), reading)], process: None }.render().unwrap();
        for sample in ["commits_total{flow=\"archive\"} 2", "last_commit_version{flow=\"archive\"} 8"] {
            assert!(text.contains(&format!("weatherflow_{sample}\n")), "no {sample} in\n{text}");
        }
        assert!(text.contains("weatherflow_commit_duration_seconds_count{flow=\"archive\"} 1\n"), "{text}");
    }
}
