//! What happens to jobs, their program and their servers, alone and in pairs.
use super::cluster::{Cluster, ClusterJob};
use super::program::Program;
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::Random;

#[derive(Clone, Debug)]
pub enum Fault {
    /// SIGKILL of the program, which is then started again.
    Kill,
    /// SIGSTOP of the program for at least so long, a second copy beside it, SIGCONT.
    SecondCopy(Duration),
    /// SIGKILL of a server, which is then started again.
    ServerKill(String),
    /// SIGSTOP of a server for so long.
    ServerPause(String, Duration),
    /// Answers of a server go nowhere for a while, and then its connections end.
    Swallow(usize),
    /// The directory on HDFS has no room until every program has said so.
    Quota,
}

impl Fault {
    pub fn name(&self, cluster: &Cluster) -> String {
        match self {
            Self::Kill => "SIGKILL weatherflow".to_owned(),
            Self::SecondCopy(_) => format!("SIGSTOP weatherflow, second copy{}", self.length()),
            Self::ServerKill(server) => format!("SIGKILL {server}"),
            Self::ServerPause(server, _) => format!("SIGSTOP {server}{}", self.length()),
            Self::Swallow(proxy) => format!("no answers from {}", cluster.proxies[*proxy].0),
            Self::Quota => "quota of HDFS full".to_owned(),
        }
    }

    fn length(&self) -> &'static str {
        match self {
            Self::SecondCopy(time) | Self::ServerPause(_, time) if *time >= beyond(&self.victim()) => {
                " beyond its time-outs"
            }
            _ => "",
        }
    }

    /// The same, where something is stopped, for longer than any time-out.
    pub fn longer(self) -> Self {
        let time = beyond(&self.victim());
        match self {
            Self::SecondCopy(_) => Self::SecondCopy(time),
            Self::ServerPause(server, _) => Self::ServerPause(server, time),
            fault => fault,
        }
    }

    /// What it befalls.
    fn victim(&self) -> String {
        match self {
            Self::Kill | Self::SecondCopy(_) => "weatherflow".to_owned(),
            Self::ServerKill(server) | Self::ServerPause(server, _) => server.clone(),
            Self::Swallow(proxy) => format!("proxy {proxy}"),
            // Which keeps it, and is asked to.
            Self::Quota => "namenode".to_owned(),
        }
    }
}

/// Longer than what waits for it: DataNodes have 90 s, a transaction of a program that is stopped 60 s, a call of a broker
/// 35 s, and calls of MySQL and the NameNode 30 s.
fn beyond(victim: &str) -> Duration {
    Duration::from_secs(match victim {
        "weatherflow" => 65,
        victim if victim.starts_with("datanode") => 95,
        _ => 40,
    })
}

pub fn names(faults: &[Fault], cluster: &Cluster) -> String {
    faults.iter().map(|fault| fault.name(cluster)).collect::<Vec<_>>().join(" + ")
}

pub fn pause(server: &str) -> Fault {
    Fault::ServerPause(server.to_owned(), Duration::from_secs(2))
}

/// Every fault alone, in the order in which they were thought of.
pub fn each_fault(cluster: &Cluster) -> Vec<Fault> {
    let names = cluster.names();
    let kills = names.iter().cloned().map(Fault::ServerKill);
    let pauses = names.iter().map(|name| pause(name));
    let swallows = (0..cluster.proxies.len()).map(Fault::Swallow);
    let others = [Fault::Kill, Fault::SecondCopy(Duration::ZERO), Fault::Quota];
    others.into_iter().chain(kills).chain(pauses).chain(swallows).collect()
}

/// Faults in random order: each comes once before any comes again.
pub struct Deck<'c> {
    pub cluster: &'c Cluster,
    left: Vec<Fault>,
}

impl<'c> Deck<'c> {
    pub fn new(cluster: &'c Cluster) -> Self {
        Self { cluster, left: Vec::new() }
    }

    pub fn draw(&mut self, random: &mut Random) -> Fault {
        if self.left.is_empty() {
            self.left = each_fault(self.cluster);
        }
        self.left.swap_remove(random.below(self.left.len() as u64) as usize)
    }
}

/// Two faults that are not each other's undoing.
pub fn a_pair(mut fault: impl FnMut() -> Fault) -> Vec<Fault> {
    loop {
        let (first, second) = (fault(), fault());
        if first.victim() != second.victim() {
            return vec![first, second];
        }
    }
}

/// Does it to all jobs, waits, and undoes it; the programs have a while to themselves before and after.
pub fn inflict(faults: &[Fault], cluster: &Cluster, programs: &mut [Program<'_>], random: &mut Random) {
    sleep(between(random, 0, 1000));
    let what = names(faults, cluster);
    let began = Instant::now();
    if faults.iter().any(|fault| matches!(fault, Fault::SecondCopy(_))) {
        // First, and not while a flow begins again: one that has just seen that a sink is its own takes it over when it
        // wakes, and then both copies stop.
        for program in &mut *programs {
            program.assert_goes_on("what came before");
            program.stop_beside_another();
        }
    }
    for fault in faults {
        match fault {
            Fault::SecondCopy(_) => {}
            Fault::Kill => programs.iter_mut().for_each(Program::kill),
            Fault::ServerKill(server) => cluster.control("kill", server),
            Fault::ServerPause(server, _) => cluster.control("pause", server),
            Fault::Swallow(proxy) => cluster.proxies[*proxy].1.swallow_answers(),
            Fault::Quota => cluster.set_quota(&jobs(programs)),
        }
        sleep(between(random, 0, 300));
    }
    sleep(between(random, 200, 2000));
    let mut killed = Vec::new();
    for fault in faults {
        match fault {
            Fault::Kill | Fault::SecondCopy(_) | Fault::Quota => {}
            Fault::ServerKill(server) => killed.push(server.as_str()),
            Fault::ServerPause(server, time) => {
                sleep(time.saturating_sub(began.elapsed()));
                cluster.control("resume", server);
            }
            Fault::Swallow(proxy) => drop(cluster.proxies[*proxy].1.cut()),
        }
    }
    // Together, and once none is stopped: a broker is ready with most of the others alone.
    cluster.start(&killed);
    // What waits for the programs comes after that which they need.
    if faults.iter().any(|fault| matches!(fault, Fault::Quota)) {
        programs.iter_mut().for_each(|program| program.assert_says("quota", &what));
        cluster.clear_quota(&jobs(programs));
    }
    for fault in faults {
        if let Fault::SecondCopy(time) = fault {
            sleep(time.saturating_sub(began.elapsed()));
            programs.iter_mut().for_each(|program| program.wake_the_older(&what));
        }
    }
    programs.iter_mut().for_each(|program| program.assert_alive(&what));
}

fn jobs<'j>(programs: &[Program<'j>]) -> Vec<&'j ClusterJob<'j>> {
    programs.iter().map(|program| program.job).collect()
}

pub fn between(random: &mut Random, from_ms: u64, to_ms: u64) -> Duration {
    Duration::from_millis(from_ms + random.below(to_ms - from_ms))
}
