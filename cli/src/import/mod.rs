//! Moving in: what another Secret Service keeps, and what of it a vault lacks.

pub mod plan;
pub mod provider;
