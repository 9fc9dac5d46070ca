//! A run that answers over HTTP, and a client to ask it.

use crate::common::Job;
use http::{Request, Version, header::HOST, request};
use hyper::body::Body;
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::error::Error;
use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::pin::Pin;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Longer than any answer takes that has an end.
const LONG: Duration = Duration::from_secs(20);

/// `run --http 0` with more arguments.
pub struct Served {
    child: Child,
    pub url: String,
}

/// The answer to a request, as far as it came.
#[derive(Default)]
pub struct Answer {
    /// 0 when none came.
    pub status: u16,
    /// `name: value` lines in lower case.
    pub headers: String,
    pub body: String,
    pub is_complete: bool,
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

    pub fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path), LONG)
    }

    pub fn ask(&self, request: request::Builder, within: Duration) -> Answer {
        ask(self.address(), request, within)
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status").body).unwrap()
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

/// Sends a request without a body, and takes of the answer what comes within a time: that of `/events` has no end.
pub fn ask(address: &str, request: request::Builder, within: Duration) -> Answer {
    let mut request = request.body(String::new()).unwrap();
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, address.parse().unwrap());
    }
    let mut answer = Answer::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let exchanged = async { tokio::time::timeout(within, exchange(address, request, &mut answer)).await };
    let exchanged = runtime.block_on(exchanged);
    answer.is_complete = matches!(exchanged, Ok(Ok(())));
    answer
}

async fn exchange(address: &str, request: Request<String>, answer: &mut Answer) -> Result<(), Box<dyn Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    answer.status = response.status().as_u16();
    for (name, value) in response.headers() {
        answer.headers += &format!("{name}: {}\n", value.to_str()?.to_lowercase());
    }
    let mut body = response.into_body();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            answer.body += std::str::from_utf8(&data)?;
        }
    }
    Ok(())
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
