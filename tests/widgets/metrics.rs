//! The metrics, by Prometheus' own tools and by node_exporter.

use std::net::TcpListener;

use session_tests::{needs::Need, process::Process, scenarios, session::Session, suite::Suite, within_deadline};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::example;

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[Need::Program("promtool")]);
        promtool_finds_no_fault_in_the_metrics,
        the_alerts_fire_when_they_should,
    );
    scenarios!(suite.on_dbus_daemon(&[]);
        the_monitoring_commands_tell_the_health,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("prometheus-node-exporter")]); node_exporter_serves_the_metrics);
}

const STATUS: [&str; 4] = ["status", "--format", "prometheus", "--output"];

async fn promtool_finds_no_fault_in_the_metrics(session: Session) {
    let file = session.home.path().join("metrics");
    let file = file.to_str().unwrap();
    let check = ["sh", "-c", &format!("promtool check metrics <{file}")];
    let write = [&STATUS[..], &[file]].concat();
    assert_eq!(session.sesame(&write).await.code, 3);
    assert_eq!(session.run(&check).await.stdout_of_success(), "", "of a hub that does not run");
    let _daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["work"]).await;
    session.sesame(&write).await.stdout_of_success();
    assert_eq!(session.run(&check).await.stdout_of_success(), "");
}

async fn the_alerts_fire_when_they_should(session: Session) {
    let (rules, tests) =
        (example("prometheus/open-sesame.rules.yml"), example("prometheus/open-sesame.rules.test.yml"));
    for words in [["check", rules.to_str().unwrap()], ["test", tests.to_str().unwrap()]] {
        let ended = session.run(&["promtool", words[0], "rules", words[1]]).await;
        assert!(ended.code == 0 && ended.stdout.contains("SUCCESS"), "{ended:?}");
    }
}

/// What the definitions would run, as the user himself.
async fn the_monitoring_commands_tell_the_health(session: Session) {
    let nagios = std::fs::read_to_string(example("monitoring/nagios.cfg")).unwrap();
    let (_, line) = nagios.lines().find_map(|line| line.split_once("/usr/local/bin/sesame ")).unwrap();
    let icinga = std::fs::read_to_string(example("monitoring/icinga2.conf")).unwrap();
    let mut words = vec!["check"];
    for option in ["-w", "-c", "--locked"] {
        assert!(icinga.contains(&format!("\"{option}\" = ")), "{option}");
        let variable = format!("vars.sesame_{} = ", ["age_warning", "age_critical", "locked"][words.len() / 2]);
        let (_, value) = icinga.lines().find_map(|line| line.trim().split_once(&*variable)).unwrap();
        words.extend([option, value.trim_matches('"')]);
    }
    let nagios: Vec<&str> = line.split(' ').collect();
    assert_eq!(session.sesame(&nagios).await.code, 2, "no hub is critical");
    let _daemons = session.daemons().await;
    for words in [words, nagios] {
        let ended = session.sesame(&words).await;
        assert!(ended.code == 0 && ended.stdout.starts_with("SESAME OK - "), "{words:?}: {ended:?}");
    }
}

/// node_exporter on a port of its own, with nothing but the files in `folder`.
struct Exporter {
    _process: Process,
    port: u16,
}

impl Exporter {
    fn start(session: &Session, folder: &str) -> Self {
        // Free a moment ago: somebody else may take it, and then the scrape finds no metrics of ours.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let words = [
            "prometheus-node-exporter".to_owned(),
            "--collector.disable-defaults".to_owned(),
            "--collector.textfile".to_owned(),
            format!("--collector.textfile.directory={folder}"),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        Self { _process: session.recipe("node-exporter", words).start(), port }
    }

    async fn scrape(&self) -> String {
        let mut stream = loop {
            // Nothing tells when it listens.
            match TcpStream::connect(("127.0.0.1", self.port)).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        };
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

async fn node_exporter_serves_the_metrics(session: Session) {
    let folder = session.home.path().join("textfiles");
    std::fs::create_dir(&folder).unwrap();
    let uid = rustix::process::getuid().as_raw();
    let file = folder.join(format!("open-sesame-{uid}.prom"));
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.sesame(&[&STATUS[..], &[file.to_str().unwrap()]].concat()).await.stdout_of_success();
    let exporter = Exporter::start(&session, folder.to_str().unwrap());
    let served = within_deadline("node_exporter", exporter.scrape()).await;
    for line in [
        format!("sesame_up{{user=\"{uid}\"}} 1"),
        format!("sesame_vault_locked{{profile=\"personal\",user=\"{uid}\"}} 1"),
        "node_textfile_scrape_error 0".to_owned(),
        // What the alert of stale files looks at.
        format!("node_textfile_mtime_seconds{{file=\"{}\"}} ", file.display()),
    ] {
        assert!(served.lines().any(|served| served.starts_with(&line)), "{line} in {served}");
    }
    session.unlock(&["personal"]).await;
    session.sesame(&[&STATUS[..], &[file.to_str().unwrap()]].concat()).await.stdout_of_success();
    let served = within_deadline("node_exporter", exporter.scrape()).await;
    assert!(served.contains(&format!("sesame_vault_locked{{profile=\"personal\",user=\"{uid}\"}} 0")), "{served}");
}
