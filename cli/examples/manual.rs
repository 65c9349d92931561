//! Writes the manual pages into a folder: `sesame.1`, and a page for each command. Used by `make install`.

use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: manual FOLDER"))?;
    fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(sesame_cli::args::command(), folder)
}
