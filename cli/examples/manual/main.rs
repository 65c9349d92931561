//! Writes the manual pages: `sesame.1` and a page for each command into the folder `man1`, `open-sesame-config.5` and
//! `org.opensesame.5` into `man5`, both below the folder that is given. Used by `make install`.
//!
//! The commands' pages come from the definition of the command line, and from what `cli/manual/` adds to each; the
//! interfaces' page comes from their XML.

mod interfaces;

use std::{
    env, fs,
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_mangen::Man;

/// Of the last change of what the pages say.
const DATE: &str = "2026-11-25";
const MANUAL: &str = "Open Sesame";
const EXIT_STATUS: &str = include_str!("../../manual/exit-status.roff");
const CONFIG: &str = include_str!("../../manual/open-sesame-config.5");

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: manual FOLDER"))?;
    let folder = Path::new(&folder);
    let (commands, formats) = (folder.join("man1"), folder.join("man5"));
    fs::create_dir_all(&commands)?;
    fs::create_dir_all(&formats)?;
    let mut sesame = sesame_cli::args::command().disable_help_subcommand(true);
    sesame.build();
    page_and_below(&sesame, &commands)?;
    fs::write(formats.join("open-sesame-config.5"), CONFIG)?;
    fs::write(formats.join("org.opensesame.5"), interfaces::page(DATE, MANUAL)?)
}

fn page_and_below(command: &Command, folder: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    // Without its foot, which is written here, and without the version, which stands at the end of each page.
    let bare = command.clone().after_long_help(None::<&str>).after_help(None::<&str>);
    let source = format!("Open Sesame {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(bare).date(DATE).source(source).manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let added = Path::new(env!("CARGO_MANIFEST_DIR")).join("manual").join(format!("{name}.roff"));
    let added = if added.exists() { fs::read_to_string(added)? } else { String::new() };
    if !added.contains(".SH \"EXIT STATUS\"") {
        page.write_all(EXIT_STATUS.as_bytes())?;
    }
    page.write_all(added.as_bytes())?;
    write!(page, ".SH \"SEE ALSO\"\n{}\n", see_also(command, &name))?;
    fs::write(folder.join(format!("{name}.1")), tidied(&String::from_utf8_lossy(&page)))?;
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| page_and_below(below, folder))
}

/// Formatters warn of an empty line, and of a break beside one.
fn tidied(page: &str) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let is_empty = |at: Option<usize>| at.and_then(|at| lines.get(at)).is_some_and(|line| line.is_empty());
    let beside = |at: usize| is_empty(at.checked_sub(1)) || is_empty(Some(at + 1));
    let kept = (0..lines.len()).filter(|&at| lines[at] != ".br" || !beside(at));
    kept.map(|at| if lines[at].is_empty() { ".sp\n".into() } else { format!("{}\n", lines[at]) }).collect()
}

/// What is above and below, and the formats.
fn see_also(command: &Command, name: &str) -> String {
    let below = command.get_subcommands().filter_map(Command::get_display_name).map(str::to_owned);
    let above = name.rsplit_once('-').map(|(above, _)| above.to_owned());
    let root = above.as_deref().is_some_and(|above| above != "sesame").then(|| "sesame".to_owned());
    let commands = root.into_iter().chain(above).chain(below).map(|name| (name, 1));
    let formats = ["open-sesame-config", "org.opensesame"].map(|name| (name.to_owned(), 5));
    let entries =
        commands.chain(formats).map(|(name, section)| format!(".BR {} ({section})", name.replace('-', "\\-")));
    entries.collect::<Vec<_>>().join(" ,\n")
}
