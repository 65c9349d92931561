//! Explains an event of the journal, with the text of the journal's own catalog.

/// The catalog as it is installed for `journalctl -x`.
const CATALOG: &str = include_str!("../../../systemd-user/open-sesame.catalog");

/// The text of the event `id`: what `journalctl -x` shows below its lines.
pub fn explain(id: &str) -> Option<String> {
    let id = bare(id);
    entries(CATALOG).find(|entry| entry.id == id).map(|entry| entry.text())
}

/// A line for each event: its id and its subject.
pub fn known() -> Vec<String> {
    entries(CATALOG).map(|entry| format!("{} {}", entry.id, entry.subject)).collect()
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
