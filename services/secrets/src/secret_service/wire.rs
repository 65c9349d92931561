//! The types of the Secret Service API as they travel.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use vault_store::Attributes;
use zbus::{OwnedObjectPath, Type};

/// A secret in a session.
#[derive(Serialize, Deserialize, Type)]
pub struct Secret {
    /// The session that it is wrapped for.
    pub session: OwnedObjectPath,
    /// The initialisation vector, or nothing.
    pub parameters: Vec<u8>,
    /// The wrapped value.
    pub value: Vec<u8>,
    /// What the value is.
    pub content_type: String,
}

/// Attributes as they travel.
pub type Words = HashMap<String, String>;

/// From the bus.
pub fn attributes(words: Words) -> Attributes {
    words.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// To the bus.
pub fn words(attributes: &Attributes) -> Words {
    attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}
