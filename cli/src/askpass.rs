//! Asking where there is no terminal, so that a click unlocks: with `askpass` of config.toml. Whatever goes wrong,
//! nothing was tried.

use askpass::{Failure, Question};
use daemon_config::ConfigFile;
use dbus_interfaces::places;
use secrecy::SecretSlice;

use crate::{error::Error, terminal::unless_interrupted};

/// Asks for one line. `question` is shown to the user and holds no secret. There is no deadline: who asks may be
/// ended, and its end ends the asking.
///
/// # Errors
/// [`Error::NoTerminal`] where there is nothing to ask with, [`Error::Cancelled`], [`Error::Askpass`], or
/// [`Error::Interrupted`].
pub async fn ask(question: &str) -> Result<SecretSlice<u8>, Error> {
    let words = ConfigFile::new(places::config_file()?).load().config.askpass.clone();
    let question = Question { text: question, ..Question::default() };
    let asked = async {
        askpass::ask(&words, question).await.map_err(|failure| match failure {
            Failure::Nothing => Error::NoTerminal,
            Failure::Cancelled => Error::Cancelled,
            Failure::Failed { program, why } => Error::Askpass { program, why },
        })
    };
    unless_interrupted(asked).await
}
