//! Changes of the default profile: a worker writes one at a time, and the state follows the file.

use daemon_runtime::workers::no_thread;
use dbus_interfaces::{Error, ProfileName};

use super::{Actor, asking::not_reported};
use crate::{calls::Waiter, default_profile, handle::Command, hub::Event};

impl Actor {
    pub(super) fn set_default(&mut self, profile: ProfileName, waiter: Waiter<()>) {
        if !self.hub.has_report() {
            return drop(waiter.send(Err(not_reported())));
        }
        if !self.hub.knows(&profile) {
            let sentence = format!("there is no profile {profile}; sesame profile list shows them");
            return drop(waiter.send(Err(Error::NoSuchProfile(sentence))));
        }
        self.default_writes.push_back((profile, waiter));
        if self.default_writes.len() == 1 {
            self.write_default();
        }
    }

    fn write_default(&mut self) {
        let Some((profile, _)) = self.default_writes.front() else { return };
        let (profile, file, back) = (profile.clone(), self.default_file.clone(), self.inbox.sender.clone());
        let write = self.workers.run({
            let profile = profile.clone();
            move || default_profile::write(&file, &profile)
        });
        tokio::spawn(async move {
            let written = write.await.unwrap_or_else(|cause| Err(no_thread(&cause)));
            if let Some(back) = back.upgrade() {
                let _ = back.send(Command::DefaultWritten(profile, written)).await;
            }
        });
    }

    pub(super) fn default_written(&mut self, profile: ProfileName, written: Result<(), Error>) {
        let Some((_, waiter)) = self.default_writes.pop_front() else { return };
        if written.is_ok() {
            self.apply(Event::DefaultChosen(profile));
        }
        self.answer(move || drop(waiter.send(written)));
        self.write_default();
    }
}
