//! The desktop is told once of a daemon that is lost, restarted or given up, where the user wants it.

use dbus_interfaces::profile::Report;
use rustix::process::Signal;
use session_tests::{
    needs::Need,
    scenarios,
    session::{Daemons, Session},
    suite::Suite,
};
use tokio::sync::watch;
use zbus::{Connection, connection::Builder, interface};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        a_loss_and_a_restart_are_one_notification,
        nobody_is_told_who_does_not_want_it,
        no_notification_service_is_no_error,
        a_changed_mind_is_heard_at_sighup,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("dbus-daemon")]);
        a_silent_notification_service_delays_nothing,
    );
}

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// What was shown: the id that it replaces, and its summary.
type Shown = Vec<(u32, String)>;

/// A desktop's notification service, which writes down what it shows.
struct Desktop {
    shown: watch::Sender<Shown>,
    answers: bool,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Desktop {
    #[zbus(name = "Notify")]
    #[allow(clippy::too_many_arguments)]
    async fn notify(
        &self,
        _application: &str,
        replaces: u32,
        _icon: &str,
        summary: &str,
        _body: &str,
        _actions: Vec<String>,
        _hints: std::collections::HashMap<String, zbus::OwnedVariant>,
        _expires: i32,
    ) -> u32 {
        self.shown.send_modify(|shown| shown.push((replaces, summary.to_owned())));
        if !self.answers {
            std::future::pending::<()>().await;
        }
        if replaces == 0 { 42 } else { replaces }
    }
}

async fn desktop(session: &Session, answers: bool) -> (Connection, watch::Receiver<Shown>) {
    let (shown, seen) = watch::channel(Shown::new());
    let builder = Builder::address(session.bus.address()).serve_at(PATH, Desktop { shown, answers }).name(NAME);
    (builder.build().await.unwrap(), seen)
}

async fn until(seen: &mut watch::Receiver<Shown>, count: usize) -> Shown {
    let wait = seen.wait_for(|shown| shown.len() >= count);
    session_tests::within_deadline("a notification", wait).await.unwrap().clone()
}

fn lost(report: &Report) -> bool {
    report.daemons["daemon-secrets"].state == "lost"
}

/// Both daemons, where the user wants to be told; daemon-secrets is killed, and another one started.
async fn kill_and_restart(session: &Session) -> Daemons {
    let mut daemons = session.daemons().await;
    let mut recorder = session.recorder().await;
    daemons.secrets.kill9().await;
    recorder.until_report("daemon-secrets to be lost", lost).await;
    // Told without a reason after 100 ms.
    recorder.until("DaemonLost", |heard| heard.iter().any(|message| is(message, "DaemonLost"))).await;
    daemons.secrets = session.secrets().await;
    recorder.until_report("health to be ok", |report| report.health == "ok").await;
    daemons
}

fn is(message: &zbus::Message, member: &str) -> bool {
    message.header().member().is_some_and(|name| name == member)
}

async fn a_loss_and_a_restart_are_one_notification(session: Session) {
    session.home.write("config/open-sesame/config.toml", "work_factor = 15\nnotify = true\n");
    let (_desktop, mut seen) = desktop(&session, true).await;
    let _daemons = kill_and_restart(&session).await;
    let shown = until(&mut seen, 2).await;
    assert_eq!(
        shown,
        [(0, "daemon-secrets ended unasked (unknown)".to_owned()), (42, "daemon-secrets was restarted".to_owned())]
    );
}

async fn nobody_is_told_who_does_not_want_it(session: Session) {
    let (_desktop, seen) = desktop(&session, true).await;
    let _daemons = kill_and_restart(&session).await;
    assert_eq!(*seen.borrow(), []);
}

async fn no_notification_service_is_no_error(session: Session) {
    session.home.write("config/open-sesame/config.toml", "work_factor = 15\nnotify = true\n");
    let _daemons = kill_and_restart(&session).await;
    assert_eq!(session.client().await.report().await.health, "ok");
}

async fn a_changed_mind_is_heard_at_sighup(session: Session) {
    let (_desktop, mut seen) = desktop(&session, true).await;
    let mut daemons = session.daemons().await;
    let mut recorder = session.recorder().await;
    // A fault first: that it goes tells that the file was read again.
    for (factor, health) in [(99, "degraded"), (15, "ok")] {
        let text = format!("work_factor = {factor}\nnotify = true\n");
        session.home.write("config/open-sesame/config.toml", text);
        daemons.profile.signal(Signal::HUP);
        recorder.until_report("the configuration to be read", |report| report.health == health).await;
    }
    daemons.secrets.kill9().await;
    assert_eq!(until(&mut seen, 1).await.len(), 1);
}

async fn a_silent_notification_service_delays_nothing(session: Session) {
    session.home.write("config/open-sesame/config.toml", "work_factor = 15\nnotify = true\n");
    let (_desktop, mut seen) = desktop(&session, false).await;
    // Comes to its end: the hub has told both, and is healthy again, while nobody has answered it.
    let _daemons = kill_and_restart(&session).await;
    assert_eq!(until(&mut seen, 1).await[0].0, 0);
}
