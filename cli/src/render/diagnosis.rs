//! The findings of `sesame doctor` as text: what is wrong, and below it the command that mends it; then what was not
//! looked at, and what is good to know.

use super::paint::{Paint, Tone};
use crate::{
    doctor::{Diagnosis, Finding, Severity},
    output::printable,
};

/// Everything that was found, and what could not be looked at.
pub fn text(diagnosis: &Diagnosis, paint: Paint) -> String {
    let found: String = diagnosis.findings.iter().map(|finding| one(finding, paint)).collect();
    let unchecked = diagnosis
        .unchecked
        .iter()
        .map(|not| format!("{} {}: {}\n", paint.paint(Tone::Shut, "not checked"), not.what, printable(&not.why)));
    let none = if diagnosis.findings.is_empty() { "Nothing to mend.\n" } else { "" };
    let notes = diagnosis.notes.iter().map(|note| {
        format!("{} {}: {}\n", paint.paint(Tone::Heading, "note"), note.subject, printable(&note.sentence))
    });
    unchecked.chain(notes).fold(found + none, |text, line| text + &line)
}

fn one(Finding { severity, subject, sentence, mend, .. }: &Finding, paint: Paint) -> String {
    let word = match severity {
        Severity::Error => paint.paint(Tone::Wrong, "error"),
        Severity::Warning => paint.paint(Tone::Shut, "warning"),
        Severity::Advice => paint.paint(Tone::Heading, "advice"),
    };
    format!("{word} {}: {}\n    {}\n", printable(subject), printable(sentence), printable(mend))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::{Note, Unchecked},
        render::paint::When,
    };

    #[test]
    fn each_finding_has_its_command_below_it() {
        let finding = Finding {
            id: "a",
            severity: Severity::Error,
            subject: "b".into(),
            sentence: "it\nis wrong".into(),
            mend: "mend it".into(),
        };
        let unchecked = vec![Unchecked { what: "units", why: "no bus".into() }];
        let paint = Paint::for_output(When::Never);
        let sick = Diagnosis { findings: vec![finding], unchecked: unchecked.clone(), notes: vec![] };
        assert_eq!(text(&sick, paint), "error b: it is wrong\n    mend it\nnot checked units: no bus\n");
        let notes = vec![Note { subject: "login", sentence: "it works".into() }];
        let sound = Diagnosis { findings: vec![], unchecked, notes };
        assert_eq!(text(&sound, paint), "Nothing to mend.\nnot checked units: no bus\nnote login: it works\n");
    }
}
