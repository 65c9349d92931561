//! Colour: whether, and which. The words say everything, colour only repeats it.

use std::env;

use crate::screen;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set; elsewhere where CLICOLOR_FORCE is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Paints words, or leaves them as they are.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    coloured: bool,
}

/// What a word means to the reader.
#[derive(Clone, Copy, Debug)]
pub enum Tone {
    /// A heading.
    Heading,
    /// In use.
    Open,
    /// Closed, as it may well be.
    Shut,
    /// Wrong.
    Wrong,
}

impl Paint {
    /// Decides for standard output, from the option, the environment and where the output goes.
    pub fn for_output(when: When) -> Self {
        let set = |variable| env::var_os(variable).filter(|value| !value.is_empty());
        let forced = set("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        Self::decide(when, set("NO_COLOR").is_some(), forced, screen::is_there)
    }

    /// Decides for a file.
    pub fn for_file(when: When) -> Self {
        Self { coloured: when == When::Always }
    }

    fn decide(when: When, no_color: bool, forced: bool, terminal: impl FnOnce() -> bool) -> Self {
        let coloured = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => !no_color && (forced || terminal()),
        };
        Self { coloured }
    }

    /// `word` in the colour of its tone.
    pub fn paint(self, tone: Tone, word: &str) -> String {
        if !self.coloured {
            return word.into();
        }
        let code = match tone {
            Tone::Heading => "1",
            Tone::Open => "32",
            Tone::Shut => "33",
            Tone::Wrong => "31",
        };
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_outranks_no_color_and_that_outranks_clicolor_force() {
        for (when, no_color, forced, terminal, expected) in [
            (When::Always, true, false, false, true),
            (When::Never, false, true, true, false),
            (When::Auto, true, true, true, false),
            (When::Auto, false, true, false, true),
            (When::Auto, false, false, true, true),
            (When::Auto, false, false, false, false),
        ] {
            let paint = Paint::decide(when, no_color, forced, || terminal);
            assert_eq!(paint.coloured, expected, "{when:?} {no_color} {forced} {terminal}");
        }
    }
}
