//! A terminal that shows one text, drawn over in place: no flicker, no line left over, whatever its size.

use rustix::{stdio::stdout, termios::tcgetwinsize};

/// The other screen, without cursor; lines that are too long are cut by the terminal, which knows how wide they are.
pub const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
/// Back, as it was.
pub const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// The rows of the terminal at standard output.
pub fn rows() -> usize {
    tcgetwinsize(stdout()).map(|size| usize::from(size.ws_row)).ok().filter(|rows| *rows > 0).unwrap_or(24)
}

/// What draws `text` over what was drawn before, as one picture.
pub fn draw(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown = if lines.len() > rows { rows.saturating_sub(1) } else { lines.len() };
    let mut drawn: Vec<String> = lines[..shown].iter().map(|line| (*line).to_owned()).collect();
    if shown < lines.len() {
        drawn.push(format!("... {} more lines", lines.len() - shown));
    }
    // Begin of a picture, home; each line to its end; what is below; end of the picture.
    let body = drawn.join("\u{1b}[K\r\n");
    format!("\u{1b}[?2026h\u{1b}[H{body}\u{1b}[K\u{1b}[J\u{1b}[?2026l")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(drawn: &str) -> Vec<String> {
        let body = drawn.split("\u{1b}[H").nth(1).unwrap();
        body.split("\r\n").map(|line| line.split('\u{1b}').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn no_more_is_drawn_than_there_are_rows() {
        let text = "a\nb\nc\n";
        assert_eq!(bare(&draw(text, 24)), ["a", "b", "c"]);
        assert_eq!(bare(&draw(text, 3)), ["a", "b", "c"]);
        assert_eq!(bare(&draw(text, 2)), ["a", "... 2 more lines"]);
        assert_eq!(bare(&draw(text, 1)), ["... 3 more lines"]);
    }

    #[test]
    fn every_line_ends_what_stood_there_before() {
        let drawn = draw("a\nb\n", 24);
        assert_eq!(drawn.matches("\u{1b}[K").count(), 2);
        assert!(drawn.starts_with("\u{1b}[?2026h") && drawn.ends_with("\u{1b}[J\u{1b}[?2026l"));
    }
}
