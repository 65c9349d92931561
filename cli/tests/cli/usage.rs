//! Help, version, and usage that is wrong.

use crate::support::Session;

#[tokio::test]
async fn help_and_version_go_to_standard_output() {
    let session = Session::without_bus();
    session.run("--version").await.printed(&format!("sesame {}\n", env!("CARGO_PKG_VERSION")));
    for line in ["--help", "help", "status --help", "help secret set", "-h"] {
        let ended = session.run(line).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{line}");
        assert!(ended.stdout.contains("Usage: sesame"), "{line}");
    }
}

#[tokio::test]
async fn wrong_usage_is_2_and_two_lines() {
    let session = Session::without_bus();
    for line in ["statu", "status --format xml", "secret set", "unlock -p ..", "secret get .x", "status --timeout 0"] {
        let ended = session.run(line).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{line}");
        assert!(ended.stderr.starts_with("sesame: wrong usage: "), "{line}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 2, "{line}: {}", ended.stderr);
    }
}
