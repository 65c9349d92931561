//! The server's side of D-Bus authentication, EXTERNAL only, without file descriptors (D-Bus specification,
//! "Authentication Protocol"). Pure: a line in, a step out.

/// What to do about a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Say this line.
    Say(String),
    /// Authenticated; messages follow.
    Begin,
    /// No peer that means well says this here: end the connection.
    Leave,
}

#[derive(Clone, Copy, Debug)]
enum WaitingFor {
    Auth,
    Data,
    Begin,
}

/// One handshake.
#[derive(Debug)]
pub struct Sasl {
    state: WaitingFor,
    /// The only identity that a peer may claim: what the kernel says of it, as hexadecimal digits of decimal ones.
    identity: String,
    /// What is said to an authenticated peer.
    ok: String,
}

impl Sasl {
    /// The handshake of a peer of user `uid` with the server `guid`.
    pub fn new(uid: u32, guid: &str) -> Self {
        let identity = uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        Self { state: WaitingFor::Auth, identity, ok: format!("OK {guid}") }
    }

    /// Takes a line, without its end.
    pub fn line(&mut self, line: &str) -> Step {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let command = words.next().unwrap_or_default();
        match (self.state, command) {
            (WaitingFor::Auth, "AUTH") => match (words.next(), words.next()) {
                (Some("EXTERNAL"), None) => self.challenge(),
                (Some("EXTERNAL"), Some(response)) => self.authenticate(response),
                _ => self.reject(),
            },
            (WaitingFor::Data, "DATA") => self.authenticate(words.next().unwrap_or_default()),
            (WaitingFor::Begin, "BEGIN") => Step::Begin,
            (_, "BEGIN") => Step::Leave,
            (WaitingFor::Data | WaitingFor::Begin, "CANCEL") | (_, "ERROR") => self.reject(),
            (_, "NEGOTIATE_UNIX_FD") => Step::Say("ERROR no file descriptors here".into()),
            _ => Step::Say("ERROR not understood".into()),
        }
    }

    /// Asks for the identity. An empty answer to an empty challenge means "as the kernel says".
    fn challenge(&mut self) -> Step {
        self.state = WaitingFor::Data;
        Step::Say("DATA".into())
    }

    fn authenticate(&mut self, response: &str) -> Step {
        if !response.is_empty() && !response.eq_ignore_ascii_case(&self.identity) {
            return self.reject();
        }
        self.state = WaitingFor::Begin;
        Step::Say(self.ok.clone())
    }

    fn reject(&mut self) -> Step {
        self.state = WaitingFor::Auth;
        Step::Say("REJECTED EXTERNAL".into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said to each line, for user 1000.
    fn talk(lines: &[&str]) -> Vec<String> {
        let mut sasl = Sasl::new(1000, "feed");
        lines
            .iter()
            .map(|line| match sasl.line(line) {
                Step::Say(text) => text,
                step => format!("{step:?}"),
            })
            .collect()
    }

    #[test]
    fn with_and_without_initial_response() {
        assert_eq!(talk(&["AUTH EXTERNAL 31303030", "BEGIN"]), ["OK feed", "Begin"]);
        assert_eq!(talk(&["AUTH EXTERNAL", "DATA", "BEGIN"]), ["DATA", "OK feed", "Begin"]);
        assert_eq!(talk(&["AUTH EXTERNAL", "DATA 31303030", "BEGIN"]), ["DATA", "OK feed", "Begin"]);
    }

    #[test]
    fn as_glib_asks() {
        let lines = ["AUTH", "AUTH EXTERNAL 31303030", "NEGOTIATE_UNIX_FD", "BEGIN"];
        let said = ["REJECTED EXTERNAL", "OK feed", "ERROR no file descriptors here", "Begin"];
        assert_eq!(talk(&lines), said);
    }

    #[test]
    fn another_identity_or_mechanism_is_rejected() {
        for line in ["AUTH EXTERNAL 30", "AUTH EXTERNAL 313030", "AUTH ANONYMOUS", "AUTH DBUS_COOKIE_SHA1 31303030"] {
            assert_eq!(talk(&[line, "BEGIN"]), ["REJECTED EXTERNAL", "Leave"]);
        }
        assert_eq!(talk(&["AUTH EXTERNAL", "DATA 30", "DATA"]), ["DATA", "REJECTED EXTERNAL", "ERROR not understood"]);
    }

    #[test]
    fn cancel_and_error_begin_anew() {
        assert_eq!(talk(&["AUTH EXTERNAL", "CANCEL", "BEGIN"]), ["DATA", "REJECTED EXTERNAL", "Leave"]);
        assert_eq!(talk(&["AUTH EXTERNAL 31303030", "CANCEL", "BEGIN"]), ["OK feed", "REJECTED EXTERNAL", "Leave"]);
        assert_eq!(talk(&["ERROR", "AUTH EXTERNAL 31303030"]), ["REJECTED EXTERNAL", "OK feed"]);
    }

    #[test]
    fn what_is_unknown_or_out_of_place_is_an_error() {
        for line in ["", " ", "HELLO", "DATA", "CANCEL", "auth EXTERNAL", "BEGINNING"] {
            assert_eq!(talk(&[line]), ["ERROR not understood"], "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn nobody_begins_without_a_proper_auth(
            lines in proptest::collection::vec("(AUTH|DATA|BEGIN|CANCEL|ERROR|NEGOTIATE_UNIX_FD)( EXTERNAL)?( 3[0-9])?", 0..12),
        ) {
            let mut sasl = Sasl::new(1000, "feed");
            let mut authenticated = false;
            for line in &lines {
                match sasl.line(line) {
                    Step::Say(text) if text.starts_with("OK") => authenticated = true,
                    Step::Say(text) if text.starts_with("REJECTED") => authenticated = false,
                    Step::Begin => prop_assert!(authenticated),
                    _ => (),
                }
            }
        }
    }
}
