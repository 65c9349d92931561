//! A real pinentry on a real X11 screen, and the keys that a person would press. Real: Xvfb, xdotool, pinentry-gtk-2.

use std::{fs, path::PathBuf, process::Stdio};

use session_tests::{
    DEADLINE, PASSPHRASE,
    needs::Need,
    scenarios,
    session::{Daemons, Session},
    suite::Suite,
    within_deadline,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use zbus::fdo;

use crate::path_with_sesame;

const NEEDS: [Need; 5] = [
    Need::Program("Xvfb"),
    Need::Program("xdotool"),
    Need::Program("pinentry-gtk-2"),
    Need::Program("import"),
    Need::Program("secret-tool"),
];

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&NEEDS);
        a_dialogue_unlocks_the_vault_that_an_application_asks_for,
        a_click_without_a_terminal_asks_on_the_screen,
    );
}

const CONFIG: &str = "work_factor = 15\nsecret_service = true\naskpass = [\"pinentry-gtk-2\"]\n";
const LOOKUP: [&str; 4] = ["secret-tool", "lookup", "server", "example.org"];

/// An X11 screen, with one person at its keyboard.
struct Desk {
    _screen: Child,
    display: String,
}

impl Desk {
    async fn start() -> Self {
        let words = ["-displayfd", "1", "-screen", "0", "760x420x24", "-nolisten", "tcp"];
        let mut screen = Command::new("Xvfb")
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut number = String::new();
        let mut told = BufReader::new(screen.stdout.take().unwrap());
        within_deadline("an X11 screen", told.read_line(&mut number)).await.unwrap();
        Self { _screen: screen, display: format!(":{}", number.trim()) }
    }

    async fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env("DISPLAY", &self.display).kill_on_drop(true);
        let output = within_deadline(&format!("{words:?}"), command.output()).await.unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits for the dialogue, and presses keys until it has gone.
    async fn answer(&self, keys: &[&str], picture: Option<&str>) {
        let window = self.run(&["xdotool", "search", "--sync", "--onlyvisible", "--class", "pinentry"]).await;
        let window = window.lines().next().unwrap();
        if let Some(name) = picture {
            // Shown is not yet drawn: the picture is taken when it is the same twice, and not empty.
            let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
            let shot = async || {
                self.run(&["import", "-silent", "-window", window, file.to_str().unwrap()]).await;
                fs::read(&file).unwrap()
            };
            let mut last = shot().await;
            let end = std::time::Instant::now() + DEADLINE;
            loop {
                let next = shot().await;
                if next == last && next.len() > 2000 {
                    break;
                }
                assert!(std::time::Instant::now() < end, "the dialogue is never drawn");
                last = next;
            }
        }
        self.run(&["xdotool", "windowfocus", "--sync", window]).await;
        for key in keys {
            let act = if key.len() > 1 && key.chars().all(|key| key.is_ascii_alphabetic()) { "key" } else { "type" };
            self.run(&["xdotool", act, key]).await;
        }
    }
}

async fn locked_vault(session: &Session) -> Daemons {
    session.install_activation_files();
    session.home.write("config/open-sesame/config.toml", CONFIG);
    let daemons = session.daemons().await;
    session.client().await.wait_for_owner("org.freedesktop.secrets").await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let store = ["secret-tool", "store", "--label=Mail", "server", "example.org"];
    session.run_fed(&store, b"pass-1").await.stdout_of_success();
    session.client().await.secrets().await.lock("personal").await.unwrap();
    daemons
}

async fn a_dialogue_unlocks_the_vault_that_an_application_asks_for(session: Session) {
    let desk = Desk::start().await;
    let client = session.client().await;
    let bus = fdo::DBusProxy::new(&client.connection).await.unwrap();
    bus.update_activation_environment([("DISPLAY", desk.display.as_str())].into()).await.unwrap();
    let _daemons = locked_vault(&session).await;

    let (dismissed, ()) = tokio::join!(session.run(&LOOKUP), desk.answer(&["Escape"], None));
    assert_ne!(dismissed.code, 0, "{dismissed:?}");
    let at_the_desk = async {
        desk.answer(&["wrong one", "Return"], None).await;
        desk.answer(&[PASSPHRASE, "Return"], Some("prompt.png")).await;
    };
    let (found, ()) = tokio::join!(session.run(&LOOKUP), at_the_desk);
    assert_eq!(found.stdout_of_success(), "pass-1");
    session.end().await;
}

/// What a button of a bar runs: `sesame toggle`, with no terminal.
async fn a_click_without_a_terminal_asks_on_the_screen(session: Session) {
    let desk = Desk::start().await;
    let _daemons = locked_vault(&session).await;
    let (display, path) = (format!("DISPLAY={}", desk.display), format!("PATH={}", path_with_sesame()));
    let click = ["setsid", "env", &display, &path, "sesame", "toggle"];
    let (cancelled, ()) = tokio::join!(session.run(&click), desk.answer(&["Escape"], None));
    assert_ne!(cancelled.code, 0, "{cancelled:?}");
    let (clicked, ()) = tokio::join!(session.run(&click), desk.answer(&[PASSPHRASE, "Return"], None));
    assert_eq!(clicked.code, 0, "{clicked:?}");
    assert!(!session.client().await.secrets().await.state().await.unwrap().0["personal"].locked);
    session.end().await;
}
