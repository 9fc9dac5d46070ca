//! A whole process, measured from outside as the operating system accounts for it.

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a running process is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Clock ticks of /proc in a second: USER_HZ, which Linux shows to programs as 100 everywhere.
const TICKS: f64 = 100.0;

/// What a process has taken.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Taken {
    /// From its start to its end.
    pub seconds: f64,
    /// User and system, of all its threads, and of the processes it waited for.
    pub cpu_seconds: f64,
    /// Most resident memory at any time.
    pub peak_mib: f64,
}

/// A process that runs.
pub struct Running {
    child: Child,
    began: Instant,
    peak_kib: u64,
    output: tempfile::NamedTempFile,
}

impl Running {
    /// Starts it, keeping what it prints.
    pub fn start(command: &mut Command) -> Self {
        let output = tempfile::NamedTempFile::new().unwrap();
        let keep = || Stdio::from(output.as_file().try_clone().unwrap());
        command.stdin(Stdio::null()).stdout(keep()).stderr(keep());
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, began: Instant::now(), peak_kib: 0, output }
    }

    /// CPU seconds so far.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The second field is the name in parentheses, and may hold blanks.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (11..=14).map(ticks).sum::<f64>() / TICKS
    }

    /// Looks at it once; gives what it has taken when it has ended.
    pub fn look(&mut self) -> Option<Taken> {
        let seconds = self.began.elapsed().as_secs_f64();
        let pid = Pid::from_child(&self.child);
        // It stays a zombie, whose accounts can still be read.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        if waitid(WaitId::Pid(pid), options).unwrap().is_none() {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok());
            self.peak_kib = self.peak_kib.max(peak.unwrap_or_default());
            return None;
        }
        let cpu_seconds = self.cpu_seconds();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.printed());
        Some(Taken { seconds, cpu_seconds, peak_mib: self.peak_kib as f64 / 1024.0 })
    }

    /// Waits until it has ended.
    pub fn end(mut self) -> Taken {
        loop {
            if let Some(taken) = self.look() {
                return taken;
            }
            thread::sleep(LOOK);
        }
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        rustix::process::kill_process(Pid::from_child(&self.child), rustix::process::Signal::INT).unwrap();
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.output.path()).unwrap_or_default()
    }
}

/// Runs a process to its end.
pub fn run(command: &mut Command) -> Taken {
    Running::start(command).end()
}

/// The product itself.
pub fn weatherflow(arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
    command.args(arguments).arg(file);
    command
}

/// Throws away what the file system still has to write, so that one round does not pay for another.
pub fn settle(directory: &Path) {
    File::open(directory).and_then(|directory| directory.sync_all()).unwrap();
}
