//! What the journal is told of the hub's changes. The vaults' own changes are in daemon-secrets' lines.

use dbus_interfaces::events;

use crate::{
    hub::Change,
    peers::{PeerChange, State},
};

/// What was known before the changes.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// daemon-secrets' state.
    pub secrets: State,
    /// Whether the view of the vaults was what the present run of daemon-secrets had stated.
    pub current: bool,
}

/// Writes the lines for what one event changed.
pub fn record(before: Before, changes: &[Change]) {
    let reconciled = changes.iter().find_map(|change| match change {
        // The first report of a run is no drift.
        Change::Reconciled { tick, changed: true } if before.current => Some(*tick),
        _ => None,
    });
    if let Some(tick) = reconciled {
        drift(tick, changes);
    }
    for change in changes {
        match change {
            Change::Peer(change) => peer(before.secrets, change),
            change => tracing::debug!(?change),
        }
    }
}

fn drift(tick: u64, changes: &[Change]) {
    let message_id = events::DRIFT_CORRECTED;
    tracing::warn!(message_id, tick, "at tick {tick} the view of the vaults differed from daemon-secrets'; corrected");
    for change in changes {
        if let Change::Vault { profile, locked, active, .. } = change {
            tracing::warn!(message_id, tick, profile, "corrected for {profile}: locked {locked}, active {active}");
        }
    }
}

fn peer(before: State, change: &PeerChange) {
    match change {
        PeerChange::Lost { name, id, reason } => {
            let message_id = events::DAEMON_LOST;
            tracing::warn!(message_id, peer = %name, peer_id = id, reason, "{name} ended unasked ({reason}), run {id}");
        }
        PeerChange::Restarted { name, old, new } => {
            let message_id = events::DAEMON_RESTARTED;
            tracing::warn!(message_id, peer = %name, peer_id = new, old_id = old, "{name} was restarted: run {new}");
        }
        PeerChange::Changed { name, state, id, reason } => match state {
            State::Running if before == State::Unresponsive => {
                let message_id = events::DAEMON_ANSWERS_AGAIN;
                tracing::info!(message_id, peer = %name, peer_id = id, "{name} answers again");
            }
            State::Unresponsive => {
                let message_id = events::DAEMON_UNRESPONSIVE;
                tracing::warn!(message_id, peer = %name, peer_id = id, "{name} does not answer");
            }
            State::Failed => {
                let message_id = events::DAEMON_GIVEN_UP;
                tracing::error!(message_id, peer = %name, peer_id = id, reason, "systemd gave up on {name} ({reason})");
            }
            State::Running => tracing::info!(peer = %name, peer_id = id, "{name} runs, run {id}"),
            State::Stopped => tracing::info!(peer = %name, peer_id = id, "{name} was stopped"),
            // Told with its reason, once that is known.
            State::Lost => tracing::debug!(peer = %name, peer_id = id, reason, "{name} is gone"),
        },
    }
}
