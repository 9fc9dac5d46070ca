//! Values against what may stand in their places.
//!
//! | step | module |
//! |---|---|
//! | unknown and missing keys, wrong types | `check`, `meant` |
//! | `{ env = ... }` and `{ file = ... }` | `resolve` |
//! | values to config types | `read` |

pub(crate) mod check;
pub(crate) mod meant;
pub(crate) mod read;
pub(crate) mod resolve;
