//! `sesame status` in a real terminal: what the README shows.

use session_tests::{needs::Need, scenarios, session::Session, suite::Suite};

use crate::screen::Screen;

pub fn add(suite: &mut Suite) {
    let needs = [Need::Program("sway"), Need::Program("foot"), Need::Program("grim"), Need::Root];
    scenarios!(suite.on_dbus_daemon(&needs); a_terminal_shows_the_status);
}

async fn a_terminal_shows_the_status(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    let screen = Screen::start(&session, (800, 360)).await;
    let mut blank = screen.pixels().await;
    let options =
        ["font=DejaVu Sans Mono:size=11", "pad=12x10", "colors.background=1d2021", "cursor.color=1d2021 1d2021"];
    let mut foot = vec!["foot", "--config=/dev/null"];
    options.iter().for_each(|option| foot.extend(["-o", option]));
    // The second status waits until daemon-secrets is dead: then the first is drawn.
    let script = "printf '$ sesame status\\n'; sesame status; read -r _ <go; printf '\\n$ sesame status\\n'; sesame status; sleep 60";
    foot.extend(["sh", "-c", script]);
    let go = session.home.path().join("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RWXU).unwrap();
    let _terminal = screen.recipe(&session, &foot).start();
    screen.until_drawn(&blank).await;
    blank = screen.pixels().await;
    daemons.secrets.kill9().await;
    let mut recorder = session.recorder().await;
    recorder.until_report("daemon-secrets to be lost", |report| report.daemons["daemon-secrets"].state == "lost").await;
    std::fs::write(&go, "\n").unwrap();
    screen.until_drawn(&blank).await;
    screen.save("status.png", "0,0 800x350").await;
}
