//! A run that answers over HTTP, and `curl` to ask it.
use crate::common::Job;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// `run --http 0` with more arguments.
pub struct Served {
    child: Child,
    pub url: String,
}

/// What `curl` was answered.
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub headers: String,
    pub body: String,
}

impl Served {
    pub fn start(job: &Job, arguments: &[&str]) -> Self {
        Self::start_at(job, "0", arguments)
    }

    /// At a port that another run had.
    pub fn start_at(job: &Job, port: &str, arguments: &[&str]) -> Self {
        let mut command = job.command("run", &["--http", port]);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.split_once("http://")?.1.trim_end_matches('/').to_owned()));
        let url = format!("http://{}", url.expect("the run says where it answers"));
        // Read on, or the run would wait for its output to be taken.
        std::thread::spawn(move || lines.count());
        Self { child, url }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub fn get(&self, path: &str, arguments: &[&str]) -> Answer {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--include", "--max-time", "20"]).args(arguments).arg(format!("{}{path}", self.url));
        let output = curl.output().expect("curl is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (headers, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = headers.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, headers: headers.to_lowercase(), body: body.to_owned() }
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status", &[]).body).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ctrl-C, and the end it leads to.
    pub fn stop(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until there is something to see; fails when there never is.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "never seen: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
