//! How a status is shown: text for people, JSON for programs. Pure; what is printed is decided here, not how.

pub mod diagnosis;
pub mod items;
pub mod json;
pub mod keyrings;
pub mod paint;
#[cfg(test)]
pub mod sample;
pub mod text;
