//! What clap has to say, in the form of every other failure: one line, and one that says what to do.

use std::{env, ffi::OsString, mem::ManuallyDrop};

use clap::{
    FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    args::{self, Args},
    error::{During, Failure},
    exit::Code,
    monitoring::{self, State},
    output,
};

/// What the arguments ask for.
#[derive(Debug)]
pub enum Parsed {
    /// A command.
    Run(Args),
    /// Nothing that is not done already: help or the version.
    Done(Code),
}

/// Parses the arguments.
///
/// # Errors
/// Wrong usage.
pub fn parse() -> Result<Parsed, Failure> {
    match read(env::args_os()) {
        Ok(args) => Ok(Parsed::Run(args)),
        Err(asked) if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            output::write(asked.to_string().as_bytes()).during("cannot print what was asked for")?;
            Ok(Parsed::Done(Code::Success))
        }
        Err(wrong) => {
            let failure = explain(&wrong);
            if command().is_none_or(|command| command != "check") {
                return Err(failure);
            }
            // A monitor reads one line, and takes 2 for something worth waking somebody.
            let line = monitoring::line(State::Unknown, &format!("{}: {}", failure.what, failure.why));
            output::write(format!("{line}\n").as_bytes()).during("cannot tell the state")?;
            Ok(Parsed::Done(State::Unknown.code()))
        }
    }
}

fn read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Args, clap::Error> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    // No definition is dropped: to wipe and free it piece by piece takes longer than to read a command line with it.
    let alone = words.get(1).and_then(|word| args::command_alone(word.to_str()?)).map(ManuallyDrop::new);
    if let Some(Ok(args)) = alone.map(|mut alone| read_by(&mut alone, &words)) {
        return Ok(args);
    }
    // What is wrong, and help, is told of the whole.
    read_by(&mut ManuallyDrop::new(args::command()), &words)
}

fn read_by(definition: &mut clap::Command, words: &[OsString]) -> Result<Args, clap::Error> {
    let mut read = definition.try_get_matches_from_mut(words)?;
    Args::from_arg_matches_mut(&mut read).map_err(|wrong| wrong.format(definition))
}

fn explain(wrong: &clap::Error) -> Failure {
    let text = wrong.to_string();
    let mut parts = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let why = parts.next().unwrap_or_default();
    let why = match wrong.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing",
        // Most likely a secret or a passphrase given as an argument: it is not repeated.
        ErrorKind::UnknownArgument if is_word(wrong) && command().is_some_and(|command| command == "run") => {
            "the command to run comes after --"
        }
        ErrorKind::UnknownArgument if is_word(wrong) => {
            "unexpected argument; secrets and passphrases are never taken from arguments"
        }
        _ => why.strip_prefix("error: ").unwrap_or(&why),
    };
    let hint = parts.find(|part| part.starts_with("tip: ") || part.starts_with("Usage: "));
    let hint = hint.or_else(|| Some("see: sesame --help".into()));
    Failure { what: "wrong usage".into(), why: why.into(), hint, code: Code::Usage, signal: None }
}

/// The command, as far as a wrong command line tells.
fn command() -> Option<OsString> {
    let mut words = env::args_os().skip(1);
    while let Some(word) = words.next() {
        if word == "--color" {
            // The one option before a command that has a value.
            words.next();
        } else if !word.as_encoded_bytes().starts_with(b"-") {
            return Some(word);
        }
    }
    None
}

/// Whether what does not fit is no option.
fn is_word(wrong: &clap::Error) -> bool {
    let argument = wrong.get(ContextKind::InvalidArg);
    matches!(argument, Some(ContextValue::String(word)) if !word.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(args: &str) -> String {
        explain(&read(args.split(' ')).unwrap_err()).to_string()
    }

    #[test]
    fn wrong_usage_is_two_lines() {
        for (args, expected) in [
            (
                "sesame status --formt text",
                "sesame: wrong usage: unexpected argument '--formt' found\ntip: a similar argument exists: '--format'",
            ),
            ("sesame", "sesame: wrong usage: a command is missing\nUsage: sesame [OPTIONS] <COMMAND>"),
            (
                "sesame secret get",
                "sesame: wrong usage: the following required arguments were not provided: <NAME>\n\
                 Usage: sesame secret get <NAME>",
            ),
        ] {
            assert_eq!(failure(args), expected);
        }
    }

    #[test]
    fn a_command_alone_is_read_as_among_all() {
        let lines = [
            "init work --passphrase-file f",
            "status --color never --format json --watch -p work",
            "is unlocked -p work",
            "wait locked --timeout 5m",
            "events --format json",
            "profile add work --passphrase-file f",
            "unlock -p work --passphrase-fd 3",
            "lock --all",
            "toggle",
            "passphrase --new-passphrase-file f",
            "secret get token -p work",
            "import --yes",
            "run --env A=b -- true --color always",
            "check -w 1:2",
            "doctor --color always",
            "completions fish",
        ];
        let commands: Vec<_> = args::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert_eq!(lines.map(|line| line.split(' ').next().unwrap()), *commands, "each has a line");
        for line in lines {
            let words: Vec<OsString> = ["sesame"].into_iter().chain(line.split(' ')).map(Into::into).collect();
            let mut alone = args::command_alone(words[1].to_str().unwrap()).unwrap();
            let [alone, among_all] = [&mut alone, &mut args::command()].map(|by| read_by(by, &words).unwrap());
            assert_eq!(format!("{alone:?}"), format!("{among_all:?}"));
        }
        assert!(args::command_alone("help").is_none() && args::command_alone("--color").is_none(), "no commands");
    }

    #[test]
    fn a_secret_given_as_an_argument_is_not_repeated() {
        assert_eq!(
            failure("sesame secret set api-key hunter2"),
            "sesame: wrong usage: unexpected argument; secrets and passphrases are never taken from arguments\n\
             Usage: sesame secret set [OPTIONS] <NAME>"
        );
        assert!(!failure("sesame unlock --passphrase=hunter2").contains("hunter2"));
    }
}
