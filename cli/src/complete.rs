//! What the shell asks while a command line is typed: the names of profiles, and of an unlocked vault's secrets.
//! Whatever goes wrong here means that nothing is offered.

use std::{env, ffi::OsStr, fs, time::Duration};

use clap_complete::{CompleteEnv, CompletionCandidate};
use dbus_interfaces::{ProfileName, places};

use crate::{args, daemons, deadline::Deadline, private};

/// The variable through which the completion scripts ask for answers.
pub const VARIABLE: &str = "SESAME_COMPLETE";

/// How long a Tab may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers a shell and ends the program, where a shell asks.
pub fn answer_shell() {
    if env::var_os(VARIABLE).is_none() {
        return;
    }
    CompleteEnv::with_factory(args::command).var(VARIABLE).bin("sesame").complete();
}

/// The profiles that have a vault.
pub fn profiles() -> Vec<CompletionCandidate> {
    let Some(folder) = places::vaults_folder().ok().and_then(|folder| fs::read_dir(folder).ok()) else {
        return Vec::new();
    };
    let names = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<ProfileName>().ok());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.iter().map(|name| CompletionCandidate::new(name.as_str())).collect()
}

/// The secrets of the profile that the unfinished command line names.
pub fn secrets() -> Vec<CompletionCandidate> {
    secret_names().into_iter().map(CompletionCandidate::new).collect()
}

/// `VAR=NAME`, once `VAR=` is typed. bash takes the two apart at the sign, and then nothing is offered.
pub fn mappings(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some((variable, begun)) = typed.to_str().and_then(|typed| typed.split_once('=')) else { return Vec::new() };
    let names = secret_names().into_iter().filter(|name| name.starts_with(begun));
    names.map(|name| CompletionCandidate::new(format!("{variable}={name}"))).collect()
}

fn secret_names() -> Vec<String> {
    let names = || -> Option<Vec<String>> {
        let typed: Vec<_> = env::args_os().collect();
        let profile = daemons::chosen(typed_profile(&typed).as_ref()).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
        let list = async { private::call("ListSecrets", &profile.as_str(), Deadline::after(PATIENCE)).await };
        runtime.block_on(list).ok()
    };
    names().unwrap_or_default()
}

fn typed_profile(typed: &[impl AsRef<OsStr>]) -> Option<ProfileName> {
    let mut words = typed.iter().filter_map(|word| word.as_ref().to_str());
    let mut profile = None;
    while let Some(word) = words.next() {
        profile = match word {
            "-p" | "--profile" => words.next(),
            _ => word.strip_prefix("--profile=").or_else(|| word.strip_prefix("-p")),
        }
        .or(profile);
    }
    profile?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_found_wherever_it_was_typed() {
        let typed = |line: &str| typed_profile(&line.split(' ').collect::<Vec<_>>()).map(String::from);
        for line in [
            "sesame -- sesame secret get -p work x",
            "sesame secret get --profile=work x",
            "sesame secret get x --profile work",
            "sesame secret get -pwork x",
        ] {
            assert_eq!(typed(line).as_deref(), Some("work"), "{line}");
        }
        assert_eq!(typed("sesame secret get x"), None);
        assert_eq!(typed("sesame secret get -p"), None);
    }
}
