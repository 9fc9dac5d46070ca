//! `help`: the page of a command, or a page of the project's documentation that the program carries.

use super::Failed;
use crate::report::say;
use clap::Command;
use clap::builder::StyledStr;
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
        return Ok(say(styled(&command.render_help()))?);
    };
    if let Some((_, page)) = TOPICS.iter().find(|(topic, _)| *topic == name) {
        return Ok(say((*page).to_owned())?);
    }
    command.build();
    match command.find_subcommand_mut(name) {
        Some(found) => Ok(say(styled(&found.render_long_help()))?),
        None => Err(Failed::Usage(unknown(name, &command))),
    }
}

/// With colours and bold where standard output is a terminal that shows them, as `--help` prints it.
fn styled(page: &StyledStr) -> String {
    if console::colors_enabled() { page.ansi().to_string() } else { page.to_string() }
}

fn unknown(name: &str, command: &Command) -> String {
    let commands: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
    let topics = TOPICS.iter().map(|(topic, _)| *topic).filter(|topic| !commands.contains(topic));
    let choices: Vec<_> = commands.iter().copied().chain(topics).collect();
    let nearest = did_you_mean(name, choices.iter().copied());
    format!("`{name}` is neither a command nor a topic{nearest}\nchoices: {}", choices.join(", "))
}
