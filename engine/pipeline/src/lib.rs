//! The pipeline file: read, resolved, checked and built, with every mistake shown at its place.
//!
//! | step | module |
//! |---|---|
//! | a file as a whole | `load` |
//! | file to text, text to values that know their places | `text` |
//! | what may stand where, from the config types | `shape`; `file` has those of the file itself |
//! | unknown and missing keys, wrong types, `{ env = ... }` and `{ file = ... }`; values to config types | `values` |
//! | config types to stages that fit together; tests of these flows, their rows as columns | `build` |
//! | what may stand where, for people and editors; a new file to begin with | `catalogue` |
//! | mistakes for people, without secrets | `diagnostics` |

mod build;
mod catalogue;
mod diagnostics;
mod file;
mod load;
mod shape;
mod text;
mod values;

#[cfg(test)]
mod tests;

pub use build::built::{BuiltFlow, NamedStage};
pub use build::flow::is_name;
pub use build::stage_name::{NotAStageName, Slot, StageName};
pub use build::trial::{BuiltTest, Expectations};
pub use catalogue::schema::schema;
pub use catalogue::stages::{FieldDoc, StageDoc, catalogue, slots};
pub use catalogue::template::template;
pub use diagnostics::diagnostic::Diagnostics;
pub use file::CommitConfig;
pub use load::{Loaded, load};
pub use values::meant::did_you_mean;
