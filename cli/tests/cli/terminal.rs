//! Questions at a terminal.

use std::{
    io::Read,
    os::unix::net::UnixListener,
    time::{Duration, Instant},
};

use crate::support::{
    Session,
    hub::{Manner, report, serve},
    terminal::Terminal,
    vaults::Vaults,
};

/// Runs a dialogue beside the test's daemons.
async fn talk<T: Send + 'static>(dialogue: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(dialogue).await.unwrap()
}

async fn running(session: &Session, vaults: &Vaults) -> impl Sized {
    let hub = serve(session, report(&[]), Manner::Answers).await;
    (hub, vaults.on_bus(session).await, vaults.at_socket(session))
}

#[tokio::test]
async fn a_passphrase_is_asked_for_without_echo() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", true, &[]);
    let _daemons = running(&session, &vaults).await;
    let mut terminal = Terminal::run(&session, "unlock", true);
    let ended = talk(move || {
        terminal.expect("Passphrase of personal: ");
        terminal.type_in("correct\n");
        terminal.end()
    });
    ended.await.printed("\r\n");
    assert!(!vaults.get("personal").unwrap().locked);
}

#[tokio::test]
async fn ctrl_c_gives_the_echo_back() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", true, &[]);
    let _daemons = running(&session, &vaults).await;
    let mut terminal = Terminal::run(&session, "unlock", false);
    let ended = talk(move || {
        terminal.expect("Passphrase of personal: ");
        terminal.type_in("corr\u{3}");
        // That the echo is back is asserted there.
        terminal.end()
    });
    let ended = ended.await;
    assert_eq!((ended.code, ended.stderr.as_str()), (130, "sesame: cannot unlock personal: interrupted\n"));
    assert!(!ended.stdout.contains("corr"));
    assert!(vaults.get("personal").unwrap().locked);
}

/// Before the question the signal ends the program as it does any other; whoever asked has taken it over.
#[tokio::test]
async fn ctrl_c_ends_the_wait_for_a_daemon_that_was_given_the_passphrase_and_hangs() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", true, &[]);
    let _hub = serve(&session, report(&[]), Manner::Answers).await;
    let _vaults = vaults.on_bus(&session).await;
    let silent = UnixListener::bind(session.private_socket()).unwrap();
    let mut terminal = Terminal::run(&session, "unlock", false);
    let ended = talk(move || {
        terminal.expect("Passphrase of personal: ");
        terminal.type_in("correct\n");
        let (mut stream, mut said) = (silent.accept().unwrap().0, Vec::new());
        while !said.windows(6).any(|word| word == b"Unlock") {
            let mut some = [0; 1024];
            let read = stream.read(&mut some).unwrap();
            said.extend_from_slice(&some[..read]);
        }
        let interrupted = Instant::now();
        terminal.type_in("\u{3}");
        (terminal.end(), interrupted.elapsed())
    });
    let (ended, took) = ended.await;
    assert_eq!((ended.code, ended.stderr.as_str()), (130, "sesame: cannot unlock personal: interrupted\n"));
    assert!(took < Duration::from_secs(15), "{took:?}, of 30 s without it");
}

#[tokio::test]
async fn a_new_passphrase_is_asked_for_twice() {
    let session = Session::start();
    let vaults = Vaults::default();
    let _daemons = running(&session, &vaults).await;
    for (again, code) in [("other\n", 1), ("better\n", 0)] {
        let mut terminal = Terminal::run(&session, "profile add work", false);
        let ended = talk(move || {
            terminal.expect("New passphrase of work: ");
            terminal.type_in("better\n");
            terminal.expect("New passphrase of work again: ");
            terminal.type_in(again);
            terminal.end()
        });
        assert_eq!(ended.await.code, code);
        assert_eq!(vaults.get("work").is_some(), code == 0);
    }
}

#[tokio::test]
async fn a_secret_is_asked_for_without_echo_and_shown_with_a_newline() {
    let session = Session::without_bus();
    let vaults = Vaults::default().with("personal", false, &[]).with("work", true, &[]);
    let _socket = vaults.at_socket(&session);
    let mut terminal = Terminal::run(&session, "secret set a", false);
    let ended = talk(move || {
        terminal.expect("Value of a: ");
        terminal.type_in("hidden\n");
        terminal.end()
    });
    ended.await.printed("\r\n");
    assert_eq!(vaults.get("personal").unwrap().secrets["a"], b"hidden");
    let mut terminal = Terminal::run(&session, "secret set a", false);
    let ended = talk(move || {
        terminal.expect("Value of a: ");
        terminal.type_in("\u{4}");
        terminal.end()
    });
    let ended = ended.await;
    let said = "sesame: cannot store the secret a of personal: no answer was typed; nothing was tried\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (1, said), "Ctrl-D");
    let terminal = Terminal::run(&session, "secret get a", true);
    talk(move || terminal.end()).await.printed("hidden\r\n");
    // Locked: said before the user has typed in vain.
    let terminal = Terminal::run(&session, "secret set a -p work", false);
    assert_eq!(talk(move || terminal.end()).await.code, 6);
}

#[tokio::test]
async fn a_dumb_terminal_gets_lines() {
    let session = Session::start();
    let _hub = serve(&session, report(&[("personal", false, true)]), Manner::Answers).await;
    let mut terminal = Terminal::run_in(&session, "status --watch", true, "dumb");
    let ended = talk(move || {
        terminal.expect("personal=unlocked");
        terminal.type_in("\u{3}");
        terminal.end()
    });
    let ended = ended.await;
    assert!(ended.code == 0 && !ended.stdout.contains('\u{1b}'), "{ended:?}");
}

#[tokio::test]
async fn a_terminal_gets_colour() {
    let session = Session::start();
    let _hub = serve(&session, report(&[("personal", false, true)]), Manner::Answers).await;
    let terminal = Terminal::run(&session, "status", true);
    let ended = talk(move || terminal.end()).await;
    assert!(ended.stdout.contains("personal  \u{1b}[32munlocked\u{1b}[0m"), "{ended:?}");
}
