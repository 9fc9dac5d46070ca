//! What may stand where, for people and editors.

pub(crate) mod schema;
pub(crate) mod stages;
pub(crate) mod template;
