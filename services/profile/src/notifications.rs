//! What the desktop is told (`org.freedesktop.Notifications`) where the configuration says `notify = true`: that a
//! daemon is lost, restarted or given up. Each notification replaces the one before, so that they never pile up. Pure:
//! what is to be sent is returned, what was answered is handed in.

use crate::peers::{PeerChange, State};

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What happened.
    pub summary: String,
    /// What it means, and what to do.
    pub body: String,
    /// Whether nothing mends it by itself.
    pub is_critical: bool,
}

/// A notification to send, in place of the one with this id; 0 where there is none.
pub type Sending = (Note, u32);

/// What was told, and what is to be told next.
#[derive(Debug, Default)]
pub struct Notifications {
    enabled: bool,
    shown: u32,
    // The id of what is being shown now is not known before its answer: the next one waits, the latest one counts.
    is_asking: bool,
    next: Option<Note>,
}

impl Notifications {
    /// Tells from now on, or no longer.
    pub fn enable(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.next = self.next.take().filter(|_| enabled);
    }

    /// A daemon's life changed.
    pub fn hear(&mut self, change: &PeerChange) -> Option<Sending> {
        let note = note(change).filter(|_| self.enabled)?;
        self.next = Some(note);
        self.send()
    }

    /// The service has shown what was sent, or nobody has (`None`).
    pub fn answered(&mut self, id: Option<u32>) -> Option<Sending> {
        self.is_asking = false;
        // A service that is gone has taken its ids along.
        self.shown = id.unwrap_or(0);
        self.send()
    }

    fn send(&mut self) -> Option<Sending> {
        if self.is_asking {
            return None;
        }
        let note = self.next.take()?;
        self.is_asking = true;
        Some((note, self.shown))
    }
}

fn note(change: &PeerChange) -> Option<Note> {
    let (summary, body, is_critical) = match change {
        PeerChange::Lost { name, reason, .. } => (
            format!("{name} ended unasked ({reason})"),
            "Its vaults are locked. To see what follows: sesame status",
            false,
        ),
        PeerChange::Restarted { name, .. } => {
            (format!("{name} was restarted"), "Its vaults are locked. To unlock one: sesame unlock", false)
        }
        PeerChange::Changed { name, state: State::Failed, reason, .. } => {
            (format!("{name} does not start any more ({reason})"), "To see why, and what to do: sesame doctor", true)
        }
        PeerChange::Changed { .. } => return None,
    };
    Some(Note { summary, body: body.into(), is_critical })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::DaemonName;

    fn lost() -> PeerChange {
        PeerChange::Lost { name: DaemonName::Secrets, id: "1".into(), reason: "signal:SIGKILL".into() }
    }

    fn restarted() -> PeerChange {
        PeerChange::Restarted { name: DaemonName::Secrets, old: "1".into(), new: "2".into() }
    }

    fn changed(state: State) -> PeerChange {
        PeerChange::Changed { name: DaemonName::Secrets, state, id: "1".into(), reason: "watchdog".into() }
    }

    fn enabled() -> Notifications {
        let mut notifications = Notifications::default();
        notifications.enable(true);
        notifications
    }

    #[test]
    fn a_note_replaces_the_one_before() {
        let mut notifications = enabled();
        let (first, replaced) = notifications.hear(&lost()).unwrap();
        assert_eq!((first.summary.as_str(), replaced), ("daemon-secrets ended unasked (signal:SIGKILL)", 0));
        assert_eq!(notifications.answered(Some(7)), None);
        let (second, replaced) = notifications.hear(&restarted()).unwrap();
        assert_eq!((second.summary.as_str(), replaced), ("daemon-secrets was restarted", 7));
    }

    #[test]
    fn what_comes_before_the_answer_waits_and_the_latest_counts() {
        let mut notifications = enabled();
        notifications.hear(&lost()).unwrap();
        assert_eq!(notifications.hear(&restarted()), None);
        assert_eq!(notifications.hear(&changed(State::Failed)), None);
        let (note, replaced) = notifications.answered(Some(3)).unwrap();
        assert!(note.is_critical && note.summary.contains("does not start any more"), "{note:?}");
        assert_eq!(replaced, 3);
        assert_eq!(notifications.answered(None), None);
        assert_eq!(notifications.hear(&lost()).unwrap().1, 0, "nobody shows anything");
    }

    #[test]
    fn only_what_was_not_wished_is_told_and_only_where_it_is_wanted() {
        let mut notifications = enabled();
        for state in [State::Running, State::Stopped, State::Lost, State::Unresponsive] {
            assert_eq!(notifications.hear(&changed(state)), None, "{state:?}");
        }
        notifications.hear(&lost()).unwrap();
        notifications.hear(&restarted());
        notifications.enable(false);
        assert_eq!(notifications.answered(Some(1)), None);
        assert_eq!(notifications.hear(&lost()), None);
    }
}
