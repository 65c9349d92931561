//! Applications' secrets under systemd: who is started for them, and that the target follows an unlock by their prompt.

use session_tests::{
    bus::Kind,
    needs::Need,
    user_session::{UserSession, until},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&[Kind::DbusDaemon, Kind::DbusBroker], &[Need::Program("secret-tool")];
        an_application_has_its_vault_unlocked,
    )
}

const PROMPTER_UNIT: &str = "open-sesame-prompter.service";
const TARGET: &str = "open-sesame-unlocked@personal.target";

async fn an_application_has_its_vault_unlocked(session: UserSession) {
    let askpass = format!("[\"head\", \"-n1\", \"{}\"]", session.passphrase_file());
    let config = format!("work_factor = 15\nsecret_service = true\naskpass = {askpass}\n");
    session.write(".config/open-sesame/config.toml", &config);
    session.start().await;
    let store = "printf pass-1 | secret-tool store --label=Mail server example.org";
    let stored = until("the Secret Service", async || {
        let ended = session.run(&["sh", "-c", store]).await;
        if ended.code == 0 { Ok(ended) } else { Err(ended) }
    });
    stored.await;
    session.sesame(&["lock", "-p", "personal"]).await.stdout_of_success();
    session.until_property(TARGET, "ActiveState", "inactive").await;

    let found = session.run(&["secret-tool", "lookup", "server", "example.org"]).await;
    assert_eq!((found.code, found.stdout.as_str()), (0, "pass-1"), "{found:?}");
    session.until_property(TARGET, "ActiveState", "active").await;
    let report = session.report().await;
    assert_eq!(report.lock_state.get("personal"), Some(&false), "{report:?}");
    // Systemd's, in its own control group, and gone when nobody asks any more.
    assert_ne!(session.property(PROMPTER_UNIT, "ExecMainStartTimestamp").await, "");
    session.until_property(PROMPTER_UNIT, "ActiveState", "inactive").await;
    assert_eq!(session.property(PROMPTER_UNIT, "Result").await, "success");
}
