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
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    open: HashMap<Question, watch::Sender<Option<bool>>>,
    // Numbers are never used again.
    last: u64,
}

impl Asking {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when nobody waits for the answer any more. Nobody can from then on: who asks the same asks anew.
    async fn nobody_waits(&self, question: &Question, answer: &watch::Sender<Option<bool>>) {
        loop {
            answer.closed().await;
            let mut asked = self.asked();
            if answer.receiver_count() == 0 {
                asked.open.remove(question);
                return;
            }
        }
    }
}

/// Has a person asked on behalf of the program `who`. Whether what was wished came about.
pub async fn ask(desk: &Arc<Desk>, question: Question, who: String, window: String) -> bool {
    let mut answer = {
        let mut asked = desk.asking.asked();
        match asked.open.get(&question) {
            Some(answer) => answer.subscribe(),
            None => {
                let (answer, wanted) = watch::channel(None);
                asked.open.insert(question.clone(), answer.clone());
                asked.last += 1;
                let asker = Asker { number: asked.last, who, window };
                tokio::spawn(put(Arc::clone(desk), question, asker, answer));
                wanted
            }
        }
    };
    // Both are false where the daemon ends.
    answer.wait_for(Option::is_some).await.ok().and_then(|answer| *answer).unwrap_or(false)
}

/// Who asks, by the number of the question.
struct Asker {
    number: u64,
    who: String,
    window: String,
}

async fn put(desk: Arc<Desk>, question: Question, asker: Asker, answer: watch::Sender<Option<bool>>) {
    let Question { what, profile } = &question;
    let asked = tokio::select! {
        done = prompted(&desk.connection, &question, &asker) => Some(done),
        // Unlocked by somebody else meanwhile.
        () = desk.served(profile), if *what == What::Unlock => None,
        () = desk.asking.nobody_waits(&question, &answer) => {
            cancel(&desk.connection, asker.number).await;
            return;
        }
        () = tokio::time::sleep(PATIENCE) => None,
    };
    let done = match what {
        What::Unlock => desk.seen().vaults.get(profile.as_str()).is_some_and(|row| row.active),
        What::Create | What::Delete => asked.unwrap_or(false),
    };
    desk.asking.asked().open.remove(&question);
    answer.send_replace(Some(done));
    if asked.is_none() {
        cancel(&desk.connection, asker.number).await;
    }
}

/// Takes a question back: its dialogue closes.
async fn cancel(connection: &Connection, number: u64) {
    let _ = timeout(CANCEL, call(connection, "Cancel", &number)).await;
}

/// Whether the prompter says that it is done. No prompter, or one that dies, is no.
async fn prompted(connection: &Connection, question: &Question, asker: &Asker) -> bool {
    let (bus, path) = (daemon_runtime::bus::DRIVER, daemon_runtime::bus::DRIVER_PATH);
    let start = connection.call_method(Some(bus), path, Some(bus), "StartServiceByName", &(prompter::NAME, 0_u32));
    match timeout(START, start).await {
        Ok(Ok(_)) => {}
        Ok(Err(cause)) => {
            tracing::warn!(%cause, "nobody can be asked for a passphrase: the prompter cannot be started: {cause}");
            return false;
        }
        Err(_) => {
            tracing::warn!("nobody can be asked for a passphrase: the prompter does not start");
            return false;
        }
    }
    let (what, profile) = (question.what.as_str(), question.profile.as_str());
    let body = (asker.number, what, profile, asker.who.as_str(), asker.window.as_str());
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
