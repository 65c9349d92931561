//! Asking where there is no terminal, so that a click unlocks: pinentry, or any program whose first line of output is
//! the passphrase (`askpass` in config.toml). Whatever goes wrong, nothing was tried.

use std::{io, path::Path, process::Stdio};

use secrecy::SecretSlice;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// A word of the configured command in whose place the question stands.
const QUESTION: &str = "{prompt}";
/// The longest line that is read: a passphrase of 1024 bytes, each of them escaped.
const LONGEST_LINE: u64 = 4096;
/// libgpg-error's code for "the user said no", in the lower half of an error number.
const CANCELLED: [u32; 2] = [99, 114];

/// What a person is asked. Holds no secret.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    /// What for.
    pub text: &'a str,
    /// Why it is asked again.
    pub reason: Option<&'a str>,
    /// The X11 window that the dialogue belongs to.
    pub window: Option<u32>,
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no pinentry, or no display for it.
    #[error("there is nothing to ask with")]
    Nothing,
    /// The person said no.
    #[error("it was cancelled")]
    Cancelled,
    /// The program that asks did not do its work.
    #[error("{program}, which asks for the passphrase, failed: {why}")]
    Failed {
        /// The program.
        program: String,
        /// What went wrong.
        why: String,
    },
}

/// Asks for one line with the command `words` of the configuration. There is no deadline: dropping this ends the asking,
/// and the program that asks.
///
/// # Errors
/// [`Failure`].
pub async fn ask(words: &[String], question: Question<'_>) -> Result<SecretSlice<u8>, Failure> {
    let Some((program, arguments)) = words.split_first() else { return Err(Failure::Nothing) };
    Asker { program, arguments, question }.ask().await
}

/// Who asks, and what.
struct Asker<'a> {
    program: &'a str,
    arguments: &'a [String],
    question: Question<'a>,
}

impl Asker<'_> {
    async fn ask(&self) -> Result<SecretSlice<u8>, Failure> {
        let name = Path::new(self.program).file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("pinentry") {
            return self.first_line().await;
        }
        // Without a display it can only ask on a terminal, and there is none that it was not told.
        let shown = ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|display| !display.is_empty()));
        let told = self.arguments.iter().any(|word| word == "-T" || word.starts_with("--ttyname"));
        if shown || told { self.pinentry().await } else { Err(Failure::Nothing) }
    }

    /// The first line that a command prints.
    async fn first_line(&self) -> Result<SecretSlice<u8>, Failure> {
        let mut child = self.start(Stdio::null())?;
        let mut output = BufReader::new(self.output(&mut child)?.take(LONGEST_LINE));
        let mut line = Vec::with_capacity(LONGEST_LINE as usize);
        output.read_until(b'\n', &mut line).await.map_err(|cause| self.failed(cause))?;
        if line.is_empty() {
            let ended = child.wait().await.map_err(|cause| self.failed(cause))?;
            return Err(match ended.code() {
                // As rofi, zenity, systemd-ask-password and ssh-askpass end where the user says no.
                Some(1..) => Failure::Cancelled,
                Some(_) => self.failed("it printed nothing"),
                None => self.failed(format!("it was ended: {ended}")),
            });
        }
        line.pop_if(|last| *last == b'\n');
        Ok(line.into())
    }

    /// pinentry's answer, by its protocol (Assuan).
    async fn pinentry(&self) -> Result<SecretSlice<u8>, Failure> {
        let mut child = self.start(Stdio::piped())?;
        let input = child.stdin.take().ok_or_else(|| self.failed("it has no standard input"))?;
        let mut dialog = Dialog { input, output: BufReader::new(self.output(&mut child)?) };
        let asked = async {
            dialog.reply().await?;
            dialog.say("SETTITLE Open Sesame").await?;
            dialog.say(&format!("SETDESC {}", escaped(self.question.text))).await?;
            dialog.say("SETPROMPT Passphrase:").await?;
            if let Some(reason) = self.question.reason {
                dialog.say(&format!("SETERROR {}", escaped(reason))).await?;
            }
            if let Some(window) = self.question.window {
                // Not every pinentry has a use for it.
                dialog.tell(&format!("OPTION parent-wid={window}")).await?;
            }
            dialog.say("GETPIN").await
        };
        let answer = match asked.await {
            Ok(answer) => answer,
            Err(Refused::Cancelled) => return Err(Failure::Cancelled),
            Err(Refused::Said(why)) => return Err(self.failed(why)),
            Err(Refused::Gone) => {
                let ended = child.wait().await.map_err(|cause| self.failed(cause))?;
                return Err(self.failed(format!("it ended before it answered: {ended}")));
            }
        };
        // A polite end; where it does not come, dropping the child ends it.
        let _ = dialog.input.write_all(b"BYE\n").await;
        Ok(answer.into())
    }

    fn start(&self, input: Stdio) -> Result<Child, Failure> {
        let question = match self.question.reason {
            Some(reason) => format!("{reason}\n{}", self.question.text),
            None => self.question.text.to_owned(),
        };
        let arguments = self.arguments.iter().map(|word| word.replace(QUESTION, &question));
        let mut command = Command::new(self.program);
        command.args(arguments).stdin(input).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        command.spawn().map_err(|cause| match cause.kind() {
            // The default need not be installed.
            io::ErrorKind::NotFound if self.program == "pinentry" => Failure::Nothing,
            _ => self.failed(format!("it cannot be started: {cause}")),
        })
    }

    fn output(&self, child: &mut Child) -> Result<ChildStdout, Failure> {
        child.stdout.take().ok_or_else(|| self.failed("it has no standard output"))
    }

    fn failed(&self, why: impl ToString) -> Failure {
        Failure::Failed { program: self.program.to_owned(), why: why.to_string() }
    }
}

/// Why pinentry gives no answer.
enum Refused {
    Cancelled,
    Said(String),
    Gone,
}

impl From<io::Error> for Refused {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// A conversation with pinentry.
struct Dialog {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Dialog {
    async fn say(&mut self, command: &str) -> Result<Vec<u8>, Refused> {
        self.input.write_all(format!("{command}\n").as_bytes()).await?;
        self.reply().await
    }

    /// [`Self::say`], where a refusal does not matter.
    async fn tell(&mut self, command: &str) -> Result<(), Refused> {
        match self.say(command).await {
            Ok(_) | Err(Refused::Said(_)) => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    /// The data before `OK`.
    async fn reply(&mut self) -> Result<Vec<u8>, Refused> {
        let mut data = Vec::with_capacity(LONGEST_LINE as usize);
        loop {
            let line = line(&mut self.output).await?;
            let (word, rest) = line.split_at(line.iter().position(|byte| *byte == b' ').unwrap_or(line.len()));
            let rest = rest.strip_prefix(b" ").unwrap_or_default();
            match word {
                b"OK" => return Ok(data),
                b"D" if data.len() + rest.len() <= LONGEST_LINE as usize => unescape(rest, &mut data),
                b"ERR" => return Err(refusal(&String::from_utf8_lossy(rest))),
                b"#" | b"S" => {}
                _ => return Err(Refused::Said("it does not speak pinentry's protocol".into())),
            }
        }
    }
}

async fn line(output: &mut (impl AsyncRead + AsyncBufReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(LONGEST_LINE as usize);
    output.take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
    match line.pop() {
        Some(b'\n') => Ok(line),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// `NUMBER TEXT` of an error.
fn refusal(text: &str) -> Refused {
    let (number, text) = text.split_once(' ').unwrap_or((text, "it failed without a reason"));
    match number.parse::<u32>() {
        Ok(number) if CANCELLED.contains(&(number & 0xffff)) => Refused::Cancelled,
        _ => Refused::Said(text.trim_end().to_owned()),
    }
}

/// A text as a command's parameter.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Adds to `data` what a line of data stands for.
fn unescape(mut line: &[u8], data: &mut Vec<u8>) {
    while let [first, rest @ ..] = line {
        let code = || std::str::from_utf8(rest.get(..2)?).ok().and_then(|code| u8::from_str_radix(code, 16).ok());
        match (first, code()) {
            (b'%', Some(byte)) => {
                data.push(byte);
                line = &rest[2..];
            }
            _ => {
                data.push(*first);
                line = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_unescaped() {
        for (line, meant) in
            [("100%25 \u{e4}", "100% \u{e4}"), ("a%0Ab", "a\nb"), ("%zz%", "%zz%"), ("%2", "%2"), ("", "")]
        {
            let mut data = Vec::new();
            unescape(line.as_bytes(), &mut data);
            assert_eq!(data, meant.as_bytes(), "{line}");
        }
        assert_eq!(escaped("100%\nof"), "100%25%0Aof");
    }

    #[test]
    fn a_cancelled_question_is_told_from_a_failed_one() {
        assert!(matches!(refusal("83886179 Operation cancelled <Pinentry>"), Refused::Cancelled));
        assert!(matches!(refusal("99"), Refused::Cancelled));
        assert!(
            matches!(refusal("83886340 No such device <Pinentry>"), Refused::Said(why) if why == "No such device <Pinentry>")
        );
        assert!(matches!(refusal("nonsense"), Refused::Said(_)));
    }
}
