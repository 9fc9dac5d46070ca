//! Which rows are meant: what a stage of a flow gives, or what its sink holds.

use pipeline::{BuiltFlow, Loaded, did_you_mean};

/// Where to look.
pub(super) enum Target<'f> {
    /// At the rows of a flow once they have passed so many stages behind the source.
    Passing(&'f BuiltFlow, usize),
    /// At what the sink of a flow has committed.
    Sink(&'f BuiltFlow),
}

/// Finds what `FLOW`, `FLOW.SLOT` or `FLOW.SLOT.KIND` stands for. Nothing stands for the only flow of a file.
pub(super) fn find<'f>(loaded: &'f Loaded, target: Option<&str>) -> Result<Target<'f>, String> {
    let flows: Vec<_> = loaded.built.iter().map(|flow| flow.name.clone()).collect();
    let Some(target) = target else {
        return match loaded.built.as_slice() {
            [flow] => Ok(Target::Passing(flow, flow.stages.len())),
            _ => Err(format!("say which flow to tap: {}", flows.join(", "))),
        };
    };
    let (name, stage) = target.split_once('.').map_or((target, None), |(flow, stage)| (flow, Some(stage)));
    let Some(flow) = loaded.built.iter().find(|flow| flow.name == name) else {
        return Err(unknown(&format!("there is no flow `{name}`"), name, "the file has", &flows));
    };
    let stages = flow.stage_names();
    let Some(stage) = stage else { return Ok(Target::Passing(flow, flow.stages.len())) };
    // A slot alone stands for the last of its stages: what leaves the slot.
    let is_meant = |full: &String| full == stage || full.split('.').next() == Some(stage);
    match stages.iter().rposition(is_meant) {
        Some(last) if last + 1 == stages.len() => Ok(Target::Sink(flow)),
        Some(passed) => Ok(Target::Passing(flow, passed)),
        None => Err(unknown(&format!("flow {name} has no stage `{stage}`"), stage, "it has", &stages)),
    }
}

fn unknown(what: &str, word: &str, has: &str, choices: &[String]) -> String {
    let slots = choices.iter().filter_map(|choice| choice.split('.').next());
    let meant = did_you_mean(word, choices.iter().map(String::as_str).chain(slots));
    format!("{what}{meant}\n{has}: {}", choices.join(", "))
}
