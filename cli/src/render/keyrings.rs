//! The other stores of the session as text, below the status.

use comfy_table::{Table, presets::NOTHING};

use super::{
    paint::{Paint, Tone},
    text::lines,
};
use crate::{
    keyrings::{Keyring, Lock},
    output::printable,
};

/// All of them, each with its parts below it.
pub fn keyrings(keyrings: &[Keyring], paint: Paint) -> String {
    let heading = paint.paint(Tone::Heading, "Other keyrings:");
    if keyrings.is_empty() {
        return format!("{heading} none\n");
    }
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for keyring in keyrings {
        table.add_row([printable(keyring.name).into_owned(), whole(keyring, paint)]);
        for part in &keyring.collections {
            let lock = part.locked.map_or(Lock::Unknown, |locked| if locked { Lock::Locked } else { Lock::Unlocked });
            table.add_row([format!("  {}", printable(&part.label)), word(lock, paint)]);
        }
    }
    heading + "\n" + &lines(&mut table)
}

/// `unlocked (gnome-keyring-d, process 790)`; what is not known, with the reason.
fn whole(keyring: &Keyring, paint: Paint) -> String {
    let mut notes = Vec::new();
    if let (Some(program), Some(pid)) = (&keyring.program, keyring.pid) {
        notes.push(format!("{}, process {pid}", printable(program)));
    }
    if let Some(why) = &keyring.why {
        notes.push(printable(why).into_owned());
    }
    if let Some(socket) = &keyring.socket {
        notes.push(format!("at {}", printable(&socket.display().to_string())));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    word(keyring.lock, paint) + &notes
}

fn word(lock: Lock, paint: Paint) -> String {
    match lock {
        Lock::Locked | Lock::Mixed => paint.paint(Tone::Shut, lock.word()),
        Lock::Unlocked => paint.paint(Tone::Open, lock.word()),
        Lock::None => lock.word().into(),
        Lock::Unknown => paint.paint(Tone::Wrong, lock.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keyrings::Collection, render::paint::When};

    fn keyring(name: &'static str, lock: Lock) -> Keyring {
        Keyring {
            name,
            socket: None,
            pid: None,
            program: None,
            alive: true,
            answers: Some(true),
            lock,
            asked: None,
            why: None,
            collections: Vec::new(),
        }
    }

    #[test]
    fn each_has_its_state_its_process_and_the_reason_of_what_is_not_known() {
        let collection = |label: &str, locked| Collection { label: label.into(), locked };
        let all = [
            Keyring {
                socket: Some("/run/user/1/gnupg/S.gpg-agent".into()),
                why: Some("nobody listens at its socket".into()),
                ..keyring("gpg-agent", Lock::Unknown)
            },
            Keyring {
                pid: Some(7),
                program: Some("some\u{1b}thing".into()),
                collections: vec![collection("Login\n", Some(true)), collection("x", None)],
                ..keyring("org.freedesktop.secrets", Lock::Mixed)
            },
        ];
        assert_eq!(
            keyrings(&all, Paint::for_output(When::Never)),
            "Other keyrings:\n  \
             gpg-agent                unknown (nobody listens at its socket; at /run/user/1/gnupg/S.gpg-agent)\n  \
             org.freedesktop.secrets  mixed (some thing, process 7)\n    \
             Login                  locked\n    x                      unknown\n"
        );
    }
}
