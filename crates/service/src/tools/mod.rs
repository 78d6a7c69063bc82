//! Tools of agents, called on a worker's behalf so that secrets never leave this process.

pub mod call;
pub mod check;
mod decoding;
mod masking;
pub mod outcome;
mod render;
pub mod run_call;
