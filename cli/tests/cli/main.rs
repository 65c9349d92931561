//! `sesame` as its users run it: the real program on a real bus and a real socket, with daemons made for each test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code; clippy sees only the test functions as that")]

mod askpass;
mod check;
mod completions;
mod doctor;
mod is;
mod lock;
mod profile;
mod run;
mod secret;
mod status;
mod support;
mod terminal;
mod unlock;
mod usage;
