//! `org.opensesame(5)`, from the published XML: the comment before each member is its text.

use std::{fmt::Write, fs, io, path::Path};

use roxmltree::{Document, Node};

const HEAD: &str = include_str!("../../manual/org.opensesame.head.roff");

/// The whole page.
pub fn page(date: &str, manual: &str) -> io::Result<String> {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(".TH org.opensesame 5 {date} \"Open Sesame {version}\" \"{manual}\"\n{HEAD}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dbus-interfaces");
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<_> = entries
        .iter()
        .map(fs::DirEntry::path)
        .filter(|path| path.extension().is_some_and(|end| end == "xml"))
        .collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file)?;
        // The type is declared for other readers.
        let root = text.find("<node>").unwrap_or_default();
        let document = Document::parse(&text[root..]).map_err(|wrong| io::Error::other(wrong.to_string()))?;
        let children = document.root_element().children();
        for interface in children.filter(|node| node.has_tag_name("interface")) {
            let name = interface.attribute("name").unwrap_or_default();
            let _ = writeln!(page, ".SH \"{}\"", name.to_uppercase());
            paragraphs(&mut page, &comment(interface), ".PP");
            for member in interface.children().filter(Node::is_element) {
                entry(&mut page, member);
            }
        }
    }
    page += ".SH \"SEE ALSO\"\n.BR sesame (1) ,\n.BR open\\-sesame\\-config (5) ,\n.BR busctl (1)\n";
    Ok(page)
}

fn entry(page: &mut String, member: Node<'_, '_>) {
    let name = member.attribute("name").unwrap_or_default();
    let arguments = |direction: &str| {
        let meant = move |node: &Node<'_, '_>| {
            node.has_tag_name("arg") && node.attribute("direction").unwrap_or("out") == direction
        };
        let told = member.children().filter(meant).map(|argument| {
            let of = |key| argument.attribute(key).unwrap_or_default();
            format!("{} {}", of("type"), of("name")).trim().to_owned()
        });
        told.collect::<Vec<_>>().join(", ")
    };
    let (given, answered) = (arguments("in"), arguments("out"));
    let shape = match member.tag_name().name() {
        "method" if answered.is_empty() => format!("({given})"),
        "method" => format!("({given}) -> ({answered})"),
        "signal" => format!("({answered}), a signal"),
        "property" => format!(": {}, a property", member.attribute("type").unwrap_or_default()),
        _ => return,
    };
    let _ = writeln!(page, ".TP\n\\fB{}\\fP{}", escape(name), escape(&shape));
    paragraphs(page, &comment(member), ".IP");
}

/// The comment that stands before an element.
fn comment(element: Node<'_, '_>) -> String {
    let before = element.prev_siblings().skip(1).find(|node| !node.is_text());
    before.filter(Node::is_comment).and_then(|node| node.text()).unwrap_or_default().to_owned()
}

fn paragraphs(page: &mut String, text: &str, between: &str) {
    let words = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts: Vec<_> = text.split("\n\n").map(words).filter(|part| !part.is_empty()).collect();
    for (at, part) in parts.iter().enumerate() {
        // The first stands below its heading, or beside its name.
        if at > 0 {
            let _ = writeln!(page, "{between}");
        }
        // A sentence a line, as roff wants it.
        let _ = writeln!(page, "{}", escape(part).replace(". ", ".\n"));
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
