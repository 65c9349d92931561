//! `sesame profile`.

use crate::support::{
    Session,
    hub::{Manner, report, serve},
    vaults::Vaults,
};

#[tokio::test]
async fn lists_names_one_a_line() {
    let session = Session::start();
    let _hub = serve(&session, report(&[("work", true, false), ("personal", false, true)]), Manner::Answers).await;
    session.run("profile list").await.printed("personal\nwork\n");
}

#[tokio::test]
async fn an_unheard_hub_does_not_pretend_that_there_is_none() {
    let session = Session::start();
    let mut early = report(&[]);
    early.reconciled_usec = 0;
    let _hub = serve(&session, early, Manner::Answers).await;
    assert_eq!(session.run("profile list").await.code, 3);
}

#[tokio::test]
async fn the_hub_is_told() {
    let session = Session::start();
    let (_hub, calls) = serve(&session, report(&[]), Manner::Answers).await;
    for line in ["default work", "activate work", "deactivate work"] {
        session.run(&format!("profile {line}")).await.printed("");
    }
    assert_eq!(*calls.lock().unwrap(), ["default work", "activate work", "deactivate work"]);
    session.run("profile default gone").await.failed(
        7,
        "sesame: cannot make gone the default profile: There is no profile gone; see sesame profile list.\n",
    );
    assert_eq!(session.run("profile activate early").await.code, 3);
    assert_eq!(session.run("profile activate ../etc").await.code, 2);
}

#[tokio::test]
async fn adds_a_locked_vault_and_removes_it_with_its_passphrase() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", true, &[]);
    let _daemons = (vaults.on_bus(&session).await, vaults.at_socket(&session));
    let _hub = serve(&session, report(&[]), Manner::Answers).await;
    session.feed("profile add work --passphrase-fd 0", b"secret\n").await.printed("");
    assert!(vaults.get("work").unwrap().locked);
    session
        .run("profile add work")
        .await
        .failed(1, "sesame: cannot create work: a profile of this name exists; choose another name\n");
    assert_eq!(session.feed("profile remove work --passphrase-fd 0", b"wrong").await.code, 6);
    session.feed("profile remove work --passphrase-fd 0", b"secret").await.printed("");
    assert!(vaults.get("work").is_none());
    session.run("profile remove personal").await.failed(
        1,
        "sesame: cannot delete personal: it is the default profile\n\
         choose another one first: sesame profile default NAME\n",
    );
    assert_eq!(session.run("profile remove work").await.code, 7);
}
