//! Completion, asked for as each shell asks.

use crate::support::{Session, session::end, vaults::Vaults};

/// What is offered at the end of `words`, the last of which is being typed.
async fn offered(session: &Session, words: &str) -> Vec<String> {
    let mut command = session.command(env!("CARGO_BIN_EXE_sesame"));
    let words: Vec<&str> = words.split(' ').collect();
    command.env("SESAME_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    command.env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string()).arg("--").args(words);
    end(command, b"").await.stdout.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn names_of_profiles_and_secrets_are_offered() {
    let session = Session::without_bus();
    for folder in ["personal", "work", ".work.new"] {
        std::fs::create_dir_all(session.path(".local/share/open-sesame/vaults").join(folder)).unwrap();
    }
    let vaults = Vaults::default().with("personal", false, &[("a", b"")]).with("work", false, &[("db", b"")]);
    let _socket = vaults.at_socket(&session);
    assert_eq!(offered(&session, "sesame unlock -p ").await, ["personal", "work"]);
    assert_eq!(offered(&session, "sesame profile default w").await, ["work"]);
    assert!(offered(&session, "sesame secret get ").await.contains(&"a".into()));
    assert_eq!(offered(&session, "sesame secret get -p work d").await, ["db"]);
    assert_eq!(offered(&session, "sesame un").await, ["unlock"]);
    assert_eq!(offered(&session, "sesame run -p work --env URL=d").await, ["URL=db"]);
    let program = session.path("server-1");
    std::fs::write(&program, "").unwrap();
    let typed = program.display().to_string();
    for line in [format!("sesame run -- {}", &typed[..typed.len() - 1]), format!("sesame run -- ls {typed}")] {
        assert_eq!(offered(&session, &line).await, [typed.as_str()]);
    }
}

#[tokio::test]
async fn the_scripts_ask_the_program_itself() {
    let session = Session::without_bus();
    for shell in ["bash", "zsh", "fish"] {
        let script = session.run(&format!("completions {shell}")).await;
        assert!(script.stdout.contains(&format!("SESAME_COMPLETE={shell} sesame")), "{script:?}");
    }
    assert_eq!(session.run("completions tcsh").await.code, 2);
}
