//! `sesame run`.

use std::process::{Command, Stdio};

use crate::support::{Ended, Session, session::end, vaults::Vaults};

const SECRETS: &[(&str, &[u8])] = &[("api-key", b"k3y"), ("db.url", b"postgres://x"), ("raw", b"\xff\xfe")];

fn line(session: &Session, options: &str, script: &str) -> Command {
    let mut command = session.sesame(&format!("run{options} --"));
    command.args(["sh", "-c", script]);
    command
}

async fn run(session: &Session, options: &str, script: &str) -> Ended {
    end(line(session, options, script), b"").await
}

#[tokio::test]
async fn becomes_the_command_with_every_secret() {
    let session = Session::without_bus();
    let _socket = Vaults::default().with("personal", false, SECRETS).at_socket(&session);
    let script = "printf '%s %s ' \"$API_KEY\" \"$DB_URL\"; printf %s \"$RAW\" | od -An -tx1; exit 7";
    let ended = run(&session, "", script).await;
    assert_eq!(ended, Ended { code: 7, stdout: "k3y postgres://x  ff fe\n".into(), stderr: String::new() });
    // The process is replaced, not wrapped.
    let mut command = session.command(env!("CARGO_BIN_EXE_sesame"));
    let child = command.args(["run", "--", "sh", "-c", "echo $$"]).stdout(Stdio::piped()).spawn().unwrap();
    let pid = format!("{}\n", child.id());
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), pid);
}

#[tokio::test]
async fn with_env_only_the_named_secrets() {
    let session = Session::without_bus();
    let _socket = Vaults::default().with("personal", false, SECRETS).at_socket(&session);
    let script = "echo \"${API_KEY-none} ${DB_URL-none} $KEY $HOME\"";
    run(&session, " --env KEY=api-key --env HOME=db.url", script).await.printed("none none k3y postgres://x\n");
}

#[tokio::test]
async fn a_file_is_sealed_and_read_from_its_beginning() {
    let session = Session::without_bus();
    let _socket = Vaults::default().with("personal", false, SECRETS).at_socket(&session);
    // bash: other shells know no descriptor above 9.
    let script = "cat \"$KEY\"; echo; cat <&${KEY#/dev/fd/}; echo \" ${API_KEY-none} $DB_URL\"; echo x 2>&- >\"$KEY\"";
    let mut command = session.sesame("run --file KEY=api-key --");
    command.args(["bash", "-c", script]);
    let ended = end(command, b"").await;
    assert_eq!(ended.stdout, "k3y\nk3y none postgres://x\n");
    assert_ne!(ended.code, 0, "a sealed file cannot be written");
}

#[tokio::test]
async fn its_own_failures_are_told_apart_from_the_commands() {
    let session = Session::without_bus();
    let hint = "start it: sesame unlock (the very first time: sesame init)";
    run(&session, "", "true")
        .await
        .failed(3, &format!("sesame: cannot run sh: daemon-secrets is not running\n{hint}\n"));

    let secrets: &[(&str, &[u8])] = &[("zero", b"a\0b")];
    let vaults = Vaults::default().with("personal", false, secrets).with("work", true, &[]).with("none", false, &[]);
    let _socket = vaults.at_socket(&session);
    let ended = run(&session, " -p work", "true").await;
    ended.failed(125, "sesame: cannot run sh: The vault is locked; unlock it: sesame unlock.\n");
    assert_eq!(run(&session, " -p gone", "true").await.code, 125);
    assert_eq!(run(&session, " --env A=gone", "true").await.code, 125);
    assert_eq!(run(&session, "", "true").await.code, 125, "a zero byte fits no variable");
    assert_eq!(run(&session, " --file A=zero", "wc -c <$A").await.stdout.trim(), "3");

    session
        .run("run -p none -- no-such-program")
        .await
        .failed(127, "sesame: cannot run no-such-program: there is no such program\n");
    assert_eq!(session.run("run -p none -- /dev/null").await.code, 126);
}

#[tokio::test]
async fn names_that_would_surprise_are_refused() {
    let session = Session::without_bus();
    let vaults = Vaults::default().with("a", false, &[("ld-preload", b"x")]).with("b", false, &[("home", b"x")]).with(
        "c",
        false,
        &[("a-b", b"x"), ("a.b", b"x")],
    );
    let _socket = vaults.at_socket(&session);
    for profile in ["a", "b", "c"] {
        assert_eq!(run(&session, &format!(" -p {profile}"), "true").await.code, 2, "{profile}");
    }
    run(&session, " -p b", "true")
        .await
        .failed(2, "sesame: cannot run sh: HOME is set already; map the secret home by hand: --env VAR=home\n");
    run(&session, " -p a --env LD_PRELOAD_=ld-preload", "echo $LD_PRELOAD_").await.printed("x\n");
    assert_eq!(run(&session, " -p c --env A=a-b --file A=a.b", "true").await.code, 2);
    assert_eq!(session.run("run").await.code, 2);
}
