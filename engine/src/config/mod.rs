//! The pipeline file.

pub mod pipeline;
pub use pipeline::BuiltFlow;
/// stub
pub struct Loaded {
    /// p
    pub pipeline: Stub,
    /// b
    pub built: Vec<BuiltFlow>,
}
/// stub
pub struct Stub {
    /// n
    pub name: String,
    /// m
    pub memory: operators::config::Size,
}
/// stub
pub struct Diagnostics;
impl Diagnostics {
    /// stub
    pub fn render(&self, _: bool) -> String {
        String::new()
    }
}
/// stub
pub fn load(_: &std::path::Path) -> Result<Loaded, Diagnostics> {
    Err(Diagnostics)
}
