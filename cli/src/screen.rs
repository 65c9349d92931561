//! A terminal that shows one text, drawn over in place: no flicker, no line left over, whatever its size.

use std::env;

use rustix::{
    stdio::stdout,
    termios::{isatty, tcgetwinsize},
};

/// The other screen, without cursor; what is still too long is cut by the terminal.
pub const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
/// Back, as it was.
pub const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// Rows and columns.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the words say it")]
pub struct Size {
    pub rows: usize,
    pub columns: usize,
}

/// Whether standard output is a terminal that obeys sequences: a dumb one, as in an editor, does not (terminfo(5)).
pub fn is_there() -> bool {
    isatty(stdout()) && env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

/// The size of the terminal at standard output.
pub fn size() -> Size {
    let known = tcgetwinsize(stdout()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    known.map_or(Size { rows: 24, columns: 80 }, |size| Size { rows: size.ws_row.into(), columns: size.ws_col.into() })
}

/// What draws `text` over what was drawn before, as one picture. Long lines are broken; what does not fit is counted.
pub fn draw(text: &str, size: Size) -> String {
    // The last column stays free: behind a letter there, the end of the line would be the letter itself.
    let width = size.columns.saturating_sub(1).max(1);
    let mut lines: Vec<&str> = text.lines().flat_map(|line| broken(line, width)).collect();
    let more;
    if lines.len() > size.rows {
        let shown = size.rows.saturating_sub(1);
        more = format!("... {} more lines", lines.len() - shown);
        lines.truncate(shown);
        lines.push(&more);
    }
    // Begin of a picture, home; each line to its end; what is below; end of the picture.
    let body = lines.join("\u{1b}[K\r\n");
    format!("\u{1b}[?2026h\u{1b}[H{body}\u{1b}[K\u{1b}[J\u{1b}[?2026l")
}

/// A line in pieces of no more than `columns`, broken at a blank where there is one. Colours take no place.
fn broken(line: &str, columns: usize) -> Vec<&str> {
    let (mut pieces, mut begin) = (Vec::new(), 0);
    // The last blank of the piece, and what stands before and behind it.
    let (mut blank, mut width, mut behind) = (None, 0, 0);
    let mut in_colour = false;
    for (at, c) in line.char_indices() {
        match c {
            '\u{1b}' => in_colour = true,
            _ if in_colour => in_colour = c != 'm',
            ' ' if width == columns => {
                pieces.push(&line[begin..at]);
                (begin, width, blank) = (at + 1, 0, None);
            }
            _ => {
                if width == columns {
                    let end = blank.unwrap_or(at);
                    pieces.push(&line[begin..end]);
                    (begin, width) = if blank.is_some() { (end + 1, behind) } else { (at, 0) };
                    blank = None;
                }
                width += 1;
                behind += 1;
                // Blanks at the margin indent; a line is not broken there.
                if c == ' ' && !line[begin..at].trim_start().is_empty() {
                    (blank, behind) = (Some(at), 0);
                }
            }
        }
    }
    pieces.push(&line[begin..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(drawn: &str) -> Vec<String> {
        let body = drawn.split("\u{1b}[H").nth(1).unwrap();
        body.split("\r\n").map(|line| line.split('\u{1b}').next().unwrap().to_owned()).collect()
    }

    const fn size(rows: usize) -> Size {
        Size { rows, columns: 80 }
    }

    #[test]
    fn long_lines_are_broken_at_blanks_and_colours_take_no_place() {
        assert_eq!(broken("one two three", 8), ["one two", "three"]);
        assert_eq!(broken("one two three", 13), ["one two three"]);
        assert_eq!(broken("  abcdefgh ij", 5), ["  abc", "defgh", "ij"]);
        assert_eq!(broken("\u{1b}[31mone\u{1b}[0m two", 7), ["\u{1b}[31mone\u{1b}[0m two"]);
        assert_eq!(broken("", 5), [""]);
        for width in 1..20 {
            let text = "daemon-secrets is gone; start it again: sesame unlock";
            let pieces = broken(text, width);
            assert!(pieces.iter().all(|piece| piece.len() <= width), "{pieces:?}");
            assert_eq!(pieces.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }

    #[test]
    fn no_more_is_drawn_than_there_are_rows() {
        let text = "a\nb\nc\n";
        assert_eq!(bare(&draw(text, size(24))), ["a", "b", "c"]);
        assert_eq!(bare(&draw(text, size(3))), ["a", "b", "c"]);
        assert_eq!(bare(&draw(text, size(2))), ["a", "... 2 more lines"]);
        assert_eq!(bare(&draw(text, size(1))), ["... 3 more lines"]);
    }

    #[test]
    fn the_last_column_stays_free() {
        assert_eq!(bare(&draw("abcde", Size { rows: 24, columns: 5 })), ["abcd", "e"]);
        assert_eq!(bare(&draw("abcd", Size { rows: 24, columns: 5 })), ["abcd"]);
    }

    #[test]
    fn every_line_ends_what_stood_there_before() {
        let drawn = draw("a\nb\n", size(24));
        assert_eq!(drawn.matches("\u{1b}[K").count(), 2);
        assert!(drawn.starts_with("\u{1b}[?2026h") && drawn.ends_with("\u{1b}[J\u{1b}[?2026l"));
    }
}
