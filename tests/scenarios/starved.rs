//! A system that gives no thread, or no room in a file: what needs it fails, and nothing else does.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use session_tests::{scenarios, session::Session, suite::Suite};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[]);
        without_a_thread_a_passphrase_is_not_tried_and_the_daemon_lives,
        without_a_thread_the_default_profile_stays_and_the_hub_lives,
        where_a_file_may_not_grow_the_write_fails_and_the_vault_stays_open,
    );
}

/// The stack of a thread, 2 MiB, does not fit any more, and what is small does. Gives back what was allowed before.
fn starve(process: Pid) -> Rlimit {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let most = (size.trim().trim_end_matches(" kB").parse::<u64>().unwrap() + 1024) * 1024;
    prlimit(Some(process), Resource::As, Rlimit { current: Some(most), maximum: None }).unwrap()
}

/// A daemon that has never had one: what the C library keeps of a thread it gives to the next.
async fn without_a_thread_a_passphrase_is_not_tried_and_the_daemon_lives(session: Session) {
    let daemons = session.daemons().await;
    let (vault, process) = (session.vault().await, daemons.secrets.pid());
    let before = starve(process);
    let refused = vault.create("work", session_tests::PASSPHRASE.as_bytes()).await.unwrap_err().to_string();
    assert!(refused.contains("org.opensesame.Error.Storage") && refused.contains("no thread"), "{refused}");
    prlimit(Some(process), Resource::As, before).unwrap();
    session.create(&["work"]).await;
    session.unlock(&["work"]).await;
    vault.set_secret("work", "new", b"x").await.unwrap();
    session.wait_until_healthy().await;
}

async fn without_a_thread_the_default_profile_stays_and_the_hub_lives(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["work"]).await;
    session.wait_until_healthy().await;
    let hub = session.client().await.hub().await;
    let before = starve(daemons.profile.pid());
    let refused = hub.set_default_profile("work").await.unwrap_err().to_string();
    assert!(refused.contains("no thread"), "{refused}");
    prlimit(Some(daemons.profile.pid()), Resource::As, before).unwrap();
    hub.set_default_profile("work").await.unwrap();
}

/// A write beyond `ulimit -f` is a signal, whose default is the end of the process.
async fn where_a_file_may_not_grow_the_write_fails_and_the_vault_stays_open(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["work"]).await;
    session.unlock(&["work"]).await;
    let (vault, process) = (session.vault().await, daemons.secrets.pid());
    let limit = |current| prlimit(Some(process), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    let before = limit(Some(64 * 1024));
    let refused = vault.set_secret("work", "large", &[7; 100_000]).await.unwrap_err().to_string();
    assert!(refused.contains("org.opensesame.Error.Storage") && refused.contains("too large"), "{refused}");
    vault.set_secret("work", "small", b"x").await.unwrap();
    limit(before.current);
    vault.set_secret("work", "large", &[7; 100_000]).await.unwrap();
    session.wait_until_healthy().await;
}
