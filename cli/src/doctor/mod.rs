//! `sesame doctor`: looks at everything that a healthy installation needs, and says how to mend what it finds. One file
//! a subject: `look` gathers facts, each with a deadline, and `findings` judges them without I/O. Nothing here starts a
//! daemon or changes anything.

mod applications;
mod bus;
mod config;
mod daemons;
mod files;
mod lingering;
mod login;
mod logind;
mod memory;
mod units;
mod vaults;

pub mod backup;
pub mod explain;

use serde::Serialize;

use crate::{bus::Bus, deadline::Deadline};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work.
    Error,
    /// It works, and less well or less safely than it should.
    Warning,
    /// Nothing is wrong; something would be wise.
    Advice,
}

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind it is: stable, for scripts.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: a unit, a daemon, a file, a profile.
    pub subject: String,
    /// What is wrong: one sentence.
    pub sentence: String,
    /// The command that mends it.
    pub mend: String,
}

/// Something that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// What was not looked at.
    pub what: &'static str,
    /// Why not.
    pub why: String,
}

/// Something to know, where nothing has to be mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is about.
    pub subject: &'static str,
    /// What is so: one sentence.
    pub sentence: String,
}

/// What was found, and what could not be looked at.
#[derive(Debug, Default, Serialize)]
pub struct Diagnosis {
    /// The most serious first.
    pub findings: Vec<Finding>,
    /// Nothing is known of these.
    pub unchecked: Vec<Unchecked>,
    /// To know.
    pub notes: Vec<Note>,
}

impl Diagnosis {
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    fn skip(&mut self, what: &'static str, why: impl ToString) {
        self.unchecked.push(Unchecked { what, why: why.to_string() });
    }

    /// Whether something has to be mended: advice need not be followed.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Advice)
    }
}

fn finding(
    id: &'static str,
    severity: Severity,
    subject: impl ToString,
    sentence: impl ToString,
    mend: impl ToString,
) -> Finding {
    let (subject, sentence, mend) = (subject.to_string(), sentence.to_string(), mend.to_string());
    Finding { id, severity, subject, sentence, mend }
}

/// Looks at everything. `patience` is the time that each look may take.
pub async fn diagnose(patience: std::time::Duration) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    config::look(&mut diagnosis);
    files::look(&mut diagnosis);
    let known = match Bus::connect(Deadline::after(patience)).await {
        Ok(bus) => {
            let running = daemons::look(&bus, patience, &mut diagnosis).await;
            units::look(&bus, patience, running.secrets, &mut diagnosis).await;
            memory::look(running.secrets, &mut diagnosis);
            applications::look(&bus, patience, running.secrets, &mut diagnosis).await;
            running.vaults
        }
        Err(error) => {
            diagnosis.add([bus::finding(&error, &bus::Surroundings::look())]);
            for what in ["units", "daemons", "activation files", "memory"] {
                diagnosis.skip(what, "there is no session bus");
            }
            None
        }
    };
    vaults::look(known.as_ref(), &mut diagnosis);
    lingering::look(&mut diagnosis);
    logind::look(patience, &mut diagnosis).await;
    login::look(&mut diagnosis);
    // Stable: in the order of the looks where two matter as much.
    diagnosis.findings.sort_by_key(|finding| finding.severity);
    diagnosis
}

/// A word of a command line as a POSIX shell takes it.
fn quoted(word: impl AsRef<std::ffi::OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_no_illness() {
        let with =
            |severity| Diagnosis { findings: vec![finding("a", severity, "b", "c", "d")], ..Diagnosis::default() };
        assert!(with(Severity::Advice).is_sound());
        assert!(!with(Severity::Warning).is_sound() && !with(Severity::Error).is_sound());
    }

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(quoted("/home/a/.config/x.toml"), "/home/a/.config/x.toml");
        assert_eq!(quoted("/home/a b/it's"), r"'/home/a b/it'\''s'");
    }
}
