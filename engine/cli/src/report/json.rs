//! A program: a JSON object a line, each with the time, the event and, where it is about one, the flow.

use super::log::EVERY;
use super::now::Now;
use super::print::{Said, say};
use super::show::{Meters, Show};
use runtime::Failure;
use runtime::plan::{Plan, PlannedFlow, Resume};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Json {
    printed: Option<Instant>,
}

impl Show for Json {
    fn begin(&mut self, plan: &Plan, page: Option<&str>) -> Said {
        if let Some(page) = page {
            print("http", json!({"url": page}))?;
        }
        plan.flows.iter().try_for_each(|flow| print("begin", begin(flow)))
    }

    fn show(&mut self, flows: &[Now]) -> Said {
        if self.printed.get_or_insert_with(Instant::now).elapsed() < EVERY {
            return Ok(());
        }
        self.printed = Some(Instant::now());
        flows.iter().try_for_each(|flow| print("running", running(flow)))
    }

    fn trouble(&mut self, failure: &Failure) -> Said {
        let Failure { flow, stage, reason, .. } = failure;
        print("restart", json!({"flow": flow, "stage": stage, "reason": reason}))
    }

    fn stopping(&mut self) -> Said {
        print("stopping", json!({}))
    }

    fn end(&mut self, meters: &Meters, took: Duration, _verify: &str) -> Said {
        for (flow, meter) in meters {
            let reading = meter.read();
            let last = reading.last_commit.as_ref().map(|(_, progress)| progress);
            print(
                "end",
                json!({
                    "flow": flow,
                    "seconds": took.as_secs_f64(),
                    "committed": reading.committed,
                    "version": last.map(|progress| progress.version),
                    "positions": last.map(|progress| &progress.positions),
                    "restarts": reading.restarts,
                }),
            )?;
        }
        Ok(())
    }
}

/// Prints an event with its time.
fn print(event: &str, about: Value) -> Said {
    let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let mut object = json!({"at": at, "event": event});
    if let (Value::Object(object), Value::Object(about)) = (&mut object, about) {
        object.extend(about);
    }
    say(object)
}

fn begin(flow: &PlannedFlow) -> Value {
    let built = &flow.built;
    let mut begin = json!({
        "flow": built.name,
        "stages": built.stage_names(),
        "from": built.source.about.summary,
        "to": built.sink.about.summary,
    });
    let (key, value) = match &flow.resume {
        Resume::Beginning => return begin,
        Resume::After(progress) => ("after", json!({"version": progress.version, "positions": progress.positions})),
        Resume::Unknown(reason) => ("unknown", json!(reason)),
        Resume::Refused(reason) => ("refused", json!(reason)),
    };
    begin[key] = value;
    begin
}

fn running(now: &Now) -> Value {
    let Now { flow, reading, rate, .. } = now;
    let (used, limit) = reading.memory;
    json!({
        "flow": flow,
        "rows": reading.read,
        "rows_per_second": rate.round(),
        "committed": reading.committed,
        "version": reading.last_commit.as_ref().map(|(_, progress)| progress.version),
        "commit_seconds": reading.commits.last().map(|landed| landed.took.as_secs_f64()),
        "commit_age_seconds": reading.last_commit.as_ref().map(|(at, _)| at.elapsed().as_secs_f64()),
        "epochs": reading.epochs,
        "epoch_age_seconds": reading.epoch_age.map(|age| age.as_secs_f64()),
        "lag": reading.lag,
        "memory_bytes": used,
        "memory_limit_bytes": limit,
        "restarts": reading.restarts,
        "trouble": reading.trouble().map(|failure| &failure.reason),
        "done": reading.done,
    })
}
