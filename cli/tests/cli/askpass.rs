//! Asking without a terminal: the programs that `askpass` may name, honest and not.

use std::{fs, os::unix::fs::PermissionsExt, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Session,
    hub::{Manner, report, serve},
    session::{Ended, code_in_shell, end},
    vaults::Vaults,
};

/// A session with a locked vault, and `script` as the program `name` that asks.
async fn session(name: &str, arguments: &str, script: &str) -> (Session, Vaults, impl Sized + use<>) {
    let session = Session::start();
    let vaults = Vaults::default().with("personal", true, &[]);
    let (hub, _) = serve(&session, report(&[]), Manner::Answers).await;
    let daemons = (hub, vaults.on_bus(&session).await, vaults.at_socket(&session));
    let program = session.path(name);
    fs::write(&program, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(session.path(".config/open-sesame")).unwrap();
    let config = format!("askpass = [\"{}\"{arguments}]\n", program.display());
    fs::write(session.path(".config/open-sesame/config.toml"), config).unwrap();
    (session, vaults, daemons)
}

/// `sesame` in a desktop: with a display, without a terminal.
async fn desktop(session: &Session, line: &str) -> Ended {
    let mut sesame = session.sesame(line);
    sesame.env("DISPLAY", ":none");
    end(sesame, b"").await
}

/// What pinentry would do, with `answer` to GETPIN. Writes down what it was told.
fn pinentry(answer: &str) -> String {
    format!(
        "echo OK Pleased to meet you\n\
         while read -r word rest; do\n\
           echo \"$word $rest\" >>\"$HOME/told\"\n\
           case $word in GETPIN) {answer} ;; BYE) exit ;; *) echo OK ;; esac\n\
         done\n"
    )
}

const HINT: &str = "choose another with askpass in config.toml, run it in a terminal, or give --passphrase-file FILE\n";

#[tokio::test]
async fn the_first_line_of_a_command_is_the_passphrase() {
    let script = "printf '%s\\n' \"$@\" >\"$HOME/arguments\"; env >\"$HOME/environment\"; echo correct; echo more\n";
    let (session, vaults, _daemons) = session("ask", ", \"-p\", \"{prompt}\"", script).await;
    session.run("unlock").await.printed("");
    assert!(!vaults.get("personal").unwrap().locked);
    assert_eq!(fs::read_to_string(session.path("arguments")).unwrap(), "-p\nPassphrase of personal: \n");
    assert!(!fs::read_to_string(session.path("environment")).unwrap().contains("correct"));
}

#[tokio::test]
async fn pinentry_is_asked_by_its_protocol() {
    let (session, vaults, _daemons) =
        session("pinentry-test", "", &pinentry("echo 'S STATUS'; echo 'D c%6frrect'; echo OK")).await;
    desktop(&session, "unlock").await.printed("");
    assert!(!vaults.get("personal").unwrap().locked);
    let told = fs::read_to_string(session.path("told")).unwrap();
    assert!(told.contains("SETDESC Passphrase of personal:"), "{told}");
    assert!(!told.contains("correct"));
}

#[tokio::test]
async fn a_new_passphrase_is_asked_for_twice() {
    let script = "case $1 in *again*) echo other ;; *) echo better ;; esac\n";
    let (session, vaults, _daemons) = session("ask", ", \"{prompt}\"", script).await;
    session
        .run("profile add work")
        .await
        .failed(1, "sesame: cannot create work: the two passphrases differ; nothing was changed\n");
    fs::write(session.path("ask"), "#!/bin/sh\necho \"$1\" >>\"$HOME/asked\"; echo better\n").unwrap();
    session.run("profile add work").await.printed("");
    assert_eq!(vaults.get("work").unwrap().passphrase, "better");
    let asked = fs::read_to_string(session.path("asked")).unwrap();
    assert_eq!(asked, "New passphrase of work: \nNew passphrase of work again: \n");
}

#[tokio::test]
async fn a_cancelled_question_is_no_attempt() {
    let cancelled = "sesame: cannot unlock personal: it was cancelled; nothing was tried\n";
    let (command, vaults, _daemons) = session("ask", "", "exit 1\n").await;
    command.run("unlock").await.failed(6, cancelled);
    assert!(vaults.get("personal").unwrap().locked);
    let answer = "echo 'ERR 83886179 Operation cancelled <Pinentry>'";
    let (dialog, vaults, _daemons) = session("pinentry-test", "", &pinentry(answer)).await;
    desktop(&dialog, "toggle").await.failed(6, cancelled);
    assert!(vaults.get("personal").unwrap().locked);
}

#[tokio::test]
async fn what_goes_wrong_is_one_line() {
    for (name, script, why) in [
        ("ask", "exit 0\n", "it printed nothing"),
        ("ask", "kill -9 $$\n", "it was ended: signal: 9 (SIGKILL)"),
        ("pinentry-test", "exit 3\n", "it ended before it answered: exit status: 3"),
        ("pinentry-test", "echo hello\n", "it does not speak pinentry's protocol"),
        ("pinentry-test", "echo OK; kill -9 $$\n", "it ended before it answered: signal: 9 (SIGKILL)"),
        ("pinentry-test", "echo ERR 83886340 No such device\n", "No such device"),
    ] {
        let (session, _vaults, _daemons) = session(name, "", script).await;
        let program = session.path(name);
        let line = format!(
            "sesame: cannot unlock personal: {}, which asks for the passphrase, failed: {why}\n",
            program.display()
        );
        desktop(&session, "unlock").await.failed(6, &(line + HINT));
    }
    let (session, _vaults, _daemons) = session("ask", "", "").await;
    fs::remove_file(session.path("ask")).unwrap();
    let ended = session.run("unlock").await;
    assert!(ended.code == 6 && ended.stderr.contains("it cannot be started: No such file"), "{}", ended.stderr);
}

/// A helper that hangs is ended with the program, and the program by whoever has waited long enough.
#[tokio::test]
async fn a_hanging_helper_ends_with_the_program() {
    let (session, _vaults, _daemons) = session("ask", "", "echo $$ >\"$HOME/asking\"; exec sleep 600\n").await;
    rustix::fs::mkfifoat(rustix::fs::CWD, session.path("asking"), rustix::fs::Mode::RWXU).unwrap();
    let mut sesame = session.command(env!("CARGO_BIN_EXE_sesame"));
    sesame.arg("unlock").stdin(Stdio::null()).stderr(Stdio::piped());
    let asking = session.path("asking");
    let talk = tokio::task::spawn_blocking(move || {
        // Of its own session, so that it has no terminal.
        let mut setsid = std::process::Command::new("setsid");
        setsid.arg("--wait").arg(sesame.get_program()).args(sesame.get_args());
        setsid.env_clear().envs(sesame.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = setsid.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let helper: i32 = fs::read_to_string(asking).unwrap().trim().parse().unwrap();
        let stat = fs::read_to_string(format!("/proc/{helper}/stat")).unwrap();
        let parent: i32 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
        kill_process(Pid::from_raw(parent).unwrap(), Signal::TERM).unwrap();
        let helper = rustix::process::pidfd_open(Pid::from_raw(helper).unwrap(), rustix::process::PidfdFlags::empty());
        let output = child.wait_with_output().unwrap();
        ((code_in_shell(output.status), String::from_utf8(output.stderr).unwrap()), helper)
    });
    let (ended, helper) = talk.await.unwrap();
    assert_eq!(ended, (128 + 15, "sesame: cannot unlock personal: interrupted\n".into()));
    // Gone already, or about to: its end is awaited, with a limit.
    if let Ok(helper) = helper {
        let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
        let mut ended = [rustix::event::PollFd::new(&helper, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut ended, Some(&limit)), Ok(1));
    }
}
