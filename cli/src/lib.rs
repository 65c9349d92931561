//! `sesame`, the command line of Open Sesame. A library so that the manual pages are made from the same definitions;
//! the program is `main.rs`.

pub mod args;
pub mod askpass;
pub mod bus;
pub mod clock;
pub mod commands;
pub mod complete;
pub mod condition;
pub mod daemons;
pub mod deadline;
pub mod doctor;
pub mod error;
pub mod exit;
pub mod import;
pub mod input;
pub mod keyrings;
pub mod mapping;
pub mod monitoring;
pub mod output;
pub mod passphrase;
pub mod private;
pub mod render;
pub mod screen;
pub mod terminal;
pub mod usage;
pub mod watch;
