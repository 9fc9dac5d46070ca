//! The main job on real servers that die, stop, lag, fill up and keep their answers to themselves, alone and in pairs;
//! then every row of the table, the topic and the archive is compared with what the generator must have produced.
//!
//! `WEATHERFLOW_KILLS=1000` makes the kills of the program long, `WEATHERFLOW_SOAK=1h` goes on with faults in random
//! order for so long; both print what they did.

use super::cluster::{Cluster, Layout, ONE, THREE, harmed_cluster};
use super::fault::{Deck, Fault, a_pair, between, each_fault, inflict, names, pause};
use super::program::Program;
use operators_core::config::Interval;
use std::collections::BTreeMap;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use testkit::Random;

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
        *self.faults.entry(names(faults, cluster)).or_default() += 1;
    }

    /// Lets the jobs come to their ends, and compares every row.
    fn close(&mut self, programs: Vec<Program<'_>>) {
        for program in &programs {
            self.starts += u64::from(program.starts);
            self.restarts += program.restarts();
            self.rows += u64::from(program.job.job.stations) * u64::from(program.job.job.days);
            self.jobs += 1;
        }
        scope(|scope| {
            for program in programs {
                scope.spawn(|| program.finish_and_prove());
            }
        });
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

/// Each program goes on, and what it has committed is whole.
fn recover(programs: &mut [Program<'_>], what: &str) {
    scope(|scope| {
        for program in programs {
            scope.spawn(|| {
                program.assert_goes_on(what);
                program.assert_verified(what);
            });
        }
    });
}

#[test]
fn killed_at_random_moments_on_real_servers() {
    let Some(cluster) = &*ONE else { return };
    let mut random = Random::from_environment();
    let kills: u64 = std::env::var("WEATHERFLOW_KILLS").map_or(30, |text| text.parse().expect("a number"));
    let job = cluster.job(10, 400 * kills as u32, "5ms", "200ms", Layout::Batches);
    let mut program = Program::start(&job);
    let mut account = Account::default();
    for _ in 0..kills {
        sleep(between(&mut random, 50, 2000));
        program.assert_alive("a while");
        program.kill();
        account.add(&[Fault::Kill], cluster);
    }
    account.close(vec![program]);
    account.print();
}

/// Inflicts faults one after the other on a job of each layout, side by side, so that each layout meets every fault.
fn survive(cluster: &Cluster, faults: impl IntoIterator<Item = Vec<Fault>>, random: &mut Random) {
    let mut account = Account::default();
    let jobs = [Layout::Batches, Layout::Flat].map(|layout| cluster.job(10, 40_000, "30ms", "500ms", layout));
    let mut programs: Vec<_> = jobs.iter().map(Program::start).collect();
    recover(&mut programs, "the start");
    for faults in faults {
        let what = names(&faults, cluster);
        let began = Instant::now();
        inflict(&faults, cluster, &mut programs, random);
        let undone = began.elapsed();
        recover(&mut programs, &what);
        println!("{what}: undone after {undone:?}, verified after {:?}", began.elapsed());
        account.add(&faults, cluster);
    }
    account.close(programs);
    account.print();
}

/// Whether a fault hits HDFS.
fn is_of_hdfs(fault: &Fault, cluster: &Cluster) -> bool {
    let name = fault.name(cluster);
    ["node", "HDFS"].iter().any(|part| name.contains(part))
}

/// Each fault of one broker, of MySQL and of the program alone, and what is stopped beyond its time-outs, at once where
/// one does not stand in another's way: generators ask MySQL, publishers the broker, archives the NameNode; each has rows
/// in hand.
#[test]
fn the_program_the_broker_and_mysql_fail_and_no_row_is_lost_or_doubled() {
    let Some((cluster, _servers)) = harmed_cluster() else { return };
    let mut random = Random::from_environment();
    let alone = each_fault(cluster).into_iter().filter(|fault| !is_of_hdfs(fault, cluster)).map(|fault| vec![fault]);
    let mut deck = Deck::new(cluster);
    let pairs: Vec<_> = (0..2).map(|_| a_pair(|| deck.draw(&mut random))).collect();
    let long = [pause("namenode"), pause("mysql"), pause("broker1")].map(Fault::longer).to_vec();
    survive(cluster, alone.chain(pairs).chain([long]), &mut random);
}

/// Each fault of HDFS alone; a DataNode is as good as another.
#[test]
fn hdfs_dies_stops_and_fills_up_and_no_row_is_lost_or_doubled() {
    let Some((cluster, _servers)) = harmed_cluster() else { return };
    let mut random = Random::from_environment();
    let datanodes = ["datanode1", "datanode2", "datanode3"];
    let chosen = datanodes[random.below(3) as usize];
    let alone =
        each_fault(cluster).into_iter().filter(|fault| is_of_hdfs(fault, cluster)).filter(|fault| match fault {
            Fault::ServerKill(name) | Fault::ServerPause(name, _) => {
                name == chosen || !datanodes.contains(&name.as_str())
            }
            _ => true,
        });
    let mut deck = Deck::new(cluster);
    let pair = a_pair(|| deck.draw(&mut random));
    let long = [pause(chosen), Fault::SecondCopy(Duration::ZERO)].map(Fault::longer).to_vec();
    survive(cluster, alone.map(|fault| vec![fault]).chain([pair, long]), &mut random);
}

/// Its brokers are its own.
#[test]
fn one_of_three_brokers_dies_and_no_row_is_lost_or_doubled() {
    let Some(cluster) = &*THREE else { return };
    let mut random = Random::from_environment();
    let mut account = Account::default();
    let job = cluster.job(10, 20_000, "30ms", "200ms", Layout::Batches);
    let mut programs = vec![Program::start(&job)];
    programs[0].assert_goes_on("the start");
    let broker = |number: u64| format!("broker{number}");
    let kills = (1..=3).map(|number| Fault::ServerKill(broker(number)));
    let long = pause(&broker(1 + random.below(3))).longer();
    for fault in kills.chain([long]) {
        inflict(std::slice::from_ref(&fault), cluster, &mut programs, &mut random);
        account.add(&[fault], cluster);
    }
    account.close(programs);
    account.print();
}

/// `WEATHERFLOW_SOAK=20m`, and no other test meanwhile: faults alone and in pairs, in random order, on one broker and on three.
#[test]
fn soak() {
    let Ok(length) = std::env::var("WEATHERFLOW_SOAK") else { return };
    let length: Interval = length.parse().expect("WEATHERFLOW_SOAK is a length of time, as in 20m");
    let mut random = Random::from_environment();
    let (Some((one, _servers)), Some(three)) = (harmed_cluster(), &*THREE) else { return };
    let mut decks = [Deck::new(one), Deck::new(three)];
    let mut account = Account::default();
    let began = Instant::now();
    while began.elapsed() < length.0 {
        let deck = &mut decks[account.jobs as usize % 2];
        let layout = if account.jobs % 4 < 2 { Layout::Batches } else { Layout::Flat };
        let job = deck.cluster.job(10, 60_000, "10ms", "500ms", layout);
        let mut programs = vec![Program::start(&job)];
        programs[0].assert_goes_on("the start");
        for _ in 0..8 {
            let pair = random.below(3) == 0;
            let mut draw = || {
                let fault = deck.draw(&mut random);
                if random.below(4) == 0 { fault.longer() } else { fault }
            };
            let faults = if pair { a_pair(draw) } else { vec![draw()] };
            println!("{:?} {}", began.elapsed(), names(&faults, deck.cluster));
            inflict(&faults, deck.cluster, &mut programs, &mut random);
            account.add(&faults, deck.cluster);
        }
        account.close(programs);
    }
    account.print();
}
