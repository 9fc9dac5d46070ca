//! Config types to what can run.
//!
//! | what | module |
//! |---|---|
//! | a flow with its stages | `built` |
//! | how it is built; each stage is given the columns of the one before it | `flow` |
//! | names of stages | `stage_name` |
//! | checks across flows | `places` |
//! | tests of these flows, their rows as columns | `trial` |

pub(crate) mod built;
pub(crate) mod flow;
pub(crate) mod places;
pub(crate) mod stage_name;
pub(crate) mod trial;
