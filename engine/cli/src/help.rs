//! The page that `--help` prints: the commands in groups, in the order people meet them, then examples.

use crate::report::page_width;
use clap::{Arg, ArgAction, Command};
use std::fmt::Write;
use textwrap::{Options, fill};

/// The commands by what they are for.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Write a pipeline", &["init", "check", "graph", "stages", "schema", "test"]),
    ("Run it", &["run"]),
    ("Look at it", &["status", "tap", "verify"]),
    ("Set up", &["completions", "man", "help"]),
];

/// What stands at the end of the page.
const EXAMPLES: &str = "\
Examples:
  weatherflow init weather                 a new file to begin with
  weatherflow check weather.toml           every mistake at its place
  weatherflow graph weather.toml           what it is compiled to
  weatherflow run weather.toml             Ctrl-C commits what is open and stops
  weatherflow verify weather.toml          no row lost, none doubled

Exit status:
  0 fine, 1 failed while running, 2 wrong command line or file";

/// Columns of a command's name with what is beside it.
const NAME: usize = 15;

/// Gives a command the page.
pub(crate) fn paged(command: Command) -> Command {
    let mut built = command.clone();
    built.build();
    let head = command.get_styles().get_header();
    let mut page = format!("{{about}}\n\n{head}Usage:{head:#} {{usage}}\n");
    for (group, names) in GROUPS {
        let _ = write!(page, "\n{head}{group}:{head:#}\n");
        for name in names {
            page += &built.find_subcommand(name).map(line).unwrap_or_default();
        }
    }
    let _ = write!(page, "\n{head}Options:{head:#}\n{{options}}{{after-help}}");
    // The long form of the options would push the commands out of sight; the commands' own pages have room for it.
    command
        .help_template(page)
        .after_help(EXAMPLES)
        .term_width(page_width())
        .disable_help_flag(true)
        .arg(flag(ArgAction::HelpShort))
        .mut_subcommands(|command| command.arg(flag(ArgAction::Help)))
}

fn flag(action: ArgAction) -> Arg {
    Arg::new("help").short('h').long("help").action(action).help("Print help")
}

fn line(command: &Command) -> String {
    let name = format!("  {:<1$}", command.get_name(), NAME - 2);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let options = Options::new(page_width()).initial_indent(&name).subsequent_indent("               ");
    fill(&about, options) + "\n"
}

#[cfg(test)]
mod tests {
    use super::GROUPS;

    #[test]
    fn every_command_stands_in_one_group() {
        let mut command = crate::cli::command();
        command.build();
        let mut listed: Vec<_> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        listed.sort_unstable();
        let mut known: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
