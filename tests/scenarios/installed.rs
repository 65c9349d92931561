//! `make install` and `make uninstall`, into a folder of the test.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use dbus_interfaces::{events, profile, prompter, secrets};
use session_tests::{home::Home, needs::Need, program, scenarios, session::Session, suite::Suite, within_deadline};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[Need::Program("make")]);
        what_is_installed_lies_in_its_place_and_can_be_removed,
        a_folder_with_a_space_is_refused_and_nothing_removed,
        installed_activation_files_start_the_installed_daemons,
        applications_start_the_daemon_only_where_it_was_asked_for,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("make"), Need::Program("journalctl")]);
        a_system_wide_install_brings_a_catalog_that_the_journal_takes,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("make"), Need::Program("mandoc")]);
        every_command_has_a_page_without_a_warning,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("dbus-run-session")]);
        the_demo_shows_a_session_and_a_crash,
    );
}

/// `make` with what was built already: the programs beside the tests.
fn make(target: &str, variables: &[(&str, &str)]) {
    let output = made(target, variables);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

fn made(target: &str, variables: &[(&str, &str)]) -> Output {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let sesame = program("sesame");
    let mut make = Command::new("make");
    make.current_dir(tests.parent().unwrap()).args(["--silent", "-o", "build", target]);
    make.arg(format!("BUILT={}", sesame.parent().unwrap().display()));
    make.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    // A make around this test has flags of its own.
    make.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKELEVEL");
    make.stdin(Stdio::null()).output().unwrap()
}

/// make takes such a name apart, and rm what comes out of it.
async fn a_folder_with_a_space_is_refused_and_nothing_removed(session: Session) {
    let folder = session.home.path().join("a");
    fs::write(&folder, "kept").unwrap();
    let spaced = format!("{} b", folder.display());
    for (target, variable) in [("install", "DESTDIR"), ("uninstall", "DESTDIR"), ("uninstall", "PREFIX")] {
        let refused = made(target, &[(variable, &spaced)]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("has a space in it"), "{said}");
        assert_eq!(fs::read_to_string(&folder).unwrap(), "kept");
    }
}

fn every_file(folder: &Path) -> BTreeSet<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { every_file(&path) } else { [path].into() }).collect()
}

async fn every_command_has_a_page_without_a_warning(session: Session) {
    let folder = session.home.path().join("image");
    make("install", &[("DESTDIR", folder.to_str().unwrap()), ("PREFIX", "/opt/sesame")]);
    let man = folder.join("opt/sesame/share/man");
    let help = session.sesame(&["--help"]).await.stdout_of_success();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    for command in commands.map(|line| line.split_whitespace().next().unwrap()).filter(|name| *name != "help") {
        let page = man.join(format!("man1/sesame-{command}.1"));
        assert!(page.exists(), "no page for {command}");
    }
    let pages: Vec<String> = every_file(&man).iter().map(|page| page.display().to_string()).collect();
    let words: Vec<&str> =
        ["mandoc", "-Tlint", "-Wwarning"].into_iter().chain(pages.iter().map(String::as_str)).collect();
    let ended = session.run(&words).await;
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "", ""));
}

async fn what_is_installed_lies_in_its_place_and_can_be_removed(session: Session) {
    let folder = session.home.path().join("image");
    let image = folder.to_str().unwrap();
    make("install", &[("DESTDIR", image), ("PREFIX", "/opt/sesame")]);
    let prefix = folder.join("opt/sesame");
    let files = every_file(&folder);
    assert!(files.iter().all(|file| file.starts_with(&prefix)), "outside of PREFIX: {files:?}");
    for place in [
        "bin/sesame",
        "bin/daemon-profile",
        "bin/daemon-secrets",
        "libexec/open-sesame/sesame-prompter",
        "share/dbus-1/services/org.opensesame.Profile.service",
        "share/dbus-1/services/org.opensesame.Secrets.service",
        "lib/systemd/user/open-sesame-profile.service",
        "lib/systemd/user/open-sesame-secrets.service",
        "lib/systemd/user/open-sesame.target",
        "lib/systemd/user/open-sesame-unlocked@.target",
        "lib/systemd/user/open-sesame-unlock@.service",
        "share/dbus-1/interfaces/org.opensesame.Daemon.xml",
        "share/dbus-1/interfaces/org.opensesame.Prompter.xml",
        "share/dbus-1/interfaces/org.opensesame.Profile.xml",
        "share/dbus-1/interfaces/org.opensesame.Secrets.xml",
        "share/dbus-1/interfaces/org.opensesame.Vault.xml",
        "share/bash-completion/completions/sesame",
        "share/zsh/site-functions/_sesame",
        "share/fish/vendor_completions.d/sesame.fish",
        "share/man/man1/sesame.1",
        "share/man/man1/sesame-unlock.1",
        "share/man/man5/open-sesame-config.5",
        "share/man/man5/org.opensesame.5",
    ] {
        assert!(fs::metadata(prefix.join(place)).is_ok_and(|file| file.len() > 0), "{place} is missing: {files:?}");
    }
    for (name, daemon) in [(profile::NAME, "daemon-profile"), (secrets::NAME, "daemon-secrets")] {
        let file = prefix.join(format!("share/dbus-1/services/{name}.service"));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("Name={name}\n")), "{text}");
        assert!(text.contains(&format!("Exec=/opt/sesame/bin/{daemon}\n")), "{text}");
        let unit = daemon.replace("daemon", "open-sesame");
        assert!(text.contains(&format!("SystemdService={unit}.service\n")) && !text.contains("@bindir@"), "{text}");
        let text = fs::read_to_string(prefix.join(format!("lib/systemd/user/{unit}.service"))).unwrap();
        assert!(text.contains(&format!("ExecStart=/opt/sesame/bin/{daemon}\n")), "{text}");
        assert!(text.contains(&format!("BusName={name}\n")) && !text.contains("@bindir@"), "{text}");
    }
    let helper = "/opt/sesame/libexec/open-sesame/sesame-prompter";
    for (place, line) in [
        (format!("share/dbus-1/services/{}.service", prompter::NAME), format!("Exec={helper}")),
        (format!("share/dbus-1/services/{}.service", prompter::NAME), format!("Name={}", prompter::NAME)),
        ("lib/systemd/user/open-sesame-prompter.service".into(), format!("ExecStart={helper}")),
        ("lib/systemd/user/open-sesame-prompter.service".into(), format!("BusName={}", prompter::NAME)),
    ] {
        let text = fs::read_to_string(prefix.join(place)).unwrap();
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    make("uninstall", &[("DESTDIR", image), ("PREFIX", "/opt/sesame")]);
    assert_eq!(every_file(&folder), BTreeSet::new());
}

async fn applications_start_the_daemon_only_where_it_was_asked_for(session: Session) {
    let image = Home::new();
    let prefix = image.path().join("prefix");
    let variables = [("PREFIX", prefix.to_str().unwrap()), ("SECRET_SERVICE", "1")];
    let file = prefix.join("share/dbus-1/services/org.freedesktop.secrets.service");
    make("install", &variables[..1]);
    assert!(!file.exists());
    // Another keyring's, which stays.
    fs::write(&file, "[D-BUS Service]\nName=org.freedesktop.secrets\nExec=/usr/bin/gnome-keyring-daemon\n").unwrap();
    make("uninstall", &variables[..1]);
    assert_eq!(every_file(&prefix), BTreeSet::from([file.clone()]));
    make("install", &variables);
    let text = fs::read_to_string(&file).unwrap();
    session.home.write("data/dbus-1/services/org.freedesktop.secrets.service", text.as_bytes());
    session.home.write("config/open-sesame/config.toml", "secret_service = true\n");
    let client = session.client().await;
    let (path, interface) = ("/org/freedesktop/secrets", Some("org.freedesktop.Secret.Service"));
    let session_of = ("plain", zbus::Variant::from(""));
    let name = Some("org.freedesktop.secrets");
    let opened = client.connection.call_method(name, path, interface, "OpenSession", &session_of);
    within_deadline("daemon-secrets to be started", opened).await.unwrap();
    make("uninstall", &variables);
    assert_eq!(every_file(&prefix), BTreeSet::new());
    session.end().await;
}

async fn a_system_wide_install_brings_a_catalog_that_the_journal_takes(session: Session) {
    let folder = session.home.path().join("image");
    let variables = [("DESTDIR", folder.to_str().unwrap()), ("PREFIX", "/usr")];
    make("install", &variables);
    fs::create_dir_all(folder.join("var/lib/systemd/catalog")).unwrap();
    let journalctl = |words: &[&str]| {
        let output = Command::new("journalctl").arg("--root").arg(&folder).args(words).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && complaint.is_empty(), "{words:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    };
    journalctl(&["--update-catalog"]);
    let known = journalctl(&["--list-catalog"]);
    assert!(known.contains(&format!("{} Open Sesame: A daemon is gone\n", events::DAEMON_LOST)), "{known}");

    // What the program explains is what the journal shows, which keeps the places of a line's values.
    for id in known.lines().map(|line| &line[..32]) {
        let shown = journalctl(&["--dump-catalog", id]).replace('@', "");
        let explained = session.sesame(&["doctor", "--explain", id]).await.stdout_of_success();
        let (subject, text) = explained.split_once("\n\n").unwrap();
        assert!(shown.contains(&format!("Subject: {subject}\n")) && shown.contains(text), "{shown}{explained}");
    }
    // What root runs comes with a system-wide install only.
    for (place, mode) in [
        ("libexec/open-sesame/sesame-pam-unlock", 0o755),
        ("lib/systemd/system/open-sesame-unlock-user@.service", 0o644),
    ] {
        let file = folder.join("usr").join(place);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("/usr/bin/sesame unlock ") && !text.contains("dir@"), "{text}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, mode, "{place}");
    }
    make("uninstall", &variables);
    let left: BTreeSet<PathBuf> = every_file(&folder.join("usr"));
    assert_eq!(left, BTreeSet::new());
}

async fn installed_activation_files_start_the_installed_daemons(session: Session) {
    // The bus of the session looks for activation files where this prefix has them.
    let image = Home::new();
    let prefix = image.path().to_str().unwrap();
    make("install", &[("PREFIX", prefix)]);
    for name in [profile::NAME, secrets::NAME] {
        let file = format!("share/dbus-1/services/{name}.service");
        let text = fs::read_to_string(image.path().join(file)).unwrap();
        let exec = text.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap();
        assert!(Path::new(exec).is_file() && exec.starts_with(prefix), "{text}");
        session.home.write(&format!("data/dbus-1/services/{name}.service"), text.as_bytes());
    }
    let sesame = image.path().join("bin/sesame");
    let passphrase = session.home.passphrase_file();
    let words = [sesame.to_str().unwrap(), "init", "--passphrase-file", passphrase.to_str().unwrap()];
    session.run(&words).await.stdout_of_success();
    let text = session.run(&[sesame.to_str().unwrap(), "status"]).await.stdout_of_success();
    assert!(text.starts_with("Vaults:\n  personal  unlocked\n"), "{text}");
    session.end().await;
}

async fn the_demo_shows_a_session_and_a_crash(session: Session) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let sesame = program("sesame");
    let words = [script.to_str().unwrap(), sesame.parent().unwrap().to_str().unwrap()];
    let shown = session.run(&words).await.stdout_of_success();
    let sample = "$ sesame status\nVaults:\n  personal  unlocked\n  work      locked\nDefault profile: personal\n\
        Active profiles:\n  - personal (default)\n";
    let (_, after) = shown.split_once(sample).unwrap_or_else(|| panic!("{shown}"));
    assert!(after.contains("$ sesame secret get db-url\npostgres://me@db/shop\n"), "{shown}");
    let (_, crash) = after.split_once("$ kill -KILL ").unwrap();
    assert!(crash.contains("  personal  locked (assumed)\n") && crash.contains("daemon-secrets"), "{shown}");
}
