//! `sesame check`.

use crate::support::{
    Session,
    hub::{Manner, report, serve},
};

#[tokio::test]
async fn a_state_is_one_line_and_an_exit_code_of_plugins() {
    let session = Session::start();
    let hub = serve(&session, report(&[("personal", false, true)]), Manner::Answers).await;
    // The report of this hub is as old as the epoch.
    for (line, code, begins) in [
        ("check -w ~: -c ~:", 0, "SESAME OK - both daemons run, 1 of 1 vaults unlocked | vaults=1 unlocked=1 "),
        ("check", 2, "SESAME CRITICAL - "),
        ("check -p gone -w ~: -c ~:", 3, "SESAME UNKNOWN - there is no profile gone"),
        ("check -w 2:1", 3, "SESAME UNKNOWN - wrong usage: "),
        ("check --frob", 3, "SESAME UNKNOWN - wrong usage: "),
        ("--color bogus check", 3, "SESAME UNKNOWN - wrong usage: "),
    ] {
        let ended = session.run(line).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (code, ""), "{line}: {ended:?}");
        assert!(ended.stdout.starts_with(begins) && ended.stdout.lines().count() == 1, "{line}: {ended:?}");
    }
    drop(hub);
}

#[tokio::test]
async fn what_cannot_be_told_has_a_state_too() {
    let session = Session::start();
    let ended = session.run("check").await;
    assert_eq!((ended.code, ended.stdout.as_str()), (2, "SESAME CRITICAL - daemon-profile is not running\n"));
    let ended = Session::without_bus().run("check").await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stdout.starts_with("SESAME UNKNOWN - there is no session bus at "), "{ended:?}");
}
