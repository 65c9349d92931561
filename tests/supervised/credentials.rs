//! Secrets for units: what `LoadCredential=` of a user unit gets from daemon-secrets, and what nobody gets.

use std::{io::Read, os::unix::net::UnixStream};

use dbus_interfaces::events;
use rustix::process::Signal;
use session_tests::{
    bus::Kind,
    user_session::{SECRETS_UNIT, UserSession, until},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&[Kind::DbusDaemon], &[];
        a_unit_reads_a_credential_while_unlocked_only,
        a_large_credential_arrives_whole,
        a_hundred_units_ask_at_once,
        sockets_outlive_a_crash_and_go_with_their_profiles,
        nobody_but_systemd_is_answered,
    )
}

const READER: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\n\
                      LoadCredential=db-url:%t/open-sesame/credentials/work\n\
                      ExecStart=/bin/sh -c 'cat $CREDENTIALS_DIRECTORY/db-url >%t/read-%i'\n";

/// `work` is unlocked and holds `db-url`; `reader@.service` copies what it is given to `read-<instance>`.
async fn with_reader(session: &UserSession) {
    session.write(".config/systemd/user/reader@.service", READER);
    session.systemctl(&["daemon-reload"]).await;
    session.start().await;
    session.unlock("work").await;
    let set = "printf s3cret | ~/.local/bin/sesame secret set db-url -p work";
    let ended = session.run(&["sh", "-c", set]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
}

async fn read_by(session: &UserSession, instance: &str) -> String {
    session.systemctl(&["start", &format!("reader@{instance}.service")]).await;
    std::fs::read_to_string(session.runtime(&format!("read-{instance}"))).unwrap()
}

/// The journal's line on a refusal that has `word` in it.
async fn refusal(session: &UserSession, word: &str) -> String {
    let id = format!("MESSAGE_ID={}", events::CREDENTIAL_REFUSED);
    until(&format!("a refusal with {word}"), async || {
        let said = session.run(&["journalctl", "--user", "--output=cat", &id]).await.stdout;
        said.lines().find(|line| line.contains(word)).map(str::to_owned).ok_or(said.clone())
    })
    .await
}

async fn a_unit_reads_a_credential_while_unlocked_only(session: UserSession) {
    with_reader(&session).await;
    assert_eq!(read_by(&session, "open").await, "s3cret");
    session.sesame(&["lock", "-p", "work"]).await.stdout_of_success();
    assert_eq!(read_by(&session, "shut").await, "");
    let line = refusal(&session, "reader@shut.service").await;
    assert!(line.contains("db-url of work") && line.contains("locked"), "{line}");
    let report = session.report().await;
    assert!(report.vaults["work"].locked, "asking unlocks nothing");
    assert_eq!(report.daemons["daemon-secrets"].sandbox.as_deref(), Some("full"));
}

/// More than a socket holds at once, and nearly as much as systemd takes for a unit.
async fn a_large_credential_arrives_whole(session: UserSession) {
    with_reader(&session).await;
    let set = "head -c 750000 /dev/urandom | base64 -w0 | tee %t/large | ~/.local/bin/sesame secret set db-url -p work";
    let set = set.replace("%t", session.runtime("").to_str().unwrap());
    assert_eq!(session.run(&["sh", "-c", &set]).await.code, 0);
    let large = std::fs::read_to_string(session.runtime("large")).unwrap();
    assert_eq!(large.len(), 1_000_000);
    assert!(read_by(&session, "large").await == large, "it is another one");
}

async fn a_hundred_units_ask_at_once(session: UserSession) {
    with_reader(&session).await;
    let units: Vec<String> = (0..100).map(|n| format!("reader@n{n}.service")).collect();
    let words: Vec<&str> = std::iter::once("start").chain(units.iter().map(String::as_str)).collect();
    session.systemctl(&words).await;
    for n in 0..100 {
        let read = std::fs::read_to_string(session.runtime(&format!("read-n{n}"))).unwrap();
        assert_eq!(read, "s3cret", "unit {n}");
    }
}

async fn sockets_outlive_a_crash_and_go_with_their_profiles(session: UserSession) {
    with_reader(&session).await;
    let before = session.report().await.daemons["daemon-secrets"].id.clone();
    session.signal(SECRETS_UNIT, Signal::KILL).await;
    session
        .until_report("the next run", |report| {
            let now = &report.daemons["daemon-secrets"];
            now.state == "running" && now.id != before
        })
        .await;
    assert_eq!(read_by(&session, "after").await, "", "its keys died with it");
    session.unlock("work").await;
    assert_eq!(read_by(&session, "again").await, "s3cret");
    let socket = session.runtime("open-sesame/credentials/work");
    let file = session.passphrase_file();
    session.sesame(&["profile", "remove", "work", "--passphrase-file", &file]).await.stdout_of_success();
    until("the end of the socket", async || if socket.exists() { Err(()) } else { Ok(()) }).await;
    session.systemctl(&["stop", SECRETS_UNIT]).await;
    assert!(!session.runtime("open-sesame/credentials/personal").exists());
}

async fn nobody_but_systemd_is_answered(session: UserSession) {
    with_reader(&session).await;
    let socket = session.runtime("open-sesame/credentials/work");
    let mut plain = UnixStream::connect(&socket).unwrap();
    assert_eq!(plain.read(&mut [0; 16]).unwrap(), 0);
    refusal(&session, "its address does not name").await;
    // Another user's process, though its address is systemd's.
    let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0a/unit/mail.service/db-url')\n\
                  s.connect(sys.argv[1])\nprint(s.recv(16))";
    let ended = session.as_root(&["python3", "-c", script, &socket.display().to_string()]).await;
    assert_eq!(ended.stdout, "b''\n", "{ended:?}");
    refusal(&session, "user 0").await;
}
