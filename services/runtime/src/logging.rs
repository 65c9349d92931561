//! Where log lines go: standard error, without a clock of their own (whoever keeps them adds one).

use tracing::level_filters::LevelFilter;

/// Sends log lines to standard error, from `info` up.
pub fn init() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(LevelFilter::INFO)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
}
