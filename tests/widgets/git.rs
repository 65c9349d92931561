//! git takes its passwords from a vault, and asks nobody where that is locked.

use session_tests::{needs::Need, scenarios, sesame::Ended, session::Session, suite::Suite};

use crate::{example, path_with_sesame};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[Need::Program("git")]);
        git_takes_a_password_from_a_vault,
        a_locked_vault_ends_git_at_once,
    );
}

/// `git credential fill` for ada at the host; `options` of the helper.
async fn fill(session: &Session, options: &str) -> Ended {
    let helper = format!("credential.helper={}{options}", example("git/git-credential-sesame").display());
    let git = format!("git -c '{helper}' credential fill");
    let ask = format!("printf 'protocol=https\\nhost=git.example.org\\nusername=ada\\n\\n' | {git}");
    // Where it would ask, it fails and says so.
    let path = format!("PATH={}", path_with_sesame());
    session.run(&["env", &path, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "sh", "-c", &ask]).await
}

async fn git_takes_a_password_from_a_vault(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal", "work"]).await;
    let name = "git.ada.git.example.org";
    session.sesame_fed(&["secret", "set", name], b"an own password").await.stdout_of_success();
    session.sesame_fed(&["secret", "set", name, "-p", "work"], b"another one").await.stdout_of_success();
    for (options, password) in [
        ("", "an own password"),
        (" -p work", "another one"),
        (" -pwork", "another one"),
        (" --profile work --timeout 5", "another one"),
    ] {
        let told = fill(&session, options).await.stdout_of_success();
        assert!(told.contains(&format!("username=ada\npassword={password}\n")), "{told}");
    }
    // What git would store or erase is left alone.
    for verb in ["approve", "reject"] {
        let helper = format!("credential.helper={}", example("git/git-credential-sesame").display());
        let line = format!(
            "printf 'protocol=https\\nhost=git.example.org\\nusername=ada\\npassword=x\\n\\n' | git -c '{helper}' credential {verb}"
        );
        let path = format!("PATH={}", path_with_sesame());
        session.run(&["env", &path, "sh", "-c", &line]).await.stdout_of_success();
    }
    assert_eq!(session.sesame(&["secret", "get", name]).await.stdout_of_success(), "an own password");
    session.sesame(&["secret", "rm", name]).await.stdout_of_success();
    let asked = fill(&session, "").await;
    assert!(asked.code != 0 && asked.stderr.contains("terminal prompts disabled"), "git may ask: {asked:?}");
    assert!(!asked.stderr.contains("sesame"), "it is nothing to complain of: {asked:?}");
    let misspelt = fill(&session, " -p wrok").await;
    assert!(misspelt.stderr.contains("wrok") && misspelt.stderr.contains("told us to quit"), "{misspelt:?}");
}

async fn a_locked_vault_ends_git_at_once(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    let locked = fill(&session, "").await;
    assert!(locked.code != 0 && locked.stderr.contains("told us to quit"), "{locked:?}");
    assert!(!locked.stderr.contains("terminal prompts disabled"), "nobody was asked: {locked:?}");
    drop(daemons);
    let gone = fill(&session, "").await;
    assert!(gone.code != 0 && gone.stderr.contains("told us to quit"), "{gone:?}");
}
