//! What people see of a run: what it will do, how it goes, what it did.
//!
//! | where it is seen | module |
//! |---|---|
//! | a terminal: a live table | `live`, `table` |
//! | a pipe or a file: a line per flow every few seconds | `log` |
//! | a program (`--log-format json`): an object a line | `json` |
//! | what these have in common, and the thread that drives them | `show`, `now`, `summary`, `watch` |
//! | how text is printed, and numbers in words | `print`, `words`, `voice` |
//! | pages of other commands | `connect`, `graph`, `standing` |

pub(crate) mod connect;
pub(crate) mod graph;
mod json;
mod live;
mod log;
mod now;
mod print;
mod show;
pub(crate) mod standing;
mod summary;
mod table;
mod voice;
mod watch;
mod words;

pub(crate) use print::{Said, Unprinted, briefly, page_width, say, say_aside, tell, tell_aside, width};
pub(crate) use voice::{LogFormat, Voice};
pub(crate) use watch::Watch;
pub(crate) use words::{counted, json_or_error, left_out, printed_lines};
