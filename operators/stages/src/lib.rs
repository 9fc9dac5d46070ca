//! Every stage that a pipeline file may name, and what shows, samples and tests their rows.
//!
//! | module | what it holds |
//! |---|---|
//! | [`source`], [`sink`] | the closed enum of each slot; those of the slots between are in `codecs` |
//! | [`show`] | rows as text: tables, JSON lines |
//! | [`sample`] | a few values out of the rows that pass by, for people who watch |
//! | [`harness`] | what a `[[test]]` of a flow puts in the place of its two ends |

pub mod harness;
pub mod sample;
pub mod show;
pub mod sink;
pub mod source;

pub use codecs::{decode, encode, partition, transform};
