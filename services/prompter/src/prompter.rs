//! `org.opensesame.Prompter`: one question at a time, asked again until it is answered, dismissed, or nobody's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daemon_config::ConfigFile;
use daemon_runtime::bus;
use dbus_interfaces::{places, vault::check_passphrase};
use secrecy::{ExposeSecret, SecretSlice};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::timeout,
};
use zbus::{Connection, fdo, interface, message::Header};

use crate::{
    question::{Question, What},
    vaults,
};

/// Who alone has people asked: daemon-secrets, which owns this name where it serves applications.
const OBEYED: &str = "org.freedesktop.secrets";
/// The bus answers from memory.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often a person, or a program in a person's place, may be wrong in one prompt.
const TRIES: usize = 10;

/// What is asked now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// How many questions are open.
    pub questions: usize,
    /// Whether who asked last is gone.
    pub orphaned: bool,
}

/// A question, as its asker names it.
type Key = (String, u64);

/// The prompter's object.
pub struct Prompter {
    asked: watch::Sender<Asked>,
    // One dialogue at a time: nobody types a passphrase into one that has just come up over another.
    turn: Semaphore,
    // `std` mutex: never held across an await; the critical section is a look-up.
    cancels: Arc<Mutex<HashMap<Key, oneshot::Sender<()>>>>,
}

/// A question that is open, until this is dropped.
struct Open<'a>(&'a Prompter, Key);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.cancels().remove(&self.1);
        self.0.asked.send_modify(|asked| asked.questions -= 1);
    }
}

impl Prompter {
    /// Says in `asked` what is asked.
    pub fn new(asked: watch::Sender<Asked>) -> Self {
        Self { asked, turn: Semaphore::new(1), cancels: Arc::default() }
    }

    fn cancels(&self) -> MutexGuard<'_, HashMap<Key, oneshot::Sender<()>>> {
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the question was answered, and what it was for has been done.
    async fn put(&self, question: &Question) -> bool {
        // Never closed.
        let Ok(_turn) = self.turn.acquire().await else { return false };
        let mut reason = None;
        for _ in 0..TRIES {
            let passphrase = match passphrase(question, reason.as_deref()).await {
                Ok(Ok(passphrase)) => passphrase,
                Ok(Err(why)) => {
                    reason = Some(why);
                    continue;
                }
                Err(askpass::Failure::Cancelled) => return false,
                Err(failure) => {
                    tracing::warn!("nobody could be asked for the passphrase of {}: {failure}", question.profile);
                    return false;
                }
            };
            match vaults::carry_out(question, &passphrase).await {
                Ok(()) => return true,
                Err(why) => reason = Some(why),
            }
        }
        tracing::warn!("no passphrase given for {} was right, {TRIES} times; not asked again", question.profile);
        false
    }
}

/// What a person typed, a new passphrase twice; or why that is none.
async fn passphrase(
    question: &Question,
    reason: Option<&str>,
) -> Result<Result<SecretSlice<u8>, String>, askpass::Failure> {
    let words = places::config_file().map(|file| ConfigFile::new(file).load().config.askpass.clone());
    let words = words.unwrap_or_default();
    let ask = |text: String, reason| {
        let words = &words;
        async move { askpass::ask(words, askpass::Question { text: &text, reason, window: question.window }).await }
    };
    let typed = ask(question.text(), reason).await?;
    if let Err(why) = check_passphrase(typed.expose_secret()) {
        return Ok(Err(why.to_string()));
    }
    if question.what == What::Create {
        let again = ask(question.again(), None).await?;
        if again.expose_secret() != typed.expose_secret() {
            return Ok(Err("The two passphrases differ.".into()));
        }
    }
    Ok(Ok(typed))
}

/// The caller, where it is the one that is obeyed.
async fn obeyed(connection: &Connection, header: &Header<'_>) -> fdo::Result<String> {
    let caller = header.sender().map(ToString::to_string).unwrap_or_default();
    let (driver, path) = (bus::DRIVER, bus::DRIVER_PATH);
    let call = connection.call_method(Some(driver), path, Some(driver), "GetNameOwner", &OBEYED);
    let owner = match timeout(DEADLINE, call).await {
        Ok(Ok(reply)) => reply.body().deserialize::<String>().unwrap_or_default(),
        Ok(Err(_)) | Err(_) => String::new(),
    };
    match owner == caller {
        true => Ok(caller),
        false => Err(fdo::Error::AccessDenied(format!("only the owner of {OBEYED} has people asked"))),
    }
}

#[interface(name = "org.opensesame.Prompter", introspection_docs = false)]
impl Prompter {
    #[zbus(out_args("done"))]
    #[allow(clippy::too_many_arguments, reason = "the bus's arguments, two of them zbus's own")]
    async fn ask(
        &self,
        number: u64,
        what: &str,
        profile: &str,
        who: &str,
        window: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> fdo::Result<bool> {
        // Before anything is awaited: who counts the questions must not end meanwhile.
        self.asked.send_modify(|asked| asked.questions += 1);
        let key = (header.sender().map(ToString::to_string).unwrap_or_default(), number);
        let (cancel, cancelled) = oneshot::channel();
        self.cancels().insert(key.clone(), cancel);
        let _open = Open(self, key);
        let caller = obeyed(connection, &header).await?;
        let question = Question::new(what, profile, who, window).map_err(fdo::Error::InvalidArgs)?;
        let done = tokio::select! {
            done = self.put(&question) => done,
            _ = cancelled => false,
            () = bus::departure(connection, &caller) => {
                self.asked.send_modify(|asked| asked.orphaned = true);
                false
            }
        };
        Ok(done)
    }

    async fn cancel(&self, number: u64, #[zbus(header)] header: Header<'_>) {
        let caller = header.sender().map(ToString::to_string).unwrap_or_default();
        // Dropped: the question is over. One that has ended is no error.
        self.cancels().remove(&(caller, number));
    }
}
