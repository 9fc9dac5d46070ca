//! What a tap prints of every stage and of what is committed, and how it ends.

use crate::common::{Job, both};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stages::source::weather::{WeatherConfig, expected};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Output, Stdio};

/// The main job, run to its end flow by flow, each in one commit.
fn done(stations: u32, days: u32) -> Job {
    let job = Job::new(stations, days, "0", "1h");
    for flow in ["generate", "publish", "archive"] {
        let output = job.output("run", &["--drain", "--flow", flow]);
        assert!(output.status.success(), "{}", both(&output));
    }
    job
}

/// What was printed, what was said, and the exit status.
fn told(output: &Output) -> String {
    let (out, err) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let is_text = str::from_utf8(out).is_ok_and(|text| !text.contains(|c: char| c.is_control() && c != '\n'));
    let out = if is_text { String::from_utf8_lossy(out).into_owned() } else { format!("{}\n", out.escape_ascii()) };
    format!("{out}--\n{err}[{}]\n", output.status.code().unwrap())
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", both(output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn follow(job: &Job, arguments: &[&str]) -> Child {
    job.command("tap", arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Presses Ctrl-C; gives what was said until then.
fn interrupt(mut tap: Child) -> String {
    kill_process(Pid::from_child(&tap), Signal::INT).unwrap();
    let mut said = String::new();
    tap.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(tap.wait().unwrap().code(), Some(0), "{said}");
    said
}

#[test]
fn every_stage_in_every_format() {
    let job = done(3, 2);
    let mut text = String::new();
    for target in [
        "generate.source",
        "generate",
        "publish.source",
        "publish.encode",
        "publish.partition.key",
        "archive.source.topic",
        "archive.decode",
        "archive.transform.select",
        "archive",
        "archive.sink",
    ] {
        for format in ["table", "json", "raw"] {
            text += &format!("$ tap {target} --format {format}\n");
            text += &told(&job.output("tap", &[target, "--from", "earliest", "--limit", "2", "--format", format]));
        }
    }
    crate::common::assert_kept("tap", "every_stage_in_every_format", &text);
}

#[test]
fn nothing_committed_is_no_error() {
    let job = Job::new(3, 2, "0", "1h");
    let output = job.output("tap", &["archive.sink"]);
    assert!(output.status.success() && both(&output).contains("nothing is committed there yet"), "{}", both(&output));
    assert!(!job.dir.path().join("data").exists(), "a tap makes nothing");
}

#[test]
fn what_cannot_be_tapped_is_refused_with_what_can() {
    let job = done(3, 2);
    let mut text = String::new();
    for arguments in [
        &[][..],
        &["archiv"],
        &["archive.decod"],
        &["archive.transform.select#2"],
        &["publish.sink"],
        &["archive", "--where", "statoin_id=x"],
        &["archive", "--where", "degrees=warm"],
        &["archive", "--where", "degrees"],
        &["archive", "--from", "yesterday"],
        &["archive", "--limit", "0"],
        &["archive.source", "--partition", "4"],
        &["archive.source", "--partition", "0", "--from", "77"],
        &["publish.source", "--from", "77"],
        &["archive.sink", "--from", "77"],
    ] {
        text += &format!("$ tap {}\n{}", arguments.join(" "), told(&job.output("tap", arguments)));
    }
    crate::common::assert_kept("tap", "what_cannot_be_tapped", &text);
}

#[test]
fn rows_are_chosen_by_position_partition_and_value() {
    let job = done(10, 20);
    let tap = |arguments: &[&str]| lines(&job.output("tap", arguments));
    let of = |line: &Value, name: &str| line[name].as_u64().unwrap();

    let from = tap(&["archive", "--from", "3", "--limit", "5", "--partition", "1", "--partition", "3"]);
    assert_eq!(from.len(), 5);
    let twice = tap(&["archive", "--from", "earliest", "--limit", "5", "--partition", "1", "--partition", "1"]);
    assert_eq!(twice.iter().map(|line| of(line, "position")).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(from.iter().all(|line| [1, 3].contains(&of(line, "partition")) && of(line, "position") >= 3), "{from:?}");

    // Rows of a table pass in the order of their ids, though the stages have spread them.
    let ids: Vec<_> = tap(&["publish", "--from", "17", "--limit", "40"]).iter().map(|l| of(l, "position")).collect();
    assert_eq!(ids, (17..57).collect::<Vec<_>>());

    for (conditions, keeps) in [
        (
            &["--where", "station_id=station-03"][..],
            &(|station: &str, _| station == "station-03") as &dyn Fn(&str, f64) -> bool,
        ),
        (&["--where", "key!=station-03", "--where", "key<station-05"], &|station, _| {
            station != "station-03" && station < "station-05"
        }),
        (&["--where", "degrees>=-5", "--where", "degrees<12.5"], &|_, degrees| (-5.0..12.5).contains(&degrees)),
    ] {
        let config = WeatherConfig { stations: 10, ..WeatherConfig::default() };
        let rows = (0..200).map(|row| expected(&config, row)).filter(|(station, _, degrees)| keeps(station, *degrees));
        let rows: BTreeSet<_> = rows.map(|(station, date, _)| (station, date)).collect();
        let limit = rows.len().to_string();
        let arguments = [&["archive", "--from", "earliest", "--limit", &limit], conditions].concat();
        let text = |line: &Value, name: &str| line["row"][name].as_str().unwrap().to_owned();
        let found = tap(&arguments);
        let found: BTreeSet<_> = found.iter().map(|line| (text(line, "station_id"), text(line, "date"))).collect();
        assert_eq!(found, rows, "{conditions:?}");
    }

    let stored = tap(&["archive.sink"]);
    assert_eq!(stored.len(), 200);
    let third = tap(&["archive.sink", "--partition", "3"]);
    let of_third: Vec<_> = stored.into_iter().filter(|line| of(line, "partition") == 3).collect();
    assert!(!third.is_empty() && third == of_third);
    let file = job.archive().join("segment=000000/batch=00000000000000000000/partition-3-batch-0.parquet");
    let of_file = |file: &std::path::Path| {
        let program = env!("CARGO_BIN_EXE_weatherflow");
        lines(&std::process::Command::new(program).arg("tap").arg(file).output().unwrap())
    };
    assert_eq!(of_file(&file), of_third);
    let elsewhere = job.dir.path().join("any.parquet");
    fs::copy(&file, &elsewhere).unwrap();
    let rows = |lines: &[Value]| lines.iter().map(|line| line["row"].clone()).collect::<Vec<_>>();
    let anonymous = of_file(&elsewhere);
    assert_eq!(rows(&anonymous), rows(&of_third));
    assert_eq!(anonymous[0].as_object().unwrap().len(), 1, "nothing tells its partition");
}

#[test]
fn the_flat_layout_is_read_batch_after_batch() {
    let layout = |file: String| file.replace("compression = \"zstd\"", "compression = \"zstd\"\nlayout = \"flat\"");
    let job = Job::of("weather.toml", 10, 50, "0", "50ms", layout);
    // Commits in the middle of everything, so that there are several batches.
    let slow = fs::read_to_string(job.file()).unwrap().replace("every = \"50ms\"", "every = \"50ms\", rows = 100");
    fs::write(job.file(), slow).unwrap();
    assert!(job.output("run", &["--drain"]).status.success());
    let stored = lines(&job.output("tap", &["archive.sink"]));
    let batches: Vec<_> = stored.iter().map(|line| line["batch"].as_u64().unwrap()).collect();
    assert_eq!(stored.len(), 500);
    assert!(batches.is_sorted());
    let newest = lines(&job.output("tap", &["archive.sink", "--from", "latest", "--partition", "0"]));
    let last = stored.iter().filter(|line| line["partition"] == 0).map(|line| line["batch"].as_u64()).max().unwrap();
    assert!(newest.iter().all(|line| line["batch"].as_u64() == last), "{newest:?}");
}

#[test]
fn it_follows_from_the_first_row_of_a_topic_that_is_yet_to_come() {
    let job = Job::new(5, 40, "0", "50ms");
    let mut tap = follow(&job, &["archive"]);
    let mut said = BufReader::new(tap.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    assert!(first.contains("archive.partition.source: topic temperatures in data/topic.db"), "{first}");
    assert!(job.output("run", &["--drain"]).status.success());
    let rows = BufReader::new(tap.stdout.take().unwrap()).lines().take(200);
    let place = |line: String| {
        let line: Value = serde_json::from_str(&line).unwrap();
        (line["partition"].as_u64().unwrap(), line["position"].as_u64().unwrap())
    };
    let places: BTreeSet<_> = rows.map(|line| place(line.unwrap())).collect();
    assert_eq!(places.len(), 200, "every row once");
    tap.stderr = Some(said.into_inner());
    assert!(interrupt(tap).contains("200 rows printed"));
}

#[test]
fn the_latest_are_those_that_come_from_now_on() {
    let job = done(5, 10);
    let mut tap = follow(&job, &["archive.source", "--from", "latest"]);
    let mut said = BufReader::new(tap.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    let more = fs::read_to_string(job.file()).unwrap().replace("2000-01-10", "2000-01-12");
    fs::write(job.file(), more).unwrap();
    assert!(job.output("run", &["--drain"]).status.success());
    let mut rows = BufReader::new(tap.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let rows: Vec<_> = rows.by_ref().take(10).collect();
    // Of the fifty rows before these, none is there.
    assert!(
        rows.iter().all(|row| row.contains("323030302d30312d3131") || row.contains("323030302d30312d3132")),
        "{rows:?}"
    );
    tap.stderr = Some(said.into_inner());
    assert!(interrupt(tap).contains("10 rows printed"));
}

#[test]
fn it_ends_when_its_reader_hangs_up_even_while_nothing_comes() {
    let job = done(3, 2);
    let mut tap = follow(&job, &["archive", "--from", "earliest"]);
    let mut first = String::new();
    BufReader::new(tap.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"partition\":"), "{first}");
    let output = tap.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", both(&output));
}

#[test]
fn a_job_that_is_tapped_everywhere_commits_the_same() {
    let job = Job::new(10, 400, "0", "20ms");
    let targets = ["generate", "publish.source", "publish", "archive.source", "archive.decode", "archive"];
    let taps: Vec<_> = targets
        .map(|target| {
            let mut command = job.command("tap", &[target, "--from", "earliest"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .into();
    job.finish_and_prove();
    let graph = |job: &Job| both(&job.output("run", &["--dry-run"]));
    let (stands, file) = (graph(&job), fs::read(job.file()).unwrap());
    for tap in taps {
        interrupt(tap);
    }
    assert!(job.output("tap", &["archive.sink", "--limit", "3"]).status.success());
    assert_eq!((graph(&job), fs::read(job.file()).unwrap()), (stands, file));
    job.finish_and_prove();
}
