//! `sesame secret list --all`: a line an item. Pure.

use std::iter;

use dbus_interfaces::vault::ListedItem;

/// Whose each item is, its name or label, and the attributes of those that have no name, in columns.
pub fn lines(items: &[ListedItem]) -> Vec<String> {
    let shown: Vec<[String; 3]> = items.iter().map(cells).collect();
    let width = |column: usize| shown.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let line = |[origin, name, attributes]: &[String; 3]| {
        format!("{origin:first$}  {name:second$}  {attributes}").trim_end().to_owned()
    };
    shown.iter().map(line).collect()
}

fn cells(item: &ListedItem) -> [String; 3] {
    let name = if item.name.is_empty() { &item.label } else { &item.name };
    let attributes: Vec<String> = match item.name.is_empty() {
        true => item.attributes.iter().map(|(name, value)| printable(&format!("{name}={value}"))).collect(),
        false => Vec::new(),
    };
    [printable(&item.origin), printable(name), attributes.join(" ")]
}

/// An application may have put anything into a text: a line stays a line, and a terminal is not told what to do.
fn printable(text: &str) -> String {
    let each = |symbol: char| match symbol.is_control() {
        true => symbol.escape_default().collect(),
        false => iter::once(symbol).collect::<String>(),
    };
    text.chars().map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(origin: &str, name: &str, label: &str) -> ListedItem {
        ListedItem {
            id: String::new(),
            origin: origin.into(),
            name: name.into(),
            label: label.into(),
            attributes: [("user".to_owned(), "me".to_owned()), ("x".to_owned(), "\u{1b}[2J".to_owned())].into(),
            content_type: String::new(),
            created_usec: 0,
            modified_usec: 0,
        }
    }

    #[test]
    fn a_line_is_an_item_whatever_is_in_it() {
        let lines = lines(&[item("sesame", "db-url", "db-url"), item("a\nb", "", "Päss")]);
        assert_eq!(lines, ["sesame  db-url", "a\\nb    Päss    user=me x=\\u{1b}[2J"]);
    }

    #[test]
    fn nothing_is_no_line() {
        assert!(lines(&[]).is_empty());
    }
}
