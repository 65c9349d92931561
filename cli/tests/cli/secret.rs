//! `sesame secret`: the private socket alone, no bus.

use std::{fs::File, process::Stdio};

use crate::support::{Session, session::end, vaults::Vaults};

#[tokio::test]
async fn stores_lists_reads_and_deletes() {
    let session = Session::without_bus();
    let vaults = Vaults::default().with("personal", false, &[]);
    let _socket = vaults.at_socket(&session);
    session.feed("secret set b", b"two\n").await.printed("");
    session.feed("secret set a --strip-newline", b"one\n").await.printed("");
    session.run("secret list").await.printed("a\nb\n");
    session.run("secret get a").await.printed("one");
    session.run("secret get b -p personal").await.printed("two\n");
    session.run("secret rm a").await.printed("");
    session.run("secret get a").await.failed(
        7,
        "sesame: cannot read the secret a of personal: The vault holds no such secret; see sesame secret list.\n",
    );
}

#[tokio::test]
async fn the_default_profile_is_read_from_its_file() {
    let session = Session::without_bus();
    let vaults = Vaults::default().with("personal", false, &[]).with("work", false, &[("a", b"work's")]);
    let _socket = vaults.at_socket(&session);
    std::fs::create_dir_all(session.path(".local/state/open-sesame")).unwrap();
    std::fs::write(session.path(".local/state/open-sesame/default-profile"), "work\n").unwrap();
    session.run("secret get a").await.printed("work's");
}

#[tokio::test]
async fn a_locked_vault_is_6() {
    let session = Session::without_bus();
    let _socket = Vaults::default().with("personal", true, &[]).at_socket(&session);
    session
        .run("secret get a")
        .await
        .failed(6, "sesame: cannot read the secret a of personal: The vault is locked; unlock it: sesame unlock.\n");
}

#[tokio::test]
async fn without_a_socket_it_is_3_and_says_how_to_begin() {
    let session = Session::without_bus();
    let hint = "start it: sesame unlock (the very first time: sesame init)";
    session
        .run("secret list")
        .await
        .failed(3, &format!("sesame: cannot list the secrets of personal: daemon-secrets is not running\n{hint}\n"));
    // A socket that a dead daemon left behind.
    drop(std::os::unix::net::UnixListener::bind(session.private_socket()).unwrap());
    assert_eq!(session.run("secret list").await.code, 3);
}

#[tokio::test]
async fn a_silent_daemon_is_5_and_one_that_hangs_up_3() {
    let session = Session::without_bus();
    let listener = std::os::unix::net::UnixListener::bind(session.private_socket()).unwrap();
    session
        .run("secret list --timeout 0.2")
        .await
        .failed(5, "sesame: cannot list the secrets of personal: daemon-secrets did not answer within 0.2 s\n");
    // What changes something may be done after nobody waits for it any more.
    session.run("secret rm a --timeout 0.2").await.failed(
        5,
        "sesame: cannot delete the secret a of personal: daemon-secrets did not answer within 0.2 s, and may still do it\n\
         see what became of it before you try again: sesame status\n",
    );
    // The connection of the run before is still queued: it is hung up first.
    let hang_up = std::thread::spawn(move || [(); 4].map(|()| drop(listener.accept().unwrap())));
    session.run("secret list").await.failed(
        3,
        "sesame: cannot list the secrets of personal: daemon-secrets ended before it answered\n\
         start it: sesame unlock (the very first time: sesame init)\n",
    );
    session.run("secret rm a").await.failed(
        3,
        "sesame: cannot delete the secret a of personal: daemon-secrets ended before it answered, and may have done it\n\
         see what became of it before you try again: sesame status\n",
    );
    hang_up.join().unwrap();
}

#[tokio::test]
async fn a_closed_standard_input_is_no_value() {
    let session = Session::without_bus();
    let mut shell = session.command("/bin/sh");
    shell.args(["-c", "exec \"$0\" secret set a <&-", env!("CARGO_BIN_EXE_sesame")]).stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(said, "sesame: cannot store the secret a of personal: standard input: it is closed\n");
    assert_eq!(ended.status.code(), Some(1));
}

#[tokio::test]
async fn a_default_profile_that_is_not_told_is_not_personal() {
    let session = Session::without_bus();
    let file = session.path(".local/state/open-sesame/default-profile");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    for damaged in ["", "no name\n"] {
        std::fs::write(&file, damaged).unwrap();
        let ended = session.run("secret get a").await;
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("does not name the default profile"), "{}", ended.stderr);
        // Where the profile is told nothing is missing.
        assert_eq!(session.run("secret get a -p work").await.code, 3);
        let doctor = session.run("doctor").await.stdout;
        assert!(doctor.contains("\n    sesame profile default personal\n"), "{doctor}");
    }
}

#[tokio::test]
async fn a_value_of_more_than_a_mebibyte_is_not_even_sent() {
    let session = Session::without_bus();
    let vaults = Vaults::default().with("personal", false, &[]);
    let _socket = vaults.at_socket(&session);
    let mut value = vec![b'x'; 1024 * 1024];
    session.feed("secret set a", &value).await.printed("");
    value.push(b'x');
    session.feed("secret set b", &value).await.failed(
        1,
        "sesame: cannot store the secret b of personal: a secret is at most 1 MiB; store where it lies instead\n",
    );
    assert_eq!(vaults.get("personal").unwrap().secrets["a"].len(), 1024 * 1024);
}

#[tokio::test]
async fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is_one() {
    let session = Session::without_bus();
    let value = vec![b'x'; 1024 * 1024];
    let _socket = Vaults::default().with("personal", false, &[("a", &value)]).at_socket(&session);
    let mut shell = session.command("sh");
    let line = "set -e; { \"$0\" secret get a; echo $? >&2; } | head -c 1";
    shell.args(["-c", line, env!("CARGO_BIN_EXE_sesame")]);
    let ended = end(shell, b"").await;
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("x", "0\n"));

    // To a monitor 1 would be a warning.
    for (words, code) in [(&["secret", "list"][..], 1), (&["check"], 3)] {
        let mut full = session.command(env!("CARGO_BIN_EXE_sesame"));
        full.args(words).stdin(Stdio::null()).stdout(File::options().write(true).open("/dev/full").unwrap());
        let ended = tokio::task::spawn_blocking(move || full.stderr(Stdio::null()).status().unwrap()).await.unwrap();
        assert_eq!(ended.code(), Some(code), "{words:?}");
    }
}
