//! `run --http`: what programs are told, who may ask, and that no asking changes a row.

use crate::common::served::{Answer, Served, wait_for};
use crate::common::{Job, both, tests};
use http::{Request, Version, header::HOST};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::project;

/// A sample's name and labels, and its value.
type Samples = BTreeMap<String, f64>;

/// What Prometheus' own parser makes of a scrape: all samples, and those that may never go down; `None`, said loudly,
/// where it is not installed.
fn parsed(text: &str) -> Option<(Samples, Samples)> {
    let python = project().join("target/python/bin/python");
    let script = tests().join("it/common/metrics.py");
    let has_parser = Command::new(&python).args(["-c", "import prometheus_client"]).output();
    if !has_parser.is_ok_and(|output| output.status.success()) {
        crate::common::skipped("metrics were not parsed, there is no prometheus_client in target/python");
        return None;
    }
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{text}", both(&output));
    let (mut all, mut counters) = (Samples::new(), Samples::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let name = format!("{} {}", sample["name"].as_str().unwrap(), sample["labels"]);
        let value = sample["value"].as_f64().unwrap();
        if ["counter", "histogram"].contains(&sample["type"].as_str().unwrap()) {
            counters.insert(name.clone(), value);
        }
        assert!(all.insert(name, value).is_none(), "{line} twice");
    }
    Some((all, counters))
}

/// The main job, whose archive filters twice.
fn filtering() -> Job {
    const SELECT: &str = "[[flow.transform]]\nselect";
    const FILTER: &str = "[[flow.transform]]\nfilter = { column = \"degrees\", is_null = false }\n\n";
    Job::of("weather.toml", 10, 100_000, "20ms", "200ms", |file| {
        assert!(file.contains(SELECT));
        file.replace(SELECT, &format!("{FILTER}{FILTER}{SELECT}"))
    })
}

#[test]
fn stages_of_one_kind_have_a_series_each() {
    let job = filtering();
    let run = Served::start(&job, &[]);
    let metrics = run.get("/metrics").body;
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let mut series = BTreeSet::new();
    for (name, _) in samples.filter_map(|line| line.rsplit_once(' ')) {
        assert!(series.insert(name), "{name} twice in\n{metrics}");
    }
    for stage in ["transform.filter", "transform.filter#2"] {
        let name = format!("weatherflow_rows_total{{flow=\"archive\",stage=\"{stage}\"}}");
        assert!(series.contains(name.as_str()), "no {name} in\n{metrics}");
    }
    assert!(run.stop().success());
}

#[test]
fn metrics_are_what_prometheus_expects_and_counters_never_go_down() {
    let job = filtering();
    let run = Served::start(&job, &[]);
    let scrape = || {
        let answer = run.get("/metrics");
        assert!(
            answer.headers.contains("content-type: application/openmetrics-text; version=1.0.0"),
            "{}",
            answer.headers
        );
        answer.body
    };
    let early = scrape();
    // How far a source is ahead is asked once a second.
    let is_late = |text: &String| {
        let version =
            text.lines().find_map(|line| line.strip_prefix("weatherflow_last_commit_version{flow=\"archive\"} "));
        version.is_some_and(|version| version != "0") && text.contains("weatherflow_lag_rows{flow=\"archive\"")
    };
    let late = wait_for("commits and the lag of the archive", || Some(scrape()).filter(is_late));
    let Some(((_, before), (all, after))) = parsed(&early).zip(parsed(&late)) else { return };
    for (name, value) in before {
        assert!(after.get(&name).is_some_and(|now| *now >= value), "{name} was {value} and is {:?}", after.get(&name));
    }
    let archive = |name: &str| {
        let name = format!("{name} {{\"flow\":\"archive\"}}");
        *all.get(&name).unwrap_or_else(|| panic!("no {name} in\n{late}"))
    };
    let stage = |stage: &str, what: &str| {
        all[&format!("weatherflow_{what}_total {{\"flow\":\"archive\",\"stage\":\"{stage}\"}}")]
    };
    let committed = archive("weatherflow_committed_rows_total");
    assert!(committed > 0.0 && stage("sink.parquet", "rows") >= committed);
    assert!(stage("source.topic", "rows") >= stage("transform.select", "rows"));
    assert!(stage("decode.protobuf", "bytes") > 0.0);
    let commits = archive("weatherflow_commits_total");
    assert_eq!(archive("weatherflow_last_commit_version"), commits - 1.0);
    assert_eq!(archive("weatherflow_commit_duration_seconds_count"), commits);
    assert_eq!(all["weatherflow_commit_duration_seconds_bucket {\"flow\":\"archive\",\"le\":\"+Inf\"}"], commits);
    assert!(archive("weatherflow_last_commit_timestamp_seconds") > 1.7e9);
    assert!(archive("weatherflow_memory_used_bytes") <= archive("weatherflow_memory_limit_bytes"));
    assert_eq!((archive("weatherflow_flow_up"), archive("weatherflow_restarts_total")), (1.0, 0.0));
    archive("weatherflow_epochs_in_flight");
    archive("weatherflow_epoch_age_seconds");
    for reason in ["filtered", "skipped", "dead_letter"] {
        let name = format!("weatherflow_rejected_rows_total {{\"flow\":\"archive\",\"reason\":\"{reason}\"}}");
        assert_eq!(all[&name], 0.0);
    }
    for partition in 0..4 {
        let name = format!("weatherflow_lag_rows {{\"flow\":\"archive\",\"partition\":\"{partition}\"}}");
        assert!(all.contains_key(&name), "no {name} in\n{late}");
    }
    assert_eq!(all[&format!("weatherflow_build_info {{\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
    assert!(all["process_resident_memory_bytes {}"] > 1e6 && all["process_cpu_seconds_total {}"] > 0.0);
    assert!(all["process_start_time_seconds {}"] > 1.7e9);
    assert!(run.stop().success());
}

#[test]
fn a_run_tells_its_health_its_graph_and_its_numbers() {
    let job = Job::new(10, 100_000, "20ms", "200ms");
    let run = Served::start(&job, &[]);
    assert_eq!(run.get("/health").status, 200);
    let status = wait_for("a commit of every partition by the archive", || {
        Some(run.status()).filter(|status| (0..4).all(|n| status["flows"][2]["positions"][n.to_string()].is_u64()))
    });
    assert_eq!(run.get("/ready").body, "{\"ready\":true,\"reasons\":[]}");
    let archive = &status["flows"][2];
    assert_eq!((&archive["name"], &archive["state"]), (&"archive".into(), &"running".into()));
    let names: Vec<_> = archive["graph"]["nodes"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
    assert_eq!(names, ["source.topic", "decode.protobuf", "transform.select", "partition.source", "sink.parquet"]);
    let edge = &archive["graph"]["edges"][2];
    assert_eq!((&edge["from"], &edge["to"]), (&2.into(), &3.into()));
    assert_eq!(edge["columns"], "station_id: string, date: string, degrees: float64");
    assert_eq!(archive["passed"].as_array().unwrap().len(), names.len());
    assert!(archive["committed"]["written"].as_u64().unwrap() > 0);
    assert!(archive["commits"][0]["took"].is_f64());

    let is_of_the_run = |data: &str| data.trim_start().starts_with("{\"status\":{\"pipeline\":\"weather\"");
    wait_for("events of the run, with its rows", || {
        let events = run.ask(Request::get("/events"), Duration::from_secs(3));
        assert!(events.headers.contains("text/event-stream"), "{}", events.headers);
        let mut data = events.body.lines().filter_map(|line| line.strip_prefix("data:"));
        let shown = ["\"series\":\"station-07\"", "\"value\":\"degrees\""];
        (data.any(is_of_the_run) && shown.iter().all(|shown| events.body.contains(shown))).then_some(())
    });

    let page = run.get("/");
    assert!(page.headers.contains("content-security-policy: default-src 'none'") && page.headers.contains("nosniff"));
    let cross_site =
        |mode: &str| Request::builder().header("Sec-Fetch-Site", "cross-site").header("Sec-Fetch-Mode", mode);
    for (request, status) in [
        (Request::get("/nothing"), 404),
        (Request::post("/metrics"), 405),
        (Request::head("/metrics"), 200),
        (Request::get("/status").header(HOST, "evil.example"), 421),
        (Request::get("/status").header(HOST, "localhost:1"), 200),
        (cross_site("no-cors").uri("/events"), 403),
        (cross_site("navigate").uri("/"), 200),
        (Request::get("/status").version(Version::HTTP_10), 200),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(run.ask(request, Duration::from_secs(20)).status, status, "{shown}");
    }
    assert!(run.stop().success());
}

#[test]
fn a_taken_port_is_an_error_before_anything_runs() {
    let job = Job::new(10, 50, "0", "100ms");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = job.output("run", &["--drain", "--http", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        both(&output).contains(&format!("127.0.0.1:{port}")) && both(&output).contains("another program"),
        "{}",
        both(&output)
    );
    assert!(!job.dir.path().join("data").exists());
    let output = job.output("run", &["--drain", "--http", "somewhere"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(both(&output).contains("0.0.0.0:9090"), "{}", both(&output));
}

#[test]
fn a_flow_in_trouble_is_not_ready_and_its_password_is_told_nobody() {
    let job = Job::new(10, 50, "0", "100ms");
    let file = fs::read_to_string(job.file()).unwrap();
    let table = "[flow.sink.table]\nurl = \"sqlite:../data/weather.db\"";
    assert!(file.contains(table));
    let nowhere = "[flow.sink.table]\nurl = \"mysql://root@127.0.0.1:1/CS544\"\npassword = \"hunter2hunter2\"";
    fs::write(job.file(), file.replace(table, nowhere)).unwrap();
    let run = Served::start(&job, &["--flow", "generate"]);
    let answer = wait_for("trouble", || Some(run.get("/ready")).filter(|ready| ready.body.contains("trying_again")));
    assert_eq!(answer.status, 503);
    let ready: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((&ready["ready"], &ready["reasons"][0]["flow"]), (&false.into(), &"generate".into()));
    assert_eq!(ready["reasons"][0]["state"], "trying_again");
    assert!(ready["reasons"][0]["reason"].as_str().unwrap().contains("127.0.0.1:1"), "{}", answer.body);
    assert_eq!(run.get("/health").status, 200);
    let metrics = run.get("/metrics").body;
    assert!(metrics.contains("weatherflow_flow_up{flow=\"generate\"} 0"), "{metrics}");
    let events = wait_for("events of the trouble", || {
        Some(run.ask(Request::get("/events"), Duration::from_secs(2)).body)
            .filter(|events| events.contains("trying_again"))
    });
    for text in [answer.body, metrics, events, run.status().to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    run.stop();
}

/// Asking takes it longer than it may go on without a commit.
#[test]
fn a_flow_whose_source_never_answers_is_at_no_time_ready_and_ends() {
    let job = Job::new(10, 50, "0", "100ms");
    let file = fs::read_to_string(job.file()).unwrap();
    let topic = "[flow.source.topic]\nurl = \"sqlite:../data/topic.db\"";
    assert!(file.contains(topic));
    let file = file.replace(topic, "[flow.source.kafka]\nbrokers = \"127.0.0.1:1\"");
    fs::write(job.file(), file.replace("name = \"archive\"", "name = \"archive\"\nretry_for = \"2s\"")).unwrap();
    let run = Served::start(&job, &["--flow", "archive"]);
    let mut states = BTreeSet::new();
    wait_for("the end", || {
        let answer = run.get("/ready");
        if answer.status == 0 {
            return Some(());
        }
        assert_eq!(answer.status, 503, "{}", answer.body);
        let ready: Value = serde_json::from_str(&answer.body).unwrap();
        states.insert(ready["reasons"][0]["state"].to_string());
        None
    });
    assert!(states.contains("\"starting\""), "{states:?}");
    assert_eq!(run.wait().code(), Some(1));
}

#[test]
fn scrapes_and_pages_under_load_change_no_row_and_hold_nothing_up() {
    const ANSWERS: u32 = 10;
    let job = Job::new(10, 1_500, "0", "100ms");
    let run = Served::start(&job, &[]);
    // Listeners that never read, as many as find a place; and connections that never ask.
    let connect = || TcpStream::connect(run.address()).unwrap();
    let stuck: Vec<_> = (0..30)
        .map(|_| {
            let mut stream = connect();
            write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let silent: Vec<_> = (0..10).map(|_| connect()).collect();
    std::thread::scope(|scope| {
        for path in ["/metrics", "/status", "/ready", "/metrics"] {
            let run = &run;
            scope.spawn(move || {
                for _ in 0..ANSWERS {
                    let whole = |answer: &Answer| answer.is_complete && !answer.body.is_empty();
                    wait_for(path, || Some(run.get(path)).filter(whole));
                }
            });
        }
    });
    assert!(run.stop().success());
    let refused = stuck.into_iter().filter(|stream| {
        let mut answer = [0; 12];
        let mut stream = stream;
        stream.read_exact(&mut answer).is_ok() && answer == *b"HTTP/1.1 503"
    });
    assert_eq!(refused.count(), 6, "places for listeners are not without number");
    drop(silent);
    job.finish_and_prove();
}
