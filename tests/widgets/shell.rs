//! The shell's examples.

use session_tests::{scenarios, session::Session, suite::Suite};

use crate::{example, with_sesame};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        busctl_alone_tells_the_vaults,
        a_command_waits_for_its_vault,
    );
}

async fn run(session: &Session, words: &[&str]) -> session_tests::sesame::Ended {
    let words = with_sesame(words);
    session.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn busctl_alone_tells_the_vaults(session: Session) {
    let script = example("shell/vaults");
    let script = script.to_str().unwrap();
    assert_eq!(run(&session, &[script]).await.code, 1, "no hub, and none was started");
    let _daemons = session.daemons().await;
    assert_eq!(run(&session, &[script]).await.stdout_of_success(), "");
    session.create(&["personal", "work"]).await;
    session.unlock(&["work"]).await;
    assert_eq!(run(&session, &[script]).await.stdout_of_success(), "personal locked\nwork unlocked\n");
}

async fn a_command_waits_for_its_vault(session: Session) {
    let script = example("shell/when-unlocked");
    assert_eq!(run(&session, &[script.to_str().unwrap(), "work"]).await.code, 2);
    let _daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    // A wait ends well too where nobody reads its output any more.
    let unread = format!("{} work sh -c 'echo it runs >&2' | true", script.display());
    assert_eq!(run(&session, &["sh", "-c", &unread]).await.stderr, "");
    // It can hold only after the vault is unlocked.
    let words = [script.to_str().unwrap(), "work", "sesame", "is", "unlocked", "-p", "work"];
    let unlock = async {
        session.unlock(&["personal"]).await;
        session.unlock(&["work"]).await;
    };
    let (ended, ()) = tokio::join!(run(&session, &words), unlock);
    assert_eq!(ended.stdout_of_success(), "");
}
