//! `sesame lock` and `sesame toggle`.

use crate::support::{
    Session,
    hub::{Manner, report, serve},
    vaults::Vaults,
};

#[tokio::test]
async fn locks_the_default_profile_one_or_all() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", false, &[]).with("work", false, &[]).with("spare", false, &[]);
    let _daemon = vaults.on_bus(&session).await;
    session.run("lock").await.printed("");
    assert!(vaults.get("personal").unwrap().locked && !vaults.get("work").unwrap().locked);
    session.run("lock -p work").await.printed("");
    assert!(vaults.get("work").unwrap().locked && !vaults.get("spare").unwrap().locked);
    session.run("lock --all").await.printed("");
    assert!(vaults.get("spare").unwrap().locked);
    assert_eq!(session.run("lock -p gone").await.code, 7);
    assert_eq!(session.run("lock -p work --all").await.code, 2);
}

#[tokio::test]
async fn a_daemon_that_does_not_run_holds_no_key() {
    let session = Session::start();
    session.run("lock").await.printed("");
    session.run("lock --all").await.printed("");
}

#[tokio::test]
async fn a_hung_daemon_is_5_with_the_command_that_kills_it() {
    let session = Session::start();
    // Owns the name and answers nothing: no object server runs on this connection.
    let hung = session.connect().await;
    hung.request_name("org.opensesame.Secrets").await.unwrap();
    session.run("lock --timeout 0.2").await.failed(
        5,
        &format!(
            "sesame: cannot lock personal: daemon-secrets did not answer within 0.2 s\n\
             kill it, and the keys with it: kill -KILL {}\n",
            std::process::id()
        ),
    );
}

#[tokio::test]
async fn toggle_does_the_other() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", false, &[]);
    let _daemons = (vaults.on_bus(&session).await, serve(&session, report(&[]), Manner::Answers).await);
    let _socket = vaults.at_socket(&session);
    session.run("toggle").await.printed("");
    assert!(vaults.get("personal").unwrap().locked);
    session.feed("toggle --passphrase-fd 0", b"correct\n").await.printed("");
    assert!(!vaults.get("personal").unwrap().locked);
}
