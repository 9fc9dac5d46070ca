//! What a sink needs of its database.

/// A table that a sink writes to, and what it does with it.
pub(crate) struct Need {
    pub(crate) table: String,
    /// Makes it where it is missing.
    pub(crate) create: String,
    /// What is done with it once it is there.
    pub(crate) uses: Vec<String>,
}
