//! The real store, its rollouts and its managers, driven by schedules: processes of several
//! releases whose operations meet at every call of the engine, fail, die and are believed dead,
//! against a model of what must be true. Shared by the tests and whoever else has choices to make.

pub(crate) mod choices;
mod fibers;
mod model;
mod releases;
pub(crate) mod schedule;
mod stage;
pub(crate) mod world;
