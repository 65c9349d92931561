//! Completions as the shells themselves give them: real bash, zsh and fish, with the script that is installed for each.

use session_tests::{needs::Need, program, scenarios, session::Session, suite::Suite};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[Need::Program("bash")]);
        bash_completes,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("fish")]);
        fish_completes,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("zsh"), Need::Program("script")]);
        zsh_completes,
    );
}

/// What is typed, and what must be among what is offered.
const CASES: [(&str, &str); 14] = [
    ("sesame wa", "wait"),
    ("sesame unlock -p wo", "work"),
    ("sesame profile default wo", "work"),
    ("sesame secret get db", "db-url"),
    ("sesame secret rm db", "db-url"),
    ("sesame secret list --al", "--all"),
    ("sesame status --format pro", "prometheus"),
    ("sesame status --al", "--all"),
    ("sesame wait un", "unlocked"),
    ("sesame is un", "unlocked"),
    ("sesame check --locked cri", "critical"),
    ("sesame events --format js", "json"),
    ("sesame doctor --ex", "--explain"),
    ("sesame import --skip", "--skip-conflicts"),
];

/// The open vault `personal` with `db-url`, and `work`.
async fn vaults(session: &Session) -> session_tests::session::Daemons {
    let daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    session.vault().await.set_secret("personal", "db-url", b"x").await.unwrap();
    daemons
}

/// A `PATH` on which `sesame` is found.
fn path() -> String {
    format!("PATH={}:/usr/bin:/bin", program("sesame").parent().unwrap().display())
}

/// `script` in a shell that finds `sesame`.
async fn shell(session: &Session, words: &[&str], script: &str) -> String {
    let path = path();
    let words = [&["env", path.as_str(), "TERM=dumb"], words, &[script]].concat();
    session.run(&words).await.stdout_of_success()
}

async fn bash_completes(session: Session) {
    let _daemons = vaults(&session).await;
    for (typed, offered) in CASES {
        // As readline calls what `complete -F` has set.
        let script = format!(
            "source <(sesame completions bash)
             read -ra COMP_WORDS <<<'{typed}'; COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
             COMP_LINE='{typed}' COMP_POINT={} COMP_TYPE=9
             function=$(complete -p sesame | sed 's/.*-F \\([^ ]*\\).*/\\1/')
             $function sesame \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\" 2>/dev/null
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            typed.len()
        );
        let said = shell(&session, &["bash", "--norc", "-c"], &script).await;
        assert!(said.lines().any(|line| line.trim_end() == offered), "{typed}: {said:?}");
    }
}

async fn fish_completes(session: Session) {
    let _daemons = vaults(&session).await;
    for (typed, offered) in CASES {
        let script = format!("sesame completions fish | source; complete -C '{typed}'");
        let said = shell(&session, &["fish", "--no-config", "-c"], &script).await;
        // A description may follow, after a tab.
        assert!(said.lines().any(|line| line.split('\t').next() == Some(offered)), "{typed}: {said:?}");
    }
}

/// A person's zsh: what stands on the line after a tab is what Enter runs.
async fn zsh_completes(session: Session) {
    let _daemons = vaults(&session).await;
    let folder = session.home.path().join("site-functions");
    std::fs::create_dir(&folder).unwrap();
    let text = session.sesame(&["completions", "zsh"]).await.stdout_of_success();
    std::fs::write(folder.join("_sesame"), text).unwrap();
    // It ends where the line would be run.
    let rc = format!(
        "PROMPT='> '; fpath=({} $fpath); autoload -Uz compinit; compinit -u -D
         preexec() {{ print -r -- \"TOLD $1\"; exit; }}\n",
        folder.display()
    );
    session.home.write(".zshrc", rc);
    let dots = format!("ZDOTDIR={}", session.home.path().display());
    let path = path();
    let zsh = ["script", "--quiet", "--return", "--command", "zsh -d -i", "/dev/null"];
    let words = [&["env", path.as_str(), dots.as_str(), "TERM=dumb"], &zsh[..]].concat();
    // A terminal takes its time.
    for (typed, offered) in CASES.into_iter().step_by(3) {
        let ended = session.run_fed(&words, format!("{typed}\t\n").as_bytes()).await;
        let told = ended.stdout.lines().rfind(|line| line.starts_with("TOLD ")).unwrap_or_default();
        assert!(told.split_whitespace().any(|word| word == offered), "{typed}: {ended:?}");
    }
}
