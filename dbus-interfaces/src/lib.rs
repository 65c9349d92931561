//! The contract between Open Sesame's daemons and everybody else: names, places, wire types, errors and client
//! proxies. No behaviour lives here, so that a client links no daemon.

pub mod daemon;
pub mod error;
pub mod events;
pub mod name;
pub mod places;
pub mod profile;
pub mod prompter;
pub mod secrets;
pub mod vault;

pub use error::Error;
pub use name::{ProfileName, SecretName};
