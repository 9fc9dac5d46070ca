//! Where rows of a database come from: a table read by id, and the embedded topic.

pub mod table;
pub mod topic;
