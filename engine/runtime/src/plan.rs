//! What will run: every stage built, schemas composed, the resume point of each flow known.

use operators_core::Error;
use operators_core::progress::Progress;
use pipeline::{BuiltFlow, Loaded, did_you_mean};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long sinks are waited for that do not say what they hold: a plan is for people who want to see it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pipeline, ready to run.
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// Bytes of memory that the process stays within.
    pub memory: u64,
    /// Timely workers.
    pub workers: u32,
    /// The flows, in the order of the file.
    pub flows: Vec<PlannedFlow>,
}

/// A flow, ready to run.
pub struct PlannedFlow {
    /// Its stages.
    pub built: Arc<BuiltFlow>,
    /// Where it goes on.
    pub resume: Resume,
    /// Flows of this plan whose sink is this one's source, by index.
    pub upstream: Vec<usize>,
}

/// Where a flow goes on.
#[derive(Clone, Debug)]
pub enum Resume {
    /// Nothing has been committed yet.
    Beginning,
    /// After this commit.
    After(Box<Progress>),
    /// Not known yet: the sink does not answer.
    Unknown(String),
    /// Not at all: what is stored does not fit the file, or cannot be read.
    Refused(String),
}

impl Plan {
    /// Plans the flows of a file, or the one named. Reads the sinks' progress, all at once and for some seconds at most,
    /// and changes nothing.
    pub fn new(loaded: Loaded, only: Option<&str>, workers: u32) -> Result<Self, String> {
        let Loaded { pipeline, mut built, .. } = loaded;
        let names: Vec<_> = built.iter().map(|flow| flow.name.clone()).collect();
        if let Some(only) = only {
            built.retain(|flow| flow.name == only);
            if built.is_empty() {
                let meant = did_you_mean(only, names.iter().map(String::as_str));
                return Err(format!("there is no flow `{only}`{meant}\nthe file has: {}", names.join(", ")));
            }
        }
        let upstream: Vec<Vec<usize>> = built.iter().map(|flow| feeders(flow, &built)).collect();
        let asked = Instant::now();
        let looks: Vec<_> = built.into_iter().map(Look::begin).collect();
        let flows = looks
            .into_iter()
            .zip(upstream)
            .map(|(look, upstream)| {
                let resume = look.end(PATIENCE.saturating_sub(asked.elapsed()));
                PlannedFlow { built: look.built, resume, upstream }
            })
            .collect();
        Ok(Self { name: pipeline.name, memory: pipeline.memory.0, workers, flows })
    }
}

/// The flows whose sink is a flow's source, by index.
pub fn feeders(flow: &BuiltFlow, all: &[BuiltFlow]) -> Vec<usize> {
    let feeds = |other: &BuiltFlow| other.sink.place == flow.source.place;
    all.iter().enumerate().filter(|(_, other)| feeds(other)).map(|(index, _)| index).collect()
}

/// A flow whose sink is being asked where it goes on.
struct Look {
    built: Arc<BuiltFlow>,
    answer: Receiver<Resume>,
}

impl Look {
    fn begin(built: BuiltFlow) -> Self {
        let built = Arc::new(built);
        let (told, answer) = channel();
        let look = {
            let built = Arc::clone(&built);
            // Nobody may be listening any more.
            move || drop(told.send(resume(&built)))
        };
        // A thread that could not be started has dropped its end, and the answer is unknown.
        let _ = std::thread::Builder::new().name("resume".to_owned()).spawn(look);
        Self { built, answer }
    }

    /// The answer, if it comes in time; a server that hangs is left to its own time-outs.
    fn end(&self, patience: Duration) -> Resume {
        self.answer.recv_timeout(patience).unwrap_or_else(|error| {
            Resume::Unknown(match error {
                RecvTimeoutError::Timeout => {
                    format!("{}: no answer within {} s", self.built.sink.about.summary, PATIENCE.as_secs())
                }
                RecvTimeoutError::Disconnected => "it could not be asked".to_owned(),
            })
        })
    }
}

fn resume(flow: &BuiltFlow) -> Resume {
    let look = || match flow.sink.sink.progress(&flow.id)? {
        None => Ok(Resume::Beginning),
        Some(progress) => fits(flow, &progress).map(|()| Resume::After(Box::new(progress))),
    };
    look().unwrap_or_else(|error| match error {
        Error::Unavailable { .. } => Resume::Unknown(error.to_string()),
        error => Resume::Refused(error.to_string()),
    })
}

/// Why a flow can't resume from its last commit: the stored positions don't apply to what is there now.
pub enum Misfit {
    /// The file was changed, or another source has taken the place of the one that was read.
    Other(Error),
    /// The source that was read doesn't exist any more.
    Gone(Error),
}

/// Ensures that stored positions mean what the file now says they mean.
pub fn fits(flow: &BuiltFlow, progress: &Progress) -> Result<(), Error> {
    match misfit(flow, progress)? {
        None => Ok(()),
        Some(Misfit::Other(refusal) | Misfit::Gone(refusal)) => Err(refusal),
    }
}

/// Compares what a commit says about its flow and its source with what they are now; `None` where nothing differs.
pub fn misfit(flow: &BuiltFlow, progress: &Progress) -> Result<Option<Misfit>, Error> {
    let differences = flow.fingerprint.differences(&progress.fingerprint);
    if !differences.is_empty() {
        return Ok(Some(Misfit::Other(Error::Refused {
            place: flow.sink.place.clone(),
            reason: format!(
                "its last commit (version {}) was written by an incompatible version of this flow, so its positions don't \
                 apply: {}. Change the file back, or give the flow a new sink, where it starts from the beginning",
                progress.version,
                differences.join("; ")
            ),
        })));
    }
    let (source, now) = (&flow.source.source, flow.source.source.identity()?);
    let Some(stored) = &progress.source else { return Ok(None) };
    let Some(advice) = source.if_another(stored, now.as_deref()) else { return Ok(None) };
    let refusal = |is: &str| Error::Refused {
        place: flow.source.place.clone(),
        reason: format!(
            "version {} of {} was read from its identity {stored}, which {is}: it was deleted or recreated, so the \
             stored positions ({}) don't apply. {advice}",
            progress.version, flow.sink.place, progress.positions,
        ),
    };
    Ok(Some(match now {
        Some(now) => Misfit::Other(refusal(&format!("is now {now}"))),
        None => Misfit::Gone(refusal("is gone")),
    }))
}
