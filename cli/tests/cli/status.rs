//! `sesame status`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Session,
    hub::{Manner, report, serve, serve_new, serve_old},
};

const SAMPLE: &str = "\
Vaults:
  personal  unlocked
  work      locked
Default profile: personal
Active profiles:
  - personal (default)
";

fn sample() -> dbus_interfaces::profile::Report {
    report(&[("personal", false, true), ("work", true, false)])
}

#[tokio::test]
async fn prints_the_contracts_sample_and_filters_rows() {
    let session = Session::start();
    let _hub = serve(&session, sample(), Manner::Answers).await;
    session.run("status").await.printed(SAMPLE);
    session.run("status --timeout 5 --color never").await.printed(SAMPLE);
    session.run("status -p work").await.printed(&SAMPLE.replace("  personal  unlocked\n  work      ", "  work  "));
    session.run("status -p gone").await.failed(
        7,
        "sesame: cannot read the status: there is no profile gone\n\
         there are: personal, work (create it: sesame profile add gone)\n",
    );
}

#[tokio::test]
async fn colours_only_where_asked_to() {
    let session = Session::start();
    let _hub = serve(&session, sample(), Manner::Answers).await;
    let coloured = session.run("status --color always").await.stdout;
    assert!(coloured.contains("  personal  \u{1b}[32munlocked\u{1b}[0m\n"), "{coloured:?}");
    let mut forced = session.sesame("status");
    forced.env("CLICOLOR_FORCE", "1");
    assert_eq!(crate::support::session::end(forced, b"").await.stdout, coloured);
    let mut never = session.sesame("status");
    never.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    crate::support::session::end(never, b"").await.printed(SAMPLE);
}

#[tokio::test]
async fn an_old_hub_is_asked_for_its_status() {
    let session = Session::start();
    let _hub = serve_old(&session, sample()).await;
    session.run("status").await.printed(&format!("{SAMPLE}Health: unknown\n"));
}

#[tokio::test]
async fn keys_of_a_newer_hub_are_ignored() {
    let session = Session::start();
    let _hub = serve_new(&session, sample()).await;
    session.run("status").await.printed(SAMPLE);
}

#[tokio::test]
async fn json_is_one_object() {
    let session = Session::start();
    let _hub = serve(&session, sample(), Manner::Answers).await;
    let shown = session.run("status --format json").await;
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["lock_state"], json!({"personal": false, "work": true}));
    assert_eq!(shown["vaults"]["work"]["since_usec"], json!(1));
    assert_eq!(shown["daemons"]["daemon-secrets"]["state"], json!("running"));
}

#[tokio::test]
async fn without_a_hub_it_ends_with_3_at_once() {
    let session = Session::start();
    let began = Instant::now();
    session.run("status").await.failed(
        3,
        "sesame: cannot read the status: daemon-profile is not running\n\
         start it: sesame unlock (the very first time: sesame init)\n",
    );
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_hub_that_dies_while_answering_is_not_running() {
    let session = Session::start();
    let _hub = serve(&session, sample(), Manner::Dies).await;
    session.run("status").await.failed(
        3,
        "sesame: cannot read the status: daemon-profile ended before it answered\n\
         start it: sesame unlock (the very first time: sesame init)\n",
    );
}

#[tokio::test]
async fn a_silent_hub_is_5_after_the_timeout() {
    let session = Session::start();
    let _hub = serve(&session, sample(), Manner::Silent).await;
    let ended = session.run("status --timeout 0.2").await;
    ended.failed(5, "sesame: cannot read the status: daemon-profile did not answer within 0.2 s\n");
    assert_eq!(session.run("status").await.code, 5);
}

#[tokio::test]
async fn a_silent_bus_is_5_and_a_missing_one_4() {
    let session = Session::start();
    session.freeze_bus();
    let ended = session.run("status --timeout 0.2").await;
    ended.failed(5, "sesame: cannot read the status: the session bus did not answer within 0.2 s\n");

    let session = Session::without_bus();
    let ended = session.run("status").await;
    let address = format!("unix:path={}/bus", session.path("run").display());
    let why = format!("there is no session bus at {address} (No such file or directory (os error 2))");
    let hint = match std::path::Path::new("/run/systemd/system").exists() {
        true => "log in through a session, or keep the user's manager running: loginctl enable-linger",
        false => "start a session bus: dbus-run-session -- sh",
    };
    ended.failed(4, &format!("sesame: cannot read the status: {why}\n{hint}\n"));
}

#[tokio::test]
async fn the_first_bus_of_a_list_that_answers_is_taken() {
    let session = Session::start();
    let _hub = serve(&session, sample(), Manner::Answers).await;
    let mut command = session.sesame("status");
    let address = format!("unix:path=/nonexistent;unix:path={}", session.path("bus").display());
    command.env("DBUS_SESSION_BUS_ADDRESS", address);
    crate::support::session::end(command, b"").await.printed(SAMPLE);
}

#[tokio::test]
async fn a_failure_is_a_json_object_too() {
    let session = Session::start();
    let ended = session.run("status --format json").await;
    assert_eq!(ended.code, 3);
    assert_eq!(
        serde_json::from_str::<Value>(&ended.stdout).unwrap(),
        json!({"health": "unknown", "error":
            {"code": 3, "what": "cannot read the status", "why": "daemon-profile is not running"}})
    );
    assert!(ended.stderr.starts_with("sesame: cannot read the status: daemon-profile is not running\n"));
}

#[tokio::test]
async fn every_format_for_programs_is_whole_where_nothing_can_be_told() {
    let session = Session::start();
    let silent = Session::start();
    let _hub = serve(&silent, sample(), Manner::Silent).await;
    let without_bus = Session::without_bus();
    for (session, code) in [(&session, 3), (&without_bus, 4), (&silent, 5)] {
        let ended = session.run("status --format json --timeout 0.2").await;
        let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((ended.code, &shown["error"]["code"]), (code, &json!(code)), "{ended:?}");
        let ended = session.run("status --format waybar --timeout 0.2").await;
        let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((ended.code, &shown["class"]), (code, &json!(["down", "unknown"])), "{ended:?}");
        let ended = session.run("status --format prometheus --timeout 0.2").await;
        assert_eq!(ended.code, code);
        let samples: Vec<_> = ended.stdout.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(samples[0].starts_with("sesame_up{user=") && samples[0].ends_with(" 0"), "{samples:?}");
        assert!(samples[1].starts_with("sesame_build_info{") && samples.len() == 2, "{samples:?}");
    }
}

#[tokio::test]
async fn output_replaces_a_file_also_where_nothing_can_be_told() {
    let session = Session::start();
    let file = session.path("status.prom");
    let line = format!("status --format prometheus --output {}", file.display());
    {
        let _hub = serve(&session, sample(), Manner::Answers).await;
        session.run(&line).await.printed("");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("\nsesame_vault_locked{user=") && text.contains("profile=\"work\"} 1\n"), "{text}");
        // A profile that is not there says nothing of the state.
        assert_eq!(session.run(&format!("{line} -p gone")).await.code, 7);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
    assert_eq!(session.run(&line).await.code, 3);
    assert!(std::fs::read_to_string(&file).unwrap().contains("sesame_up{user="));
    let into_folder = format!("status --output {}", session.path("").display());
    assert_eq!(session.run(&into_folder).await.code, 1);
}
