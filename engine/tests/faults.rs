//! The main job on real servers that die, stop, lag and keep their answers to themselves, alone and in pairs; then every
//! row of the table, the topic and the archive is compared with what the generator must have produced.
//!
//! `WEATHERFLOW_KILLS=1000` makes the kills of the program long, `WEATHERFLOW_SOAK=1h` goes on with faults in random
//! order for so long; both print what they did.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "common/proxy.rs"]
mod proxy;

use cluster::servers::{ALL, CLUSTER};
use cluster::{Cluster, ClusterJob, Layout};
use common::Random;
use operators::config::Interval;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Faults of one test must not meet those of another.
static SERVERS: Mutex<()> = Mutex::new(());

/// What happens to the job.
#[derive(Clone, Debug)]
enum Fault {
    /// SIGKILL of the program, which is then started again.
    Kill,
    /// SIGSTOP of the program, a second copy beside it, SIGCONT.
    SecondCopy,
    /// SIGKILL of a server, which is then started again.
    ServerKill(String),
    /// SIGSTOP of a server for a while.
    ServerPause(String, Duration),
    /// Answers of a server go nowhere for a while, and then its connections end.
    Swallow(usize),
}

impl Fault {
    fn name(&self, cluster: &Cluster) -> String {
        match self {
            Self::Kill => "SIGKILL weatherflow".to_owned(),
            Self::SecondCopy => "SIGSTOP weatherflow, second copy".to_owned(),
            Self::ServerKill(server) => format!("SIGKILL {server}"),
            Self::ServerPause(server, _) => format!("SIGSTOP {server}"),
            Self::Swallow(proxy) => format!("no answers from {}", cluster.proxies[*proxy].0),
        }
    }
}

/// The program, started again whenever it was killed, and what it said.
struct Program<'j> {
    job: &'j ClusterJob<'j>,
    child: Child,
    starts: u32,
}

impl<'j> Program<'j> {
    fn start(job: &'j ClusterJob<'j>) -> Self {
        let child = spawn(job, 0);
        Self { job, child, starts: 1 }
    }

    /// A second process; the one before is the caller's to end.
    fn start_another(&mut self) -> Child {
        let child = spawn(self.job, self.starts);
        self.starts += 1;
        std::mem::replace(&mut self.child, child)
    }

    /// Nothing but a signal ends it: whatever the servers do it tries again.
    fn assert_alive(&mut self, after: &str) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("after {after} the program ended by itself, {status}:\n{}", self.said());
        }
    }

    /// Faults that meet a job without rows left prove nothing.
    fn assert_busy(&mut self) {
        let last = u64::from(self.job.job.stations) * u64::from(self.job.job.days);
        let last = format!("{}", indicatif::HumanCount(last));
        assert!(
            !self.said().contains(&format!("generate: {last} rows")),
            "the job had {last} rows, too few for its faults"
        );
    }

    fn said(&self) -> String {
        (0..self.starts)
            .map(|start| std::fs::read_to_string(self.job.job.dir.path().join(log(start))).unwrap())
            .collect()
    }

    /// Lines that say that a flow begins again.
    fn restarts(&self) -> u64 {
        self.said().matches("trying again from the last commit").count() as u64
    }
}

fn log(start: u32) -> String {
    format!("run-{start}.log")
}

fn spawn(job: &ClusterJob<'_>, start: u32) -> Child {
    let log = File::create(job.job.dir.path().join(log(start))).unwrap();
    let errors = log.try_clone().unwrap();
    job.job.command("run", &[]).stdout(Stdio::from(log)).stderr(Stdio::from(errors)).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    // It may have ended by itself, which is for the caller to judge.
    let _ = kill_process(Pid::from_child(child), signal);
}

fn kill(mut child: Child) -> ExitStatus {
    signal(&child, Signal::KILL);
    child.wait().unwrap()
}

fn between(random: &mut Random, from_ms: u64, to_ms: u64) -> Duration {
    Duration::from_millis(from_ms + random.below(to_ms - from_ms))
}

/// Does it, waits, and undoes it; the program has a while to itself before and after.
fn inflict(faults: &[Fault], cluster: &Cluster, program: &mut Program<'_>, random: &mut Random) {
    sleep(between(random, 100, 1500));
    let names: Vec<_> = faults.iter().map(|fault| fault.name(cluster)).collect();
    let what = names.join(" and ");
    let mut copies = Vec::new();
    for fault in faults {
        match fault {
            Fault::Kill => {
                kill(program.start_another());
            }
            Fault::SecondCopy => {
                signal(&program.child, Signal::STOP);
                copies.push(program.start_another());
            }
            Fault::ServerKill(server) => cluster.control("kill", server),
            Fault::ServerPause(server, _) => cluster.control("pause", server),
            Fault::Swallow(proxy) => cluster.proxies[*proxy].1.swallow_answers(),
        }
        sleep(between(random, 0, 300));
    }
    sleep(between(random, 200, 3000));
    for fault in faults {
        match fault {
            Fault::Kill | Fault::SecondCopy => {}
            Fault::ServerKill(server) => cluster.control("start", server),
            Fault::ServerPause(server, time) => {
                sleep(*time);
                cluster.control("resume", server);
            }
            Fault::Swallow(proxy) => drop(cluster.proxies[*proxy].1.cut()),
        }
    }
    for copy in copies {
        one_of_two_stops(copy, program, &what);
    }
    program.assert_alive(&what);
}

/// Of two copies that run side by side one must stop and say why; both may, where each was first somewhere.
fn one_of_two_stops(mut older: Child, program: &mut Program<'_>, what: &str) {
    signal(&older, Signal::CONT);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = older.try_wait().unwrap().or(program.child.try_wait().unwrap()) {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(300), "{what}: two copies run side by side");
        sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(1), "{what}:\n{}", program.said());
    assert!(program.said().contains("another copy of this pipeline"), "{what}:\n{}", program.said());
    kill(older);
    kill(program.start_another());
}

/// Everything to know of a long run.
#[derive(Default)]
struct Account {
    faults: BTreeMap<String, u32>,
    starts: u64,
    restarts: u64,
    rows: u64,
    jobs: u32,
}

impl Account {
    fn add(&mut self, faults: &[Fault], cluster: &Cluster) {
        let names: Vec<_> = faults.iter().map(|fault| fault.name(cluster)).collect();
        *self.faults.entry(names.join(" + ")).or_default() += 1;
    }

    /// Ends the program, lets the job come to its end, and compares every row.
    fn close(&mut self, mut program: Program<'_>) {
        program.assert_busy();
        let (job, starts, restarts) = (program.job, program.starts, program.restarts());
        kill(program.child);
        job.finish_and_prove();
        self.starts += u64::from(starts);
        self.restarts += restarts;
        self.rows += u64::from(job.job.stations) * u64::from(job.job.days);
        self.jobs += 1;
    }

    fn print(&self) {
        println!("| fault | times |\n|---|---|");
        for (fault, times) in &self.faults {
            println!("| {fault} | {times} |");
        }
        println!(
            "{} faults in {} jobs, {} starts of the program, {} flows begun again by themselves; {} rows in each of \
             table, topic and archive, lost 0, doubled 0",
            self.faults.values().sum::<u32>(),
            self.jobs,
            self.starts,
            self.restarts,
            self.rows
        );
    }
}

/// One broker, and three; each with proxies that last as long as this program, as their ports are agreed on.
static ONE: LazyLock<Option<Cluster>> = LazyLock::new(|| Cluster::new(&ALL, &ALL));
static THREE: LazyLock<Option<Cluster>> = LazyLock::new(|| Cluster::new(&CLUSTER, &ALL));

#[test]
fn killed_at_random_moments_on_real_servers() {
    let _servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(cluster) = &*ONE else { return };
    let mut random = Random::from_environment();
    let kills: u64 = std::env::var("WEATHERFLOW_KILLS").map_or(30, |text| text.parse().expect("a number"));
    let job = cluster.job(10, 400 * kills as u32, "5ms", "200ms", Layout::Batches);
    let mut program = Program::start(&job);
    let mut account = Account::default();
    for _ in 0..kills {
        sleep(between(&mut random, 50, 2000));
        program.assert_alive("a while");
        kill(program.start_another());
        account.add(&[Fault::Kill], cluster);
    }
    account.close(program);
    account.print();
}

/// Every fault alone, in the order in which they were thought of.
fn each_fault(cluster: &Cluster) -> Vec<Fault> {
    let names = cluster.names();
    let kills = names.iter().cloned().map(Fault::ServerKill);
    let pauses = names.iter().cloned().map(|name| Fault::ServerPause(name, Duration::from_secs(2)));
    let swallows = (0..cluster.proxies.len()).map(Fault::Swallow);
    [Fault::Kill, Fault::SecondCopy].into_iter().chain(kills).chain(pauses).chain(swallows).collect()
}

fn a_fault(cluster: &Cluster, random: &mut Random) -> Fault {
    let all = each_fault(cluster);
    match all[random.below(all.len() as u64) as usize].clone() {
        // Now and then longer than any time-out.
        Fault::ServerPause(name, _) if random.below(4) == 0 => {
            Fault::ServerPause(name, Duration::from_secs(60 + random.below(60)))
        }
        fault => fault,
    }
}

/// Two faults that are not each other's undoing.
fn a_pair(cluster: &Cluster, random: &mut Random) -> Vec<Fault> {
    loop {
        let (first, second) = (a_fault(cluster, random), a_fault(cluster, random));
        let server = |fault: &Fault| match fault {
            Fault::ServerKill(server) | Fault::ServerPause(server, _) => server.clone(),
            Fault::Kill | Fault::SecondCopy => "weatherflow".to_owned(),
            Fault::Swallow(proxy) => format!("proxy {proxy}"),
        };
        if server(&first) != server(&second) {
            return vec![first, second];
        }
    }
}

#[test]
fn each_server_dies_stops_and_falls_silent_and_no_row_is_lost_or_doubled() {
    let _servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(cluster) = &*ONE else { return };
    let mut random = Random::from_environment();
    let mut account = Account::default();
    for layout in [Layout::Batches, Layout::Flat] {
        let job = cluster.job(10, 40_000, "10ms", "200ms", layout);
        let mut program = Program::start(&job);
        for (index, fault) in each_fault(cluster).into_iter().enumerate() {
            // Each layout meets every second fault, and both meet the pairs.
            if index % 2 == usize::from(layout == Layout::Flat) {
                inflict(std::slice::from_ref(&fault), cluster, &mut program, &mut random);
                account.add(&[fault], cluster);
            }
        }
        account.close(program);
    }
    account.print();
}

#[test]
fn one_of_three_brokers_dies_and_no_row_is_lost_or_doubled() {
    let _servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(cluster) = &*THREE else { return };
    let mut random = Random::from_environment();
    let mut account = Account::default();
    let job = cluster.job(10, 20_000, "10ms", "200ms", Layout::Batches);
    let mut program = Program::start(&job);
    for broker in 1..=3 {
        let name = format!("broker{broker}");
        for fault in [Fault::ServerKill(name.clone()), Fault::ServerPause(name, Duration::from_secs(5))] {
            inflict(std::slice::from_ref(&fault), cluster, &mut program, &mut random);
            account.add(&[fault], cluster);
        }
    }
    account.close(program);
    account.print();
}

/// `WEATHERFLOW_SOAK=20m`: faults alone and in pairs, in random order, on one broker and on three.
#[test]
fn soak() {
    let Ok(length) = std::env::var("WEATHERFLOW_SOAK") else { return };
    let length: Interval = length.parse().expect("WEATHERFLOW_SOAK is a length of time, as in 20m");
    let _servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random::from_environment();
    let (Some(one), Some(three)) = (&*ONE, &*THREE) else { return };
    let mut account = Account::default();
    let began = Instant::now();
    while began.elapsed() < length.0 {
        let cluster = if account.jobs % 2 == 0 { one } else { three };
        let layout = if account.jobs % 4 < 2 { Layout::Batches } else { Layout::Flat };
        let job = cluster.job(10, 60_000, "10ms", "500ms", layout);
        let mut program = Program::start(&job);
        for _ in 0..8 {
            let faults =
                if random.below(3) == 0 { a_pair(cluster, &mut random) } else { vec![a_fault(cluster, &mut random)] };
            println!("{:?} {faults:?}", began.elapsed());
            inflict(&faults, cluster, &mut program, &mut random);
            account.add(&faults, cluster);
        }
        account.close(program);
    }
    account.print();
}
