//! Build script of the daemons and of sesame: links a release in the order of the `order.ld` beside it, or above it.

// What cargo reads is said on standard output.
#![allow(clippy::print_stdout)]

use std::{env, path::Path};

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let places = [Path::new(&folder).join("order.ld"), Path::new(&folder).join("../order.ld")];
    let Some(script) = places.iter().find(|place| place.exists()) else { return };
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rerun-if-env-changed=ANY_ORDER");
    let is = |variable, value| env::var(variable).is_ok_and(|is| is == value);
    // mold takes no such scripts. Without an order the programs do the same, in more memory and time.
    let takes_scripts = !env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().contains("mold");
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_ENV", "gnu") && takes_scripts && !is("ANY_ORDER", "1") {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
}
