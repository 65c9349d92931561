//! `sesame unlock`, `passphrase` and `init`.

use std::fs;

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::support::{
    Session,
    hub::{Calls, Manner, report, serve},
    vaults::Vaults,
};

async fn running(session: &Session, vaults: &Vaults) -> (impl Sized, Calls) {
    let (hub, calls) = serve(session, report(&[]), Manner::Answers).await;
    ((hub, vaults.on_bus(session).await, vaults.at_socket(session)), calls)
}

#[tokio::test]
async fn unlocks_with_a_passphrase_from_a_file_or_descriptor() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", true, &[]).with("work", true, &[]);
    let _daemons = running(&session, &vaults).await;
    fs::write(session.path("pass"), "correct\n").unwrap();

    let file = format!("unlock --passphrase-file {}", session.path("pass").display());
    session.run(&file).await.printed("");
    assert!(!vaults.get("personal").unwrap().locked);
    session
        .feed("unlock -p work --passphrase-fd 0", b"wrong")
        .await
        .failed(6, "sesame: cannot unlock work: The passphrase does not open this vault; try again.\n");
    session.feed("unlock -p work --passphrase-fd 0", b"correct").await.printed("");
    // Already unlocked: no passphrase is needed, so none is read.
    session.run("unlock -p work").await.printed("");
}

#[tokio::test]
async fn any_descriptor_that_the_caller_opened_is_read() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", true, &[]);
    let _daemons = running(&session, &vaults).await;
    let mut shell = session.command("sh");
    shell.args(["-c", "echo correct | { exec 7<&0 0</dev/null; exec \"$0\" unlock --passphrase-fd 7; }"]);
    shell.arg(env!("CARGO_BIN_EXE_sesame"));
    crate::support::session::end(shell, b"").await.printed("");

    fs::write(session.path("two"), "other\ncorrect\n").unwrap();
    vaults.0.lock().unwrap().get_mut("personal").unwrap().locked = true;
    let mut shell = session.command("sh");
    shell.args(["-c", "exec 7<two; read -r first <&7; exec \"$0\" unlock --passphrase-fd 7"]);
    shell.arg(env!("CARGO_BIN_EXE_sesame")).current_dir(session.path("."));
    crate::support::session::end(shell, b"").await.printed("");
    assert!(!vaults.get("personal").unwrap().locked, "read from where it stood");
    let none = session.run("passphrase --passphrase-fd 99").await;
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.stderr.contains("descriptor 99: Bad file descriptor"), "{none:?}");
}

#[tokio::test]
async fn refuses_before_it_asks_for_anything() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", true, &[]);
    let _daemons = running(&session, &vaults).await;
    session.run("unlock -p gone").await.failed(
        7,
        "sesame: cannot unlock gone: there is no profile gone\n\
         there are: personal (create it: sesame profile add gone)\n",
    );
    session.run("unlock").await.failed(
        6,
        "sesame: cannot unlock personal: a passphrase is needed, and there is no terminal to ask for it\n\
         run it in a terminal, or give --passphrase-file FILE or --passphrase-fd N\n",
    );
    session.feed("unlock --passphrase-fd 0", b"\n").await.failed(
        2,
        "sesame: cannot unlock personal: a passphrase is 1 to 1024 bytes of UTF-8 without control characters; \
         choose another\n",
    );
    assert_eq!(session.run("unlock --passphrase-fd 77").await.code, 1);
    assert_eq!(session.run("unlock --passphrase-fd 0 --passphrase-file x").await.code, 2);
}

#[tokio::test]
async fn an_unlocked_vault_that_was_deactivated_is_activated() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", false, &[]);
    vaults.0.lock().unwrap().get_mut("personal").unwrap().active = false;
    let _daemons = running(&session, &vaults).await;
    session.run("unlock").await.printed("");
    assert!(vaults.get("personal").unwrap().active);
}

#[tokio::test]
async fn daemons_that_cannot_be_started_are_3() {
    let session = Session::start();
    session.run("unlock").await.failed(
        3,
        "sesame: cannot unlock personal: daemon-secrets could not be started \
         (the session bus knows no activation file for it)\n\
         see what is wrong with it: sesame doctor\n",
    );
    assert_eq!(Session::without_bus().run("unlock").await.code, 4);
}

#[tokio::test]
async fn the_passphrase_is_changed() {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", true, &[]);
    let _daemons = running(&session, &vaults).await;
    fs::write(session.path("new"), "better\n").unwrap();
    let line = format!("passphrase --passphrase-fd 0 --new-passphrase-file {}", session.path("new").display());
    assert_eq!(session.feed(&line, b"wrong").await.code, 6);
    session.feed(&line, b"correct").await.printed("");
    assert_eq!(vaults.get("personal").unwrap().passphrase, "better");
    assert_eq!(session.run("passphrase --passphrase-fd 0 --new-passphrase-fd 0").await.code, 2);
    session.feed("passphrase --passphrase-fd 0", b"better").await.failed(
        6,
        "sesame: cannot change the passphrase of personal: a new passphrase is needed, and there is no terminal to ask for \
         it\nrun it in a terminal, or give --new-passphrase-file FILE or --new-passphrase-fd N\n",
    );
}

#[tokio::test]
async fn init_does_only_what_is_missing() {
    let session = Session::start();
    let vaults = Vaults::default();
    let (_daemons, calls) = running(&session, &vaults).await;
    session.feed("init --passphrase-fd 0", b"first").await.printed("Next: sesame secret set NAME\n");
    let made = vaults.get("personal").unwrap();
    assert_eq!((made.passphrase.as_str(), made.locked), ("first", false));
    assert_eq!(calls.lock().unwrap().len(), 0, "personal is the default one already");
    // Unlocked: nothing is missing, and no passphrase is asked for.
    session.run("init").await.printed("Next: sesame secret set NAME\n");
    session.run("init work").await.failed(
        1,
        "sesame: cannot set up: there are profiles already, and work is none of them\n\
         create it: sesame profile add work\n",
    );
}

#[tokio::test]
async fn init_makes_another_first_profile_the_default_one() {
    let session = Session::start();
    let vaults = Vaults::default();
    let (_daemons, calls) = running(&session, &vaults).await;
    session.feed("init work --passphrase-fd 0", b"first").await.printed("Next: sesame secret set NAME\n");
    assert!(!vaults.get("work").unwrap().locked);
    assert_eq!(*calls.lock().unwrap(), ["default work"]);
}

/// A fresh start is asked for through the bus; whoever takes the name then has been started.
#[tokio::test]
async fn what_had_to_be_started_is_known_to_the_hub_afterwards() {
    let session = Session::start();
    let (_hub, calls) = serve(&session, report(&[]), Manner::Answers).await;
    let started = session.path("started");
    mkfifoat(CWD, &started, Mode::RWXU).unwrap();
    let services = session.path("data/dbus-1/services");
    fs::create_dir_all(&services).unwrap();
    let command = format!("Name=org.opensesame.Secrets\nExec=/bin/sh -c \"echo > {}\"\n", started.display());
    fs::write(services.join("org.opensesame.Secrets.service"), format!("[D-BUS Service]\n{command}")).unwrap();

    let daemon = async {
        tokio::task::spawn_blocking(|| fs::read(started).unwrap()).await.unwrap();
        Vaults::default().with("personal", false, &[]).on_bus(&session).await
    };
    let (ended, _daemon) = tokio::join!(session.run("unlock"), daemon);
    ended.printed("");
    assert_eq!(*calls.lock().unwrap(), ["reconcile"]);
}
