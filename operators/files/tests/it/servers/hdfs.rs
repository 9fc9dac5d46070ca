//! The archive on a real HDFS whose servers are well: stops at each call, files that dead writers left open, older
//! copies that come back, directories that go away, strange names.

use crate::archive_world::{FLOW, Job, assert_whole, chunk_of, files, first_commit, run, sink, write};
use files::store::faulty::{Fault, Faulty};
use files::store::hdfs::Hdfs;
use files::store::{Cause, STAGING, Store, StoreError};
use operators_core::inspect::{Inspect, Seen};
use operators_core::progress::Version;
use operators_core::stage::{Audit, Closing, Sink};
use operators_core::{Error, Position, Span};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use testkit::servers;

const JOB: Job = Job { partitions: 4, positions: 6, step: 3 };

/// A directory that no other test has.
fn store(name: &str) -> Option<Hdfs> {
    let url = servers::hdfs()?;
    Some(Hdfs::new(&format!("{url}/tests-{}/{name}", std::process::id())).unwrap())
}

fn span(from: u64, to: u64) -> Span {
    Span { partition: 0, from: Position(from), to: Position(to), rows: to - from, anchor: None }
}

#[test]
fn an_archive_is_written_and_proven() {
    let Some(store) = store("whole") else { return };
    let job = Job { partitions: 4, positions: 60, step: 3 };
    let began = Instant::now();
    job.live(&sink(&store), "one").unwrap();
    let written = began.elapsed();
    let began = Instant::now();
    assert_whole(&store, job, "on HDFS");
    println!("20 commits in {written:?}, read back twice in {:?}", began.elapsed());
    let counted = Faulty::new(Arc::new(store), []);
    let began = Instant::now();
    let opened = sink(&counted).open(&run("two")).unwrap();
    println!("restart in {} calls and {:?}", counted.made(), began.elapsed());
    assert_eq!(opened.progress.unwrap().version, Version(19));
}

/// Each call: stopped before or after it, applied without an answer, refused, applied late.
#[test]
fn every_crash_point() {
    let Some(store) = store("counted") else { return };
    let counted = Faulty::new(Arc::new(store), []);
    JOB.live(&sink(&counted), "one").unwrap();
    let faults = [Fault::StopAfter, Fault::Unanswered, Fault::StopBefore, Fault::Late(3), Fault::Refused];
    let calls = counted.made();
    for (call, fault) in (0..calls).flat_map(|call| faults.map(|fault| (call, fault))) {
        survive(call, fault);
    }
    println!("{calls} calls, each with {} faults, on HDFS", faults.len());
}

fn survive(call: u64, fault: Fault) {
    let context = format!("{fault:?} at {call}");
    let Some(store) = store(&context) else { return };
    let faulty = Faulty::new(Arc::new(store.clone()), [(call, fault)]);
    for life in 0.. {
        match JOB.live(&sink(&faulty), &format!("life-{life}")) {
            Ok(_) => break,
            Err(Error::Fenced { .. }) => panic!("{context}: fenced by an earlier life of its own"),
            Err(error) => assert!(life < 1, "{context}: {error}"),
        }
        faulty.restart();
    }
    faulty.settle();
    assert_whole(&store, JOB, &context);
    sink(&store).open(&run("the last")).unwrap();
    assert_eq!(files(&store, STAGING), [""; 0], "{context}");
}

/// A writer that died leaves its file open: the name is taken for good, and the next run is not held up by it.
#[test]
fn the_open_file_of_a_dead_writer_is_in_nobodys_way() {
    let (Some(store), Some(other)) = (store("open"), store("open")) else { return };
    let name = "@staging/run=dead/attempt=0/partition-0.parquet";
    let mut open = store.create(name).unwrap();
    open.write_all(&vec![7; 3 << 20]).unwrap();
    drop(open);
    for store in [&store, &other] {
        let Err(StoreError { cause: Cause::AlreadyExists, .. }) = store.create(name) else { panic!("used again") };
    }
    JOB.live(&sink(&other), "next").unwrap();
    assert_whole(&other, JOB, "after a writer that died");
    assert_eq!(files(&other, STAGING), [""; 0]);
}

/// Files are staged where the pipeline file says, and a clean end leaves nothing there.
#[test]
fn a_staging_directory_elsewhere_on_the_cluster() {
    let Some(store) = store("elsewhere") else { return };
    let staging = format!("/tests-{}/staging/elsewhere", std::process::id());
    let store = store.staged_in(&staging).unwrap();
    let Ok(Seen::Fine(told)) = sink(&store).connect(FLOW).remove(1) else { panic!("{:?}", sink(&store).connect(FLOW)) };
    assert!(told.contains(&staging) && told.contains("encryption zone"), "{told}");
    JOB.live(&sink(&store), "one").unwrap();
    assert_whole(&store, JOB, "staged elsewhere");
    let names: Vec<_> = store.list("").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["segment=000000"]);
    sink(&store).open(&run("two")).unwrap().committer.tidy();
    assert!(matches!(store.list(STAGING), Err(StoreError { cause: Cause::NotFound, .. })));
}

/// An older copy with open files goes on after a newer one took over: it publishes nothing, and is told why.
#[test]
fn an_older_copy_is_fenced_wherever_it_stands() {
    for stands in ["writing", "closing", "committing"] {
        let (Some(store), Some(other)) = (store(stands), store(stands)) else { return };
        let old = run("old");
        let opened = sink(&store).open(&old).unwrap();
        let mut writer = sink(&store).writer(&old, 0).unwrap();
        writer.write(chunk_of(&span(0, 3)).unwrap()).unwrap();
        let mut committer = opened.committer;
        let commit = |receipts| first_commit(JOB, &old, receipts);
        let takeover = || JOB.live(&sink(&other), "new").unwrap();
        let end = match stands {
            "writing" => {
                takeover();
                let second = sink(&store).writer(&old, 1).unwrap().write(chunk_of(&span(0, 3)).unwrap());
                let closed = writer.close(&Closing { spans: vec![span(0, 3)], ..Closing::default() }).map(drop);
                second.map(drop).and(closed)
            }
            "closing" => {
                takeover();
                writer.close(&Closing { spans: vec![span(0, 3)], ..Closing::default() }).map(drop)
            }
            _ => {
                let receipt = writer.close(&Closing { spans: vec![span(0, 3)], ..Closing::default() }).unwrap();
                takeover();
                committer.commit(commit(vec![receipt]))
            }
        };
        assert!(matches!(end, Err(Error::Fenced { .. })), "{stands}: {end:?}");
        assert_whole(&store, JOB, stands);
    }
}

/// The directory is deleted while the flow runs: it stops, and nothing is published alone.
#[test]
fn a_directory_deleted_under_us_stops_the_flow() {
    let (Some(store), Some(other)) = (store("deleted"), store("deleted")) else { return };
    let job = Job { partitions: 2, positions: 9, step: 3 };
    let deleted = job.live_telling(&sink(&store), "one", |version| {
        if version == Version(1) {
            assert!(other.delete("").unwrap());
        }
    });
    assert!(matches!(deleted, Err(Error::Refused { .. } | Error::Fenced { .. })), "{deleted:?}");
    assert_eq!(sink(&other).progress(FLOW).unwrap(), None);
}

/// Names the directory that the test below is to write to in its own process.
const CHILD: &str = "WEATHERFLOW_TEST_NAMESERVICE";

/// A nameservice of two NameNodes, of which one hangs: a session that begins with it times out, and one of the next
/// begins with the other. The configuration is that of a process, and so this test runs itself in others.
#[test]
fn a_nameservice_with_a_namenode_that_hangs() {
    if let Ok(path) = std::env::var(CHILD) {
        return println!("calls that timed out: {}", archive_by_nameservice(&path));
    }
    let Some(url) = servers::hdfs() else { return };
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let properties = [
        ("dfs.ha.namenodes.weather", "one,two"),
        ("dfs.namenode.rpc-address.weather.one", &hangs.local_addr().unwrap().to_string()),
        ("dfs.namenode.rpc-address.weather.two", url.strip_prefix("hdfs://").unwrap()),
    ];
    let property = |(name, value)| format!("<property><name>{name}</name><value>{value}</value></property>");
    let text = format!("<configuration>{}</configuration>", properties.map(property).concat());
    std::fs::write(directory.path().join("hdfs-site.xml"), text).unwrap();
    // Which NameNode a session begins with is chance: go on until one began with the wrong one.
    for round in 0..20 {
        let path = format!("tests-{}/nameservice-{round}", std::process::id());
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "servers::hdfs::a_nameservice_with_a_namenode_that_hangs", "--nocapture"])
            .env("HADOOP_CONF_DIR", directory.path())
            .env("HADOOP_USER_NAME", "weatherman")
            .env(CHILD, &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
        assert_whole(&Hdfs::new(&format!("{url}/{path}")).unwrap(), JOB, "by way of the nameservice");
        let client = hdfs_native::sync::ClientBuilder::new().with_url(&url).build().unwrap();
        assert_eq!(client.get_file_info(&format!("/{path}/segment=000000")).unwrap().owner, "weatherman");
        if !said.contains("timed out: 0") {
            return println!("round {round}: {said}");
        }
    }
    panic!("no session began with the NameNode that hangs");
}

/// Archives the job, and gives the number of lives that ended with a call that was not answered.
fn archive_by_nameservice(path: &str) -> u32 {
    let store = Hdfs::new(&format!("hdfs://weather/{path}")).unwrap();
    for life in 0..20 {
        match JOB.live(&sink(&store), &format!("life-{life}")) {
            Ok(_) => return life,
            Err(Error::Unavailable { reason, .. }) => assert!(reason.contains("no answer within"), "{reason}"),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no session began with the NameNode that answers");
}

/// Names go to HDFS as they are, whatever a URL would make of them.
#[test]
fn strange_names() {
    let Some(store) = store("a b %41 #?&=+ é 雨") else { return };
    for name in ["per%20cent", "a b", "x=1", "#?&+", "雨/%2F", "~", "\\", "'\"", "*[x]{y}"] {
        write(&store, name, name.as_bytes());
        assert_eq!(store.read(name).unwrap(), name.as_bytes(), "{name}");
        let moved = format!("moved {name}");
        store.rename(name, &moved).unwrap();
        assert_eq!(store.open(&moved).unwrap().length(), name.len() as u64, "{name}");
    }
    for name in ["12:30".to_owned(), "x".repeat(300)] {
        let refused = store.create(&name).map(drop);
        assert!(
            matches!(refused, Err(StoreError { cause: Cause::Failed(_), .. })),
            "HDFS has no such names: {refused:?}"
        );
    }
}

/// What the client may still keep of a file is counted, until the DataNodes have confirmed it.
#[test]
fn what_is_on_its_way_is_counted() {
    let Some(store) = store("on its way") else { return };
    let bytes = vec![7; (20 << 20) + 5];
    let mut file = store.create("file").unwrap();
    file.write_all(&bytes[..(3 << 20) + 5]).unwrap();
    assert!(file.held() > 3 << 20, "{}", file.held());
    file.free().unwrap();
    assert_eq!(file.held(), 0);
    file.write_all(&bytes[(3 << 20) + 5..]).unwrap();
    assert!((8 << 20..16 << 20).contains(&file.held()), "the client keeps no more: {}", file.held());
    file.free().unwrap();
    assert_eq!(file.held(), 0);
    file.finish().unwrap();
    assert!(store.read("file").unwrap() == bytes);
}

/// More names than a NameNode lists in one answer, and a file that one read does not fetch.
#[test]
fn long_listings_and_long_files() {
    let Some(store) = store("long") else { return };
    for n in 0..1_203 {
        store.rename(&staged(&store, n), &format!("many/{n}")).unwrap();
    }
    let mut names: Vec<u64> = store.list("many").unwrap().iter().map(|e| e.name.parse().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, (0..1_203).collect::<Vec<_>>());
    let bytes: Vec<u8> = (0..9_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    write(&store, "file", &bytes);
    assert_eq!(store.read("file").unwrap(), bytes);
    let reader = store.open("file").unwrap();
    for (from, length) in [(8_999_992, 8), (0, 100), (4_194_300, 8), (1, 8_999_999), (8_000_000, 0), (3, 1)] {
        let range = from as usize..from as usize + length;
        assert_eq!(reader.read_at(from, length).unwrap(), bytes[range], "{length} from {from}");
    }
}

/// A directory to be moved, made by the first rename of the one before.
fn staged(store: &Hdfs, n: u64) -> String {
    let name = format!("staged/{n}");
    // A rename makes the directories above its target, and costs no file.
    match store.rename("nothing", &format!("{name}/x")) {
        Err(StoreError { cause: Cause::NotFound, .. }) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_directory_tells_what_it_holds_and_whether_it_may_be_written_to() {
    let Some(store) = store("told") else { return };
    let connect = || sink(&store).connect(FLOW).remove(0).unwrap();
    let Seen::NotYet(text) = connect() else { panic!("{:?}", connect()) };
    assert!(text.contains("not there yet"), "{text}");
    assert!(matches!(store.list(""), Err(StoreError { cause: Cause::NotFound, .. })), "asking made it");
    let begun = SystemTime::now();
    JOB.live(&sink(&store), "one").unwrap();
    let before = files(&store, "");
    let Seen::Fine(text) = connect() else { panic!("{:?}", connect()) };
    assert!(text.contains("may be written to"), "{text}");
    let held = sink(&store).holdings(FLOW).unwrap();
    let data = before.iter().filter(|path| path.ends_with(".parquet") || path.ends_with(".dlq")).count() as u64;
    assert_eq!(held.files.map(|files| (files.count, files.small)), Some((data, data)));
    // The NameNode tells milliseconds.
    assert!(held.committed_at.unwrap() + Duration::from_millis(1) > begun);
    assert_eq!(files(&store, ""), before);
}

/// Under XOR the client would write parity from which HDFS rebuilds other bytes than were written.
#[test]
fn a_directory_gets_replicas_or_reed_solomon_parity_or_is_refused() {
    let Some(store) = store("coded/data") else { return };
    let directory = format!("/tests-{}/coded", std::process::id());
    let hdfs = |arguments: &str| {
        servers::ALL.command(&std::iter::once("hdfs").chain(arguments.split(' ')).collect::<Vec<_>>())
    };
    hdfs(&format!("dfs -mkdir -p {directory}"));
    let live = |id: &str| JOB.live(&sink(&store), id);
    for (policy, id) in [("XOR-2-1-1024k", "new"), ("RS-LEGACY-6-3-1024k", "old")] {
        hdfs(&format!("ec -enablePolicy -policy {policy}"));
        hdfs(&format!("ec -setPolicy -path {directory} -policy {policy}"));
        // What an earlier run left staged may be cleaned up before a place is refused.
        let listed = || -> Vec<String> {
            let names = hdfs(&format!("dfs -ls -C -R {directory}"));
            names.lines().filter(|name| !name.contains("_staging-data")).map(str::to_owned).collect()
        };
        let before = listed();
        let connected = sink(&store).connect(FLOW).remove(0).map(drop);
        let mut advice = String::new();
        for refused in [connected, live(id).map(drop)] {
            let Err(Error::Refused { reason, .. }) = refused else { panic!("{policy}: {refused:?}") };
            assert!(reason.contains(policy) && reason.contains(&format!("{directory}/data")), "{reason}");
            advice = reason;
        }
        assert_eq!(listed(), before, "{policy}: something was left there");
        let follow = |advice: &str| {
            let commands = advice.split('`').skip(1).step_by(2).filter_map(|text| text.strip_prefix("hdfs "));
            // Reed-Solomon would do on a larger cluster.
            commands.filter(|command| !command.contains("-policy")).for_each(|command| drop(hdfs(command)));
        };
        follow(&advice);
        // The directory in which files are created has the policy from above too, until it has one of its own.
        if let Err(Error::Refused { reason, .. }) = live("next").map(drop) {
            assert!(reason.contains("_staging-data") && reason.contains("staging = "), "{reason}");
            follow(&reason);
        }
        live("next").unwrap();
        assert_whole(&store, JOB, policy);
        // The next policy is met by a directory that has commits.
        hdfs(&format!("ec -unsetPolicy -path {directory}/data"));
    }
}
