//! Build script of the daemons: links a release in the order of `resident.ld`.

// What cargo reads is said on standard output.
#![allow(clippy::print_stdout)]

use std::{env, path::Path};

fn main() {
    let script = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../resident.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rerun-if-env-changed=ANY_ORDER");
    let is = |variable, value| env::var(variable).is_ok_and(|is| is == value);
    // mold takes no such scripts. Without an order the daemons do the same, in more memory.
    let takes_scripts = !env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().contains("mold");
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_ENV", "gnu") && takes_scripts && !is("ANY_ORDER", "1") {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
}
