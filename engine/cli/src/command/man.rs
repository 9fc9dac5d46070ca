//! `man`: one page for the program and all its commands.

use super::Failed;
use crate::report::say;
use clap::{Arg, Command};
use clap_mangen::Man;
use std::io::{self, Write};

/// The page of a command line.
pub(crate) fn man(command: Command) -> Result<(), Failed> {
    let mut text = Vec::new();
    page(command, &mut text).map_err(|error| Failed::Running(error.to_string()))?;
    Ok(say(String::from_utf8_lossy(&text))?)
}

fn page(mut command: Command, text: &mut Vec<u8>) -> io::Result<()> {
    command.build();
    let man = Man::new(command.clone());
    man.render_title(text)?;
    man.render_name_section(text)?;
    man.render_synopsis_section(text)?;
    man.render_description_section(text)?;
    writeln!(text, ".SH COMMANDS")?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        section(subcommand, text)?;
    }
    man.render_options_section(text)?;
    let mut after = Vec::new();
    man.render_extra_section(&mut after)?;
    // Its lines are made to stand as they are.
    writeln!(text, ".SH EXAMPLES\n.nf\n{}.fi", without_heading(&after))?;
    Ok(())
}

/// A command as a part of the page, without the options that all have.
fn section(command: &Command, text: &mut Vec<u8>) -> io::Result<()> {
    let shared = |arg: &Arg| arg.is_global_set() || arg.get_id() == "help";
    let man = Man::new(command.clone().mut_args(|arg| if shared(&arg) { arg.hide(true) } else { arg }));
    let (mut synopsis, mut description, mut options) = (Vec::new(), Vec::new(), Vec::new());
    man.render_synopsis_section(&mut synopsis)?;
    man.render_description_section(&mut description)?;
    man.render_options_section(&mut options)?;
    writeln!(text, ".SS {}", command.get_name())?;
    text.extend(without_heading(&synopsis).bytes());
    writeln!(text, ".PP")?;
    text.extend(without_heading(&description).bytes());
    text.extend(without_heading(&options).bytes());
    Ok(())
}

fn without_heading(section: &[u8]) -> String {
    let text = String::from_utf8_lossy(section);
    text.lines()
        .filter(|line| !line.starts_with(".SH ") && !line.starts_with(".ie") && !line.starts_with(".el"))
        .fold(String::new(), |text, line| text + line + "\n")
}
