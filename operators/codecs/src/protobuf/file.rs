//! A `.proto` file and the message in it.

use operators_core::config::shown;
use operators_core::error::Problem;
use prost_reflect::{FileDescriptor, MessageDescriptor};
use protox::Compiler;
use std::path::Path;

/// Compiles a schema file, whose imports start in its own folder, and finds a message by its full name.
pub(super) fn descriptor(path: &Path, message: &str) -> Result<MessageDescriptor, Problem> {
    let file = compile(path)?;
    if let Some(found) = file.parent_pool().get_message_by_name(message) {
        return Ok(found);
    }
    let names = messages(file.messages());
    let problem = Problem::at("message", format!("{} has no message `{message}`", shown(path)));
    Err(match names.as_slice() {
        [] => problem.help("the file declares no message at all"),
        names => problem.help(format!("it has {}", names.join(", "))),
    })
}

fn compile(path: &Path) -> Result<FileDescriptor, Problem> {
    let wrong = |reason: String| Problem::at("schema", reason);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(wrong(format!("{} is not a file", shown(path))));
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // Asked first, because the compiler does not tell a missing schema from a missing import.
    if let Err(error) = std::fs::File::open(path) {
        let problem = wrong(format!("cannot open {}: {error}", shown(path)));
        return Err(match schemas(folder).as_slice() {
            [] => problem.help("the path starts in the folder of the pipeline file"),
            names => problem.help(format!("its folder has {}", names.join(", "))),
        });
    }
    let refused = |error: &dyn std::fmt::Debug| wrong(format!("{} does not compile: {error:?}", shown(path)));
    let mut compiler = Compiler::new([folder]).map_err(|error| refused(&error))?;
    compiler.include_source_info(true).open_file(path).map_err(|error| refused(&error))?;
    let name = name.to_string_lossy();
    compiler.descriptor_pool().get_file_by_name(&name).ok_or_else(|| wrong(format!("{name} is not a schema file")))
}

/// Full names of messages and of those nested in them.
fn messages(declared: impl Iterator<Item = MessageDescriptor>) -> Vec<String> {
    let mut names = Vec::new();
    for message in declared.filter(|message| !message.is_map_entry()) {
        names.push(format!("`{}`", message.full_name()));
        names.extend(messages(message.child_messages()));
    }
    names
}

/// The schema files of a folder, for a hint in an error.
fn schemas(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".proto")).collect();
    names.sort_unstable();
    names
}
