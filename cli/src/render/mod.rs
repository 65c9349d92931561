//! How a status is shown: text for people, JSON for programs. Pure; what is printed is decided here, not how.

pub mod diagnosis;
pub mod events;
pub mod import;
pub mod items;
pub mod json;
pub mod keyrings;
pub mod line;
pub mod paint;
pub mod prometheus;
#[cfg(test)]
pub mod sample;
pub mod text;
pub mod waybar;

use dbus_interfaces::{
    ProfileName,
    profile::{Report, VaultRow},
};

/// What fails where the status cannot be told.
pub const WHAT: &str = "cannot read the status";

/// The vaults in `only`, or all where it names none, in name order.
fn asked_for<'a>(report: &'a Report, only: &'a [ProfileName]) -> impl Iterator<Item = (&'a str, &'a VaultRow)> {
    let asked = move |name: &str| only.is_empty() || only.iter().any(|profile| profile.as_str() == name);
    report.vaults.iter().map(|(name, row)| (name.as_str(), row)).filter(move |(name, _)| asked(name))
}
