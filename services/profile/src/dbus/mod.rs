//! The bus as the hub's callers see it: one file per interface.

pub mod profile;
