//! The module of waybar: the real bar, looked at pixel by pixel, and clicked.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use session_tests::{
    PASSPHRASE, needs::Need, process::Process, program, scenarios, session::Session, suite::Suite, within_deadline,
};

use crate::{
    example,
    pointer::{Button, Pointer},
    screen::{Colour, LOOK, Screen},
};

pub fn add(suite: &mut Suite) {
    let needs = [Need::Program("sway"), Need::Program("waybar"), Need::Program("grim"), Need::Root];
    scenarios!(suite.on_dbus_daemon(&needs); the_bar_shows_the_vaults_and_a_click_toggles_them);
}

const SIZE: (u32, u32) = (600, 40);
/// At the module's right edge, beside its text.
const PIXEL: (u32, u32) = (SIZE.0 - 4, 5);

/// The backgrounds in style.css.
const LOCKED: Colour = [0x3b, 0x42, 0x52];
const OPEN: Colour = [0x2e, 0x6b, 0x3f];
const DEGRADED: Colour = [0x8a, 0x6d, 0x00];
const DOWN: Colour = [0x9b, 0x22, 0x26];

/// The bar, and what it runs.
struct Bar {
    screen: Screen,
    _process: Process,
    runs: PathBuf,
}

impl Bar {
    async fn start(session: &Session) -> Self {
        let screen = Screen::start(session, SIZE).await;
        let (bin, runs) = (session.home.path().join("bin"), session.home.path().join("runs"));
        fs::create_dir(&bin).unwrap();
        let script =
            format!("#!/bin/sh\necho \"$*\" >>{}\nexec {} \"$@\"\n", runs.display(), program("sesame").display());
        executable(session, "bin/sesame", &script);
        let (config, style) = (example("waybar/config.jsonc"), example("waybar/style.css"));
        let words = ["waybar", "-c", config.to_str().unwrap(), "-s", style.to_str().unwrap()];
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let process = screen.recipe(session, &words).with("PATH", &path).start();
        Self { screen, _process: process, runs }
    }

    async fn until(&self, what: &str, colour: Colour) {
        self.screen.until(&format!("the vaults {what}"), PIXEL, colour).await;
    }

    fn has_run(&self, line: &str) -> bool {
        fs::read_to_string(&self.runs).unwrap_or_default().lines().any(|run| run == line)
    }
}

fn executable(session: &Session, name: &str, script: &str) -> PathBuf {
    let path = session.home.write(name, script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

async fn the_bar_shows_the_vaults_and_a_click_toggles_them(session: Session) {
    let ask = executable(&session, "ask", &format!("#!/bin/sh\necho '{PASSPHRASE}'\n"));
    session
        .home
        .write("config/open-sesame/config.toml", format!("work_factor = 15\naskpass = [\"{}\"]\n", ask.display()));
    let bar = Bar::start(&session).await;
    bar.until("down", DOWN).await;
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    bar.until("locked", LOCKED).await;

    // The bar takes clicks some time after there is a pointer: this one changes nothing, as often as it comes.
    let mut pointer = Pointer::over(&bar.screen.socket, SIZE, (SIZE.0 - 3, 17));
    let clicks = async {
        while !bar.has_run("lock --all") {
            pointer.click(Button::Right);
            tokio::time::sleep(LOOK).await;
        }
    };
    within_deadline("a click to be taken", clicks).await;
    pointer.click(Button::Left);
    bar.until("unlocked", OPEN).await;
    assert!(!session.client().await.report().await.lock_state["personal"], "the default profile");
    bar.screen.save("waybar.png", &format!("{},0 240x20", SIZE.0 - 240)).await;

    daemons.secrets.kill9().await;
    bar.until("degraded", DEGRADED).await;
    daemons.secrets = session.secrets().await;
    bar.until("locked again", LOCKED).await;
    daemons.profile.kill9().await;
    bar.until("down again", DOWN).await;
    daemons.profile = session.profile().await;
    bar.until("back", LOCKED).await;
}
