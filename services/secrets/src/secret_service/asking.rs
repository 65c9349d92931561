//! Having a person asked: by the prompter, a program of its own outside of this daemon's sandbox, which hands the
//! passphrase over the private socket. However it ends, an answer comes; who asks for the same gets the same question.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dbus_interfaces::{ProfileName, prompter};
use tokio::{sync::watch, time::timeout};
use zbus::Connection;

use super::desk::Desk;

/// How long a person may think.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the prompter may take to start.
const START: Duration = Duration::from_secs(10);
/// How long it is waited for that the prompter takes a question back.
const CANCEL: Duration = Duration::from_secs(2);

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// What for.
    pub what: What,
    /// Whose vault.
    pub profile: ProfileName,
}

/// What a passphrase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// To unlock a vault.
    Unlock,
    /// For a new vault.
    Create,
    /// To delete a vault.
    Delete,
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unlock => prompter::UNLOCK,
            Self::Create => prompter::CREATE,
            Self::Delete => prompter::DELETE,
        }
    }
}

/// The questions under way.
#[derive(Default)]
pub struct Asking {
    // `std` mutex: never held across an await; the critical section is a look-up.
    asked: Mutex<HashMap<Question, watch::Sender<Option<bool>>>>,
}

impl Asking {
    fn asked(&self) -> MutexGuard<'_, HashMap<Question, watch::Sender<Option<bool>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has a person asked on behalf of the program `who`. Whether what was wished came about.
pub async fn ask(desk: &Arc<Desk>, question: Question, who: String, window: String) -> bool {
    let mut answer = {
        let mut asked = desk.asking.asked();
        match asked.get(&question) {
            Some(answer) => answer.subscribe(),
            None => {
                let (answer, wanted) = watch::channel(None);
                asked.insert(question.clone(), answer.clone());
                tokio::spawn(put(Arc::clone(desk), question, who, window, answer));
                wanted
            }
        }
    };
    // Both are false where the daemon ends.
    answer.wait_for(Option::is_some).await.ok().and_then(|answer| *answer).unwrap_or(false)
}

async fn put(desk: Arc<Desk>, question: Question, who: String, window: String, answer: watch::Sender<Option<bool>>) {
    let Question { what, profile } = &question;
    let asked = tokio::select! {
        done = prompted(&desk.connection, &question, &who, &window) => Some(done),
        // Unlocked by somebody else meanwhile.
        () = desk.served(profile), if *what == What::Unlock => None,
        () = answer.closed() => None,
        () = tokio::time::sleep(PATIENCE) => None,
    };
    if asked.is_none() {
        let body = (what.as_str(), profile.as_str());
        let _ = timeout(CANCEL, call(&desk.connection, "Cancel", &body)).await;
    }
    let done = match what {
        What::Unlock => desk.seen().vaults.get(profile.as_str()).is_some_and(|row| row.active),
        What::Create | What::Delete => asked.unwrap_or(false),
    };
    desk.asking.asked().remove(&question);
    answer.send_replace(Some(done));
}

/// Whether the prompter says that it is done. No prompter, or one that dies, is no.
async fn prompted(connection: &Connection, question: &Question, who: &str, window: &str) -> bool {
    let (bus, path) = (daemon_runtime::bus::DRIVER, daemon_runtime::bus::DRIVER_PATH);
    let start = connection.call_method(Some(bus), path, Some(bus), "StartServiceByName", &(prompter::NAME, 0_u32));
    match timeout(START, start).await {
        Ok(Ok(_)) => {}
        Ok(Err(cause)) => {
            tracing::warn!(%cause, "nobody can be asked for a passphrase: the prompter cannot be started");
            return false;
        }
        Err(_) => {
            tracing::warn!("nobody can be asked for a passphrase: the prompter does not start");
            return false;
        }
    }
    let body = (question.what.as_str(), question.profile.as_str(), who, window);
    let answer = call(connection, "Ask", &body).await;
    answer.is_ok_and(|answer| answer.body().deserialize().unwrap_or(false))
}

async fn call(
    connection: &Connection,
    member: &str,
    body: &(impl serde::Serialize + zbus::DynamicType),
) -> zbus::Result<zbus::Message> {
    connection.call_method(Some(prompter::NAME), prompter::PATH, Some(prompter::INTERFACE), member, body).await
}
