//! `sesame status --all` beside sockets that systemd listens at: a look must not start what they are for.

use serde_json::Value;
use session_tests::{bus::Kind, needs::Need, user_session::UserSession};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&Kind::ALL, &[Need::Program("gpg-agent")];
        an_agent_behind_systemds_socket_is_asked_only_while_it_runs,
    )
}

async fn gpg_agent(session: &UserSession) -> Value {
    let shown = session.sesame(&["status", "--all", "--format", "json"]).await;
    let mut shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let keyring = shown["keyrings"].as_array_mut().unwrap().iter_mut().find(|keyring| keyring["name"] == "gpg-agent");
    keyring.unwrap_or_else(|| panic!("no gpg-agent")).take()
}

async fn an_agent_behind_systemds_socket_is_asked_only_while_it_runs(session: UserSession) {
    // For commands that must end with 0: the hub is asked too.
    session.start().await;
    session.systemctl(&["start", "gpg-agent.socket"]).await;
    for _ in 0..2 {
        let found = gpg_agent(&session).await;
        assert_eq!((&found["alive"], &found["answers"]), (&Value::Bool(false), &Value::Null), "{found}");
        assert_eq!(found["why"], "not asked: systemd listens at its socket, and would start it");
        assert_eq!(session.property("gpg-agent.service", "ActiveState").await, "inactive", "the look has started it");
        session.systemctl(&["start", "gpg-agent.service"]).await;
        let found = gpg_agent(&session).await;
        assert_eq!((&found["alive"], &found["answers"]), (&Value::Bool(true), &Value::Bool(true)), "{found}");
        assert_eq!(found["pid"].to_string(), session.property("gpg-agent.service", "MainPID").await);
        session.systemctl(&["stop", "gpg-agent.service"]).await;
        session.systemctl(&["start", "gpg-agent.socket"]).await;
    }
}
