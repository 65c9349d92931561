//! What `sesame` and busctl print, to the letter, and what a session with them does.

use serde_json::{Value, json};
use session_tests::{needs::Need, scenarios, session::Session, suite::Suite};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        status_is_the_contracts_sample,
        status_tells_what_is_wrong,
        status_without_a_report_shows_the_global_flag,
        status_as_json_has_the_contracts_keys,
        a_day_with_profiles,
        a_day_with_secrets,
        run_hands_secrets_to_its_command,
        is_answers_by_its_exit_code,
    );
    scenarios!(suite.on_each_bus(&[Need::Program("busctl")]);
        busctl_prints_the_contracts_status,
    );
}

const SAMPLE: &str = "\
Vaults:
  personal  unlocked
  work      locked
Default profile: personal
Active profiles:
  - personal (default)
";

async fn sample(session: &Session) -> session_tests::session::Daemons {
    let daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    daemons
}

async fn status_is_the_contracts_sample(session: Session) {
    let _daemons = sample(&session).await;
    assert_eq!(session.sesame(&["status"]).await.stdout_of_success(), SAMPLE);
    let one = session.sesame(&["status", "-p", "work"]).await.stdout_of_success();
    assert_eq!(one, SAMPLE.replace("  personal  unlocked\n  work      locked\n", "  work  locked\n"));
    let coloured = session.sesame(&["status", "--color", "always"]).await.stdout_of_success();
    assert!(coloured.contains("\u{1b}[") && coloured.contains("unlocked"), "{coloured:?}");
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    let locked = session.sesame(&["status"]).await.stdout_of_success();
    assert!(locked.ends_with("Active profiles: none\n"), "{locked}");
}

async fn status_tells_what_is_wrong(session: Session) {
    let mut daemons = sample(&session).await;
    session.sesame(&["profile", "deactivate", "personal"]).await.stdout_of_success();
    let text = session.sesame(&["status"]).await.stdout_of_success();
    assert!(text.contains("  personal  unlocked (not active)\n"), "{text}");
    let client = session.client().await;
    daemons.secrets.kill9().await;
    client.wait_until_gone(dbus_interfaces::secrets::NAME).await;
    let text = session.sesame(&["status"]).await.stdout_of_success();
    assert!(text.starts_with("Vaults:\n  personal  locked (assumed)\n  work      locked (assumed)\n"), "{text}");
    let (_, problems) = text.split_once("Active profiles: none\n").unwrap();
    assert!(problems.contains("daemon-secrets"), "{text}");
    daemons.secrets = session.secrets().await;
    session.wait_until_healthy().await;
    let text = session.sesame(&["status"]).await.stdout_of_success();
    assert!(text.contains("  personal  locked (daemon-secrets restarted"), "{text}");
}

async fn status_without_a_report_shows_the_global_flag(session: Session) {
    let _profile = session.profile().await;
    let text = session.sesame(&["status"]).await.stdout_of_success();
    assert!(text.starts_with("Secrets daemon: locked\nDefault profile: personal\nActive profiles: none\n"), "{text}");
    let _secrets = session.secrets().await;
    session.wait_until_healthy().await;
    let text = session.sesame(&["status"]).await.stdout_of_success();
    assert!(text.starts_with("No vaults. Create one: sesame init\n"), "{text}");
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

async fn status_as_json_has_the_contracts_keys(session: Session) {
    let daemons = sample(&session).await;
    let text = session.sesame(&["status", "--format", "json"]).await.stdout_of_success();
    let status: Value = serde_json::from_str(&text).unwrap();
    let expected = [
        "active_profiles",
        "daemons",
        "default_profile",
        "generation",
        "health",
        "lock_state",
        "locked",
        "problems",
        "reconciled_usec",
        "vaults",
    ];
    assert_eq!(keys(&status), expected);
    assert_eq!(status["lock_state"], json!({"personal": false, "work": true}));
    assert_eq!(status["active_profiles"], json!(["personal"]));
    assert_eq!(status["default_profile"], "personal");
    assert_eq!((&status["locked"], &status["health"]), (&json!(false), &json!("ok")));
    assert_eq!(status["problems"], json!([]));
    assert_eq!(keys(&status["vaults"]["personal"]), ["active", "default", "known", "locked", "reason", "since_usec"]);
    assert_eq!(status["vaults"]["personal"]["known"], "reported");
    assert_eq!(status["daemons"]["daemon-secrets"]["pid"], json!(daemons.secrets.pid().as_raw_pid()));
    assert_eq!(keys(&status["daemons"]), ["daemon-profile", "daemon-secrets"]);
    drop(daemons);
    session.client().await.wait_until_gone(dbus_interfaces::profile::NAME).await;
    let ended = session.sesame(&["status", "--format", "json"]).await;
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&status["health"], &status["error"]["code"]), (&json!("unknown"), &json!(3)), "{status}");
    assert!(status["error"]["what"].is_string() && status["error"]["why"].is_string(), "{status}");
    ended.stderr_of(3);
}

async fn a_day_with_profiles(session: Session) {
    let _daemons = session.daemons().await;
    session.sesame_with_passphrase(&["init"]).await.stdout_of_success();
    session.sesame_with_passphrase(&["profile", "add", "work"]).await.stdout_of_success();
    assert_eq!(session.sesame(&["profile", "list"]).await.stdout_of_success(), "personal\nwork\n");
    assert_eq!(session.sesame(&["status"]).await.stdout_of_success(), SAMPLE);
    session.sesame(&["profile", "default", "work"]).await.stdout_of_success();
    let file = session.home.path().join("state/open-sesame/default-profile");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "work\n");
    // The default profile is meant from now on.
    session.sesame_with_passphrase(&["unlock"]).await.stdout_of_success();
    session.sesame(&["is", "unlocked", "-p", "work"]).await.stdout_of_success();
    session.sesame(&["lock"]).await.stdout_of_success();
    session.sesame_with_passphrase(&["toggle"]).await.stdout_of_success();
    session.sesame(&["is", "unlocked", "-p", "work", "-p", "personal"]).await.stdout_of_success();
    session.sesame(&["toggle"]).await.stdout_of_success();
    assert_eq!(session.sesame(&["is", "unlocked"]).await.code, 8);
    session.sesame_with_passphrase(&["profile", "remove", "work"]).await.stderr_of(1);
    session.sesame_with_passphrase(&["profile", "remove", "personal"]).await.stdout_of_success();
    assert_eq!(session.sesame(&["profile", "list"]).await.stdout_of_success(), "work\n");
    assert!(!session.home.vaults().join("personal").exists());
    // A new passphrase: the old one opens nothing any more.
    let new = session.home.write("new-passphrase", "another one\n");
    let new = new.to_str().unwrap();
    let change = ["passphrase", "--new-passphrase-file", new];
    session.sesame_with_passphrase(&change).await.stdout_of_success();
    session.sesame_with_passphrase(&["unlock"]).await.stderr_of(6);
    session.sesame(&["unlock", "--passphrase-file", new]).await.stdout_of_success();
}

async fn a_day_with_secrets(session: Session) {
    let _daemons = sample(&session).await;
    session.sesame_fed(&["secret", "set", "db-url"], b"postgres://x\n").await.stdout_of_success();
    session.sesame_fed(&["secret", "set", "api.key", "--strip-newline"], b"k3y\n").await.stdout_of_success();
    assert_eq!(session.sesame(&["secret", "list"]).await.stdout_of_success(), "api.key\ndb-url\n");
    assert_eq!(session.sesame(&["secret", "get", "db-url"]).await.stdout_of_success(), "postgres://x\n");
    assert_eq!(session.sesame(&["secret", "get", "api.key"]).await.stdout_of_success(), "k3y");
    session.sesame_fed(&["secret", "set", "api.key"], b"").await.stdout_of_success();
    assert_eq!(session.sesame(&["secret", "get", "api.key"]).await.stdout_of_success(), "");
    session.sesame(&["secret", "rm", "api.key"]).await.stdout_of_success();
    session.sesame(&["secret", "get", "api.key"]).await.stderr_of(7);
    // What was stored is there after a lock and another unlock, and the largest secret fits.
    let largest: Vec<u8> = (0..1024 * 1024_u32).map(|at| b'a' + (at % 26) as u8).collect();
    session.sesame_fed(&["secret", "set", "largest"], &largest).await.stdout_of_success();
    session.sesame(&["lock"]).await.stdout_of_success();
    session.sesame(&["secret", "get", "db-url"]).await.stderr_of(6);
    session.unlock(&["personal"]).await;
    assert_eq!(session.sesame(&["secret", "get", "db-url"]).await.stdout_of_success(), "postgres://x\n");
    assert_eq!(session.sesame(&["secret", "get", "largest"]).await.stdout_of_success().into_bytes(), largest);
    // Needs neither bus nor hub.
    let words = [session_tests::program("sesame").into_os_string(), "secret".into(), "list".into()];
    let alone = session_tests::sesame::run(&session.home, None, &words, b"").await;
    assert_eq!(alone.stdout_of_success(), "db-url\nlargest\n");
}

async fn run_hands_secrets_to_its_command(session: Session) {
    let _daemons = sample(&session).await;
    session.sesame_fed(&["secret", "set", "db-url"], b"postgres://x").await.stdout_of_success();
    let shown = session.sesame(&["run", "--", "sh", "-c", "printf %s \"$DB_URL\""]).await.stdout_of_success();
    assert_eq!(shown, "postgres://x");
    let words = ["run", "--env", "OTHER=db-url", "--", "sh", "-c", "printf %s-%s \"$OTHER\" \"$DB_URL\""];
    assert_eq!(session.sesame(&words).await.stdout_of_success(), "postgres://x-");
    let words = ["run", "--file", "URL=db-url", "--", "sh", "-c", "cat \"$URL\""];
    assert_eq!(session.sesame(&words).await.stdout_of_success(), "postgres://x");
    assert_eq!(session.sesame(&["run", "--", "sh", "-c", "exit 42"]).await.code, 42);
    session.sesame(&["run", "--", "/nonexistent"]).await.stderr_of(127);
    session.sesame(&["run", "--", "/"]).await.stderr_of(126);
    session.sesame(&["run", "-p", "work", "--", "true"]).await.stderr_of(125);
    session.sesame_fed(&["secret", "set", "path"], b"/evil").await.stdout_of_success();
    session.sesame(&["run", "--", "true"]).await.stderr_of(2);
}

async fn is_answers_by_its_exit_code(session: Session) {
    let _daemons = sample(&session).await;
    for (words, code) in [
        (&["is", "running"][..], 0),
        (&["is", "healthy"], 0),
        (&["is", "unlocked"], 0),
        (&["is", "active"], 0),
        (&["is", "locked"], 8),
        (&["is", "locked", "-p", "work"], 0),
        (&["is", "unlocked", "-p", "personal", "-p", "work"], 8),
        (&["is", "active", "-p", "work"], 8),
        (&["is", "unlocked", "-p", "nobody"], 7),
        (&["is", "running", "-p", "personal"], 2),
    ] {
        let ended = session.sesame(words).await;
        assert_eq!(ended.code, code, "{words:?}: {ended:?}");
        assert!(ended.stdout.is_empty() && (matches!(code, 2 | 7) || ended.stderr.is_empty()), "{words:?}: {ended:?}");
    }
}

async fn busctl_prints_the_contracts_status(session: Session) {
    let _daemons = sample(&session).await;
    let name = "org.opensesame.Profile";
    let path = "/org/opensesame/Profile";
    let ended = session.run(&["busctl", "--user", "call", name, path, name, "Status"]).await;
    let expected = "a{sb}sasb 2 \"personal\" false \"work\" true \"personal\" 1 \"personal\" false\n";
    assert_eq!(ended.stdout_of_success(), expected);
}
