//! `help`: the page of a command, or a page of the project's documentation that the program carries.

use super::Failed;
use crate::report::say;
use clap::Command;
use pipeline::did_you_mean;

/// Pages by topic. A topic that is also the name of a command prints the page; `COMMAND --help` prints the options.
const TOPICS: [(&str, &str); 4] = [
    ("file", include_str!("../../../../pipelines/README.md")),
    ("guarantee", include_str!("../../../../operators/GUARANTEE.md")),
    ("metrics", include_str!("../../docs/metrics.md")),
    ("status", include_str!("../../docs/status.md")),
];

pub(crate) fn help(mut command: Command, name: Option<&str>) -> Result<(), Failed> {
    let Some(name) = name else {
        return Ok(say(command.render_help().ansi().to_string())?);
    };
    if let Some((_, page)) = TOPICS.iter().find(|(topic, _)| *topic == name) {
        return Ok(say((*page).to_owned())?);
    }
    command.build();
    match command.find_subcommand_mut(name) {
        Some(found) => Ok(say(found.render_long_help().ansi().to_string())?),
        None => Err(Failed::Usage(unknown(name, &command))),
    }
}

fn unknown(name: &str, command: &Command) -> String {
    let topics = TOPICS.iter().map(|(topic, _)| *topic);
    let commands = command.get_subcommands().map(Command::get_name);
    let choices: Vec<_> = commands.chain(topics).collect();
    let nearest = did_you_mean(name, choices.iter().copied());
    format!("there is no command and no topic `{name}`{nearest}\nchoices: {}", choices.join(", "))
}
