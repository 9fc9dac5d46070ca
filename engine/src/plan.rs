//! What will run: every stage built, schemas composed, the resume point of each flow known.

use crate::config::{BuiltFlow, Loaded};
use operators::Error;
use operators::progress::Progress;

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
    pub built: BuiltFlow,
    /// Pipeline and flow, under which its progress is stored: `weather/archive`.
    pub id: String,
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
    /// Plans the flows of a file, or the one named. Reads the sinks' progress and changes nothing.
    pub fn new(loaded: Loaded, only: Option<&str>, workers: u32) -> Result<Self, String> {
        let Loaded { pipeline, mut built, .. } = loaded;
        let names: Vec<_> = built.iter().map(|flow| flow.name.clone()).collect();
        if let Some(only) = only {
            built.retain(|flow| flow.name == only);
            if built.is_empty() {
                return Err(format!("there is no flow `{only}`; the file has {}", names.join(", ")));
            }
        }
        let upstream: Vec<Vec<usize>> = built.iter().map(|flow| feeders(flow, &built)).collect();
        let flows = built
            .into_iter()
            .zip(upstream)
            .map(|(built, upstream)| {
                let id = pipeline.flow_id(&built.name);
                let resume = resume(&built, &id);
                PlannedFlow { built, id, resume, upstream }
            })
            .collect();
        Ok(Self { name: pipeline.name, memory: pipeline.memory.0, workers, flows })
    }
}

fn feeders(flow: &BuiltFlow, all: &[BuiltFlow]) -> Vec<usize> {
    let feeds = |other: &BuiltFlow| other.sink.place == flow.source.place;
    all.iter().enumerate().filter(|(_, other)| feeds(other)).map(|(index, _)| index).collect()
}

fn resume(flow: &BuiltFlow, id: &str) -> Resume {
    let look = || match flow.sink.sink.progress(id)? {
        None => Ok(Resume::Beginning),
        Some(progress) => fits(flow, &progress).map(|()| Resume::After(Box::new(progress))),
    };
    look().unwrap_or_else(|error| match error {
        Error::Unavailable { .. } => Resume::Unknown(error.to_string()),
        error => Resume::Refused(error.to_string()),
    })
}

/// Whether stored positions mean what the file now says they mean.
pub(crate) fn fits(flow: &BuiltFlow, progress: &Progress) -> Result<(), Error> {
    let differences = flow.fingerprint.differences(&progress.fingerprint);
    if !differences.is_empty() {
        return Err(Error::Refused {
            place: flow.sink.place.clone(),
            reason: format!(
                "its last commit (version {}) was made by another form of this flow, whose positions would mean other \
                 rows: {}. Change the file back, or give the flow a new sink and let it begin there",
                progress.version,
                differences.join("; ")
            ),
        });
    }
    let identity = flow.source.source.identity()?;
    if progress.source.is_some() && progress.source != identity {
        let is = identity.map_or("is gone".to_owned(), |id| format!("is now {id}"));
        return Err(Error::Refused {
            place: flow.source.place.clone(),
            reason: format!(
                "version {} of {} was read from its identity {}, which {is}: it was deleted or recreated, and the \
                 stored positions ({}) would mean other rows. Bring the old one back, or give the flow a new sink",
                progress.version,
                flow.sink.place,
                progress.source.as_deref().unwrap_or_default(),
                progress.positions,
            ),
        });
    }
    Ok(())
}
