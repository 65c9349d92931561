//! `sesame is`.

use crate::support::{
    Session,
    hub::{Manner, report, serve},
};

#[tokio::test]
async fn answers_with_its_exit_code_alone() {
    let session = Session::start();
    let _hub = serve(&session, report(&[("personal", false, true), ("work", true, false)]), Manner::Answers).await;
    for (line, code) in [
        ("is running", 0),
        ("is healthy", 0),
        ("is unlocked", 0),
        ("is unlocked -p personal -p work", 8),
        ("is locked -p work", 0),
        ("is active -p work", 8),
    ] {
        session.run(line).await.failed(code, "");
    }
    assert_eq!(session.run("is locked -p gone").await.code, 7);
    assert_eq!(session.run("is running -p work").await.code, 2);
    assert_eq!(session.run("is open").await.code, 2);
}

#[tokio::test]
async fn without_hub_or_bus_it_cannot_tell() {
    let session = Session::start();
    for condition in ["running", "healthy", "unlocked", "locked", "active"] {
        let ended = session.run(&format!("is {condition}")).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (3, ""), "{condition}");
    }
    assert_eq!(Session::without_bus().run("is running").await.code, 4);
}

#[tokio::test]
async fn before_the_first_report_vaults_are_unknown() {
    let session = Session::start();
    let mut early = report(&[]);
    early.reconciled_usec = 0;
    let _hub = serve(&session, early, Manner::Answers).await;
    assert_eq!(session.run("is locked").await.code, 3);
    assert_eq!(session.run("is running").await.code, 0);
}
