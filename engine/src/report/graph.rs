//! The compiled graph, as timely will run it.

use super::counted;
use super::summary::{heading, resume};
use crate::plan::{Plan, PlannedFlow};
use indicatif::{HumanBytes, HumanCount};
use std::fmt::Write;

/// Text of all flows: operators, the schema on each edge, the exchange, the commit point, the resume position.
pub(crate) fn graph(plan: &Plan) -> String {
    let mut text = format!("{}\n", heading(plan));
    for flow in &plan.flows {
        text.push('\n');
        text += &flow_graph(flow, plan.workers);
    }
    text
}

fn flow_graph(flow: &PlannedFlow, workers: u32) -> String {
    let built = &flow.built;
    let mut text = format!("flow {}\n", built.name);
    let node = |text: &mut String, name: &str, about: &str| {
        let _ = writeln!(text, "  {name:<24}{about}");
    };
    let edge = |text: &mut String, label: &str| {
        let _ = writeln!(text, "    | {label}");
    };
    let mut schema = built.source.schema.to_string();
    node(&mut text, &format!("read {}", built.source_name), &built.source.about.summary);
    for stage in &built.stages {
        edge(&mut text, &schema);
        node(&mut text, &stage.name, &stage.built.about.summary);
        schema = stage.built.schema.to_string();
    }
    edge(&mut text, &schema);
    edge(&mut text, &format!("exchange by partition over {}", counted(workers.into(), "worker")));
    node(&mut text, &format!("write {}", built.sink_name), &built.sink.about.summary);
    edge(&mut text, "receipts; spans on their own edge from read");
    let commit = &built.commit;
    let when = format!(
        "on worker 0, one version per epoch: every {:?}, {} rows or {}",
        commit.every.0,
        HumanCount(commit.rows),
        HumanBytes(commit.bytes.0)
    );
    node(&mut text, "commit", &when);
    edge(&mut text, "probe: at most two epochs in flight");
    node(&mut text, "resume", &resume(flow));
    text
}
