//! Vaults that are to be locked on sleep or with the screen, where nobody tells of either.

use std::{collections::BTreeSet, time::Duration};

use daemon_config::{ConfigFile, LockOn};
use dbus_interfaces::places;
use tokio::time::timeout;
use zbus::{connection::Builder, fdo};

use super::{Diagnosis, Finding, Severity, finding};

const NAME: &str = "org.freedesktop.login1";

pub(super) async fn look(patience: Duration, diagnosis: &mut Diagnosis) {
    // The configuration's own flaws are told elsewhere.
    let Ok(path) = places::config_file() else { return };
    let wanted = ConfigFile::new(path).load().config.locks_on();
    if wanted.is_empty() {
        return;
    }
    let why = match timeout(patience, owner()).await {
        Ok(Ok(())) => None,
        Ok(Err(cause)) => Some(cause.to_string()),
        Err(_) => Some("the system bus does not answer".into()),
    };
    diagnosis.add(findings(&wanted, why.as_deref()));
}

/// Whether somebody owns logind's name. Starts nobody.
async fn owner() -> zbus::Result<()> {
    let connection = Builder::address(places::system_bus().as_str()).build().await?;
    let bus = fdo::DBusProxy::new(&connection).await?;
    bus.get_name_owner(NAME.try_into()?).await?;
    Ok(())
}

fn findings(wanted: &BTreeSet<LockOn>, why: Option<&str>) -> Option<Finding> {
    let lost = match (wanted.contains(&LockOn::Sleep), wanted.contains(&LockOn::Screen)) {
        (true, true) => "no vault is locked before sleep, nor with the screen unless its screen saver tells",
        (true, false) => "no vault is locked before sleep",
        (false, true) => "no vault is locked with the screen, unless its screen saver tells",
        (false, false) => "a program that reads keeps a vault open also while you are away",
    };
    let sentence = format!("logind does not answer ({}): {lost}", why?);
    Some(finding("no-logind", Severity::Warning, NAME, sentence, "systemctl status systemd-logind dbus"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_without_logind_is_told() {
        let told = |wanted: &[LockOn], why| findings(&wanted.iter().copied().collect(), why).map(|told| told.sentence);
        assert_eq!(told(&[LockOn::Sleep], None), None);
        let sentence = told(&[LockOn::Sleep], Some("no such name")).unwrap();
        assert_eq!(sentence, "logind does not answer (no such name): no vault is locked before sleep");
        assert!(told(&[LockOn::Idle], Some("x")).unwrap().contains("while you are away"));
    }
}
