//! `sesame doctor`: explains an event of the journal, with the text of the journal's own catalog.

use crate::{
    args::Doctor,
    error::{During, Error, Failure},
    exit::Code,
    output,
};

/// The catalog as it is installed for `journalctl -x`.
const CATALOG: &str = include_str!("../../../systemd-user/open-sesame.catalog");

pub(super) fn run(args: &Doctor) -> Result<Code, Failure> {
    let doing = "cannot explain the event";
    let Some(entry) = entries(CATALOG).find(|entry| entry.id == bare(&args.explain)) else {
        let known: Vec<String> = entries(CATALOG).map(|entry| format!("{} {}", entry.id, entry.subject)).collect();
        output::lines(known).during(doing)?;
        let unknown = Error::Other(format!("there is no event {}", args.explain)).during(doing);
        return Err(
            unknown.hint("see the MESSAGE_ID of a line: journalctl --user -o verbose; the known ones are above")
        );
    };
    output::write(entry.text().as_bytes()).during(doing)?;
    Ok(Code::Success)
}

/// An id in the catalog's form: as `journalctl` prints it, or as a UUID.
fn bare(id: &str) -> String {
    id.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase()
}

/// One event.
struct Entry<'a> {
    id: &'a str,
    subject: &'a str,
    body: &'a str,
}

impl Entry<'_> {
    /// What `journalctl -x` shows, without a line to take values from: their names stand in their places.
    fn text(&self) -> String {
        format!("{}\n\n{}\n", self.subject, self.body.trim()).replace('@', "")
    }
}

/// The entries of a catalog: `-- ID`, a header, an empty line, the text.
fn entries(catalog: &str) -> impl Iterator<Item = Entry<'_>> {
    catalog.split("\n-- ").skip(1).filter_map(|entry| {
        let (id, entry) = entry.split_once('\n')?;
        let (header, body) = entry.split_once("\n\n")?;
        let subject = header.lines().find_map(|line| line.strip_prefix("Subject: "))?;
        Some(Entry { id, subject, body })
    })
}

#[cfg(test)]
mod tests {
    use dbus_interfaces::events;

    use super::*;

    #[test]
    fn every_entry_of_the_catalog_is_understood() {
        let ids = CATALOG.lines().filter_map(|line| line.strip_prefix("-- "));
        assert!(ids.eq(entries(CATALOG).map(|entry| entry.id)));
        for entry in entries(CATALOG) {
            let text = entry.text();
            assert!(text.starts_with(entry.subject) && text.lines().count() > 6, "{text}");
            assert!(!text.contains('@') && !text.contains("Defined-By"), "{text}");
        }
    }

    #[test]
    fn an_event_is_found_in_every_usual_form_of_its_id() {
        let id = events::DAEMON_LOST;
        let uuid = format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]);
        for form in [id, &id.to_uppercase(), &uuid] {
            let entry = entries(CATALOG).find(|entry| entry.id == bare(form)).unwrap();
            assert_eq!(entry.subject, "A daemon is gone", "{form}");
            assert!(entry.text().contains("sesame unlock"));
        }
    }
}
