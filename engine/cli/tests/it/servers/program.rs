//! The program under faults: started again whenever it was killed, and asked what it said and how it stands.
use super::cluster::{ClusterJob, Layout};
use crate::common::both;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than anything takes that ends by itself.
const NEVER: Duration = Duration::from_secs(300);
/// Between two looks at what the program does.
const LOOK: Duration = Duration::from_millis(50);

pub struct Program<'j> {
    pub job: &'j ClusterJob<'j>,
    child: Child,
    /// One that is stopped while another runs in its place.
    older: Option<Child>,
    pub starts: u32,
    /// Rows of each flow when last verified.
    verified: BTreeMap<String, u64>,
}

impl<'j> Program<'j> {
    pub fn start(job: &'j ClusterJob<'j>) -> Self {
        Self { job, child: spawn(job, 0), older: None, starts: 1, verified: BTreeMap::new() }
    }

    /// A second process; the one before is the caller's to end.
    fn start_another(&mut self) -> Child {
        let child = spawn(self.job, self.starts);
        self.starts += 1;
        std::mem::replace(&mut self.child, child)
    }

    /// SIGKILL, and a start.
    pub fn kill(&mut self) {
        kill(self.start_another());
    }

    /// SIGSTOP, and a second copy.
    pub fn stop_beside_another(&mut self) {
        signal(&self.child, Signal::STOP);
        self.older = Some(self.start_another());
    }

    /// SIGCONT once the second copy has taken over every flow: one of the two must stop and say why.
    pub fn wake_the_older(&mut self, what: &str) {
        self.assert_goes_on(what);
        let mut older = self.older.take().expect("two copies");
        signal(&older, Signal::CONT);
        let (status, number) = self.wait("one of two copies to stop", what, |program| {
            let older = older.try_wait().unwrap().map(|status| (status, program.starts - 2));
            older.or(program.child.try_wait().unwrap().map(|status| (status, program.starts - 1)))
        });
        let said = self.log(number);
        assert!(status.code() == Some(1) && said.contains("another copy of this pipeline"), "{what}: {status}\n{said}");
        match self.job.layout {
            Layout::Batches => {
                assert_eq!(number, self.starts - 2, "{what}: the copy that had taken over has stopped\n{said}");
                self.assert_goes_on(what);
            }
            // Partitions commit alone: where the older is first with one of them, both stop.
            Layout::Flat => {
                kill(older);
                self.kill();
            }
        }
    }

    /// Nothing but a signal ends it: whatever the servers do it tries again.
    pub fn assert_alive(&mut self, after: &str) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("after {after} the program ended by itself, {status}:\n{}", self.log(self.starts - 1));
        }
    }

    /// Every flow commits once more.
    pub fn assert_goes_on(&mut self, after: &str) {
        let commits = |program: &Self| {
            let said = program.log(program.starts - 1);
            ["generate", "publish", "archive"].map(|flow| {
                let committed = |line: &&str| line.contains(&format!("flow={flow} ")) && line.contains(": committed ");
                said.lines().filter(committed).count()
            })
        };
        let before = commits(self);
        self.wait("a commit of every flow", after, |program| {
            program.assert_alive(after);
            commits(program).iter().zip(before).all(|(now, before)| *now > before).then_some(())
        });
    }

    /// It says something once more.
    pub fn assert_says(&mut self, words: &str, after: &str) {
        let times = |program: &Self| program.log(program.starts - 1).matches(words).count();
        let before = times(self);
        self.wait(words, after, |program| {
            program.assert_alive(after);
            (times(program) > before).then_some(())
        });
    }

    /// `verify` finds nothing wrong while the program runs, and no row less than before.
    pub fn assert_verified(&mut self, after: &str) {
        let output = self.job.job.verify(&["--json"]);
        assert!(output.status.success(), "after {after}: {}", both(&output));
        let accounts = String::from_utf8(output.stdout).unwrap();
        for account in accounts.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
            let (flow, rows) = (account["flow"].as_str().unwrap().to_owned(), account["rows"].as_u64().unwrap());
            let before = self.verified.insert(flow, rows);
            assert!(before.is_none_or(|before| before <= rows), "after {after}: {before:?} rows before, now {account}");
        }
        assert_eq!(self.verified.len(), 3, "{accounts}");
    }

    /// Faults that meet a job without rows left prove nothing.
    fn assert_busy(&self) {
        let last = u64::from(self.job.job.stations) * u64::from(self.job.job.days);
        let last = format!("{}", indicatif::HumanCount(last));
        assert!(
            !self.said().contains(&format!("generate: {last} rows")),
            "the job had {last} rows, too few for its faults"
        );
    }

    /// SIGKILL, for good.
    pub fn end(&mut self) {
        for child in self.older.iter_mut().chain([&mut self.child]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it, lets the job come to its end, and compares every row.
    pub fn finish_and_prove(mut self) {
        self.end();
        self.assert_busy();
        self.job.finish_and_prove();
    }

    /// Lines that say that a flow begins again.
    pub fn restarts(&self) -> u64 {
        self.said().matches("trying again from the last commit").count() as u64
    }

    fn said(&self) -> String {
        (0..self.starts).map(|start| self.log(start)).collect()
    }

    fn log(&self, start: u32) -> String {
        fs::read_to_string(self.job.job.dir.path().join(name_of_log(start))).unwrap()
    }

    fn wait<T>(&mut self, what: &str, after: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(seen) = look(self) {
                return seen;
            }
            assert!(began.elapsed() < NEVER, "after {after}: waited for {what}:\n{}", self.log(self.starts - 1));
            sleep(LOOK);
        }
    }
}

impl Drop for Program<'_> {
    /// A test that fails leaves none behind.
    fn drop(&mut self) {
        self.end();
    }
}

fn name_of_log(start: u32) -> String {
    format!("run-{start}.log")
}

/// Each commit is a line of what it says.
fn spawn(job: &ClusterJob<'_>, start: u32) -> Child {
    let log = File::create(job.job.dir.path().join(name_of_log(start))).unwrap();
    let errors = log.try_clone().unwrap();
    let mut run = job.job.command("run", &[]);
    run.env("RUST_LOG", "warn,runtime=debug").stdout(Stdio::from(log)).stderr(Stdio::from(errors)).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    // It may have ended by itself, which is for the caller to judge.
    let _ = kill_process(Pid::from_child(child), signal);
}

fn kill(mut child: Child) {
    signal(&child, Signal::KILL);
    child.wait().unwrap();
}
