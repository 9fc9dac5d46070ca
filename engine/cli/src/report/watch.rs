//! Watches a run, on a thread of its own.

use super::json::Json;
use super::live::Live;
use super::log::Log;
use super::now::Rate;
use super::print::LAST_WORDS;
use super::show::{Meters, Show};
use super::voice::{LogFormat, Voice};
use runtime::Halt;
use runtime::plan::Plan;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often flows are looked at.
const TICK: Duration = Duration::from_millis(250);

/// Shows a run while it goes.
pub(crate) struct Watch {
    /// Nothing when nobody is told anything.
    watcher: Option<Watcher>,
}

/// The thread that looks at the flows, as the rest of the program sees it.
struct Watcher {
    /// Takes the command that proves what the run did, when it has ended.
    ended: Sender<String>,
    /// Hung up when all is said.
    said: Receiver<()>,
}

impl Watch {
    /// Says what will run, and shows it from now on.
    pub(crate) fn start(voice: Voice, plan: Arc<Plan>, page: Option<String>, meters: Meters, halt: Arc<Halt>) -> Self {
        let began = Instant::now();
        let mut show: Box<dyn Show> = match voice {
            Voice { quiet: true, .. } => return Self { watcher: None },
            Voice { log_format: LogFormat::Json, .. } => Box::new(Json::default()),
            _ if io::stdout().is_terminal() => Box::new(Live::new(meters.len())),
            _ => Box::new(Log::new(began)),
        };
        let (ended, end) = channel::<String>();
        let (saying, said) = channel();
        // Whatever is printed is printed here: a terminal that stands still must not hold back a row.
        let watch = move || {
            let _saying: Sender<()> = saying;
            let _ = show.begin(&plan, page.as_deref());
            let mut rates: Vec<_> = meters.iter().map(|_| Rate::new(began)).collect();
            let mut restarts = vec![0; meters.len()];
            let mut noted = false;
            loop {
                let end = end.recv_timeout(TICK);
                if !noted && halt.is_stopping() && halt.failure().is_none() {
                    noted = true;
                    let _ = show.stopping();
                }
                let flows = meters.iter().zip(&mut rates);
                let flows: Vec<_> = flows.map(|((flow, meter), rate)| rate.now(flow, meter.read())).collect();
                for (flow, seen) in flows.iter().zip(&mut restarts) {
                    let troubles = flow.reading.troubles.iter().filter(|trouble| trouble.restart > Some(*seen));
                    troubles.for_each(|trouble| _ = show.trouble(&trouble.failure));
                    *seen = flow.reading.restarts;
                }
                let has_ended = end.is_ok();
                let _ = match end {
                    Err(RecvTimeoutError::Timeout) => show.show(&flows),
                    Err(RecvTimeoutError::Disconnected) => return,
                    // Whoever looked away sees how each flow ended.
                    Ok(verify) => show.show(&flows).and_then(|()| show.end(&meters, began.elapsed(), &verify)),
                };
                if has_ended {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("report".to_owned()).spawn(watch);
        Self { watcher: thread.is_ok().then_some(Watcher { ended, said }) }
    }

    /// Sums up; `verify` is the command that proves it.
    pub(crate) fn end(self, verify: String) {
        let Some(Watcher { ended, said }) = self.watcher else { return };
        if ended.send(verify).is_ok() {
            // Hung up, or stuck: a run that is over must not wait for a reader.
            let _ = said.recv_timeout(LAST_WORDS);
        }
    }
}
