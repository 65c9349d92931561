//! What callers see: one file per interface.

pub mod secrets;
pub mod vault;
