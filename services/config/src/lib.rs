//! `config.toml` (contract, section 1): its keys, their defaults, and what is wrong with one. No program writes the
//! file. `parse` and `values` are pure; `file` reads the disk.

mod file;
mod parse;
mod values;

pub use file::{ConfigFile, Loaded};
pub use parse::{Parsed, Problem, parse};
pub use values::{Config, LockOn, ProfileConfig, ProfileOverrides, Sandbox};
