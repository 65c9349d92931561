//! The published XML is what the running daemons introspect as: same members, names, types and annotations.

use std::collections::BTreeSet;

use dbus_interfaces::{daemon, profile, prompter, secrets, vault};
use roxmltree::{Document, Node, ParsingOptions};
use session_tests::{scenarios, session::Session, suite::Suite};
use zbus::{Connection, fdo::IntrospectableProxy};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        the_published_xml_is_what_the_daemons_introspect_as,
    );
}

/// The XML as it is published.
const PUBLISHED: [(&str, &str); 5] = [
    (daemon::INTERFACE, include_str!("../../dbus-interfaces/org.opensesame.Daemon.xml")),
    (profile::INTERFACE, include_str!("../../dbus-interfaces/org.opensesame.Profile.xml")),
    (prompter::INTERFACE, include_str!("../../dbus-interfaces/org.opensesame.Prompter.xml")),
    (secrets::INTERFACE, include_str!("../../dbus-interfaces/org.opensesame.Secrets.xml")),
    (vault::INTERFACE, include_str!("../../dbus-interfaces/org.opensesame.Vault.xml")),
];

fn published(interface: &str) -> BTreeSet<String> {
    let (_, text) = PUBLISHED.iter().find(|(name, _)| *name == interface).unwrap();
    let members = members(text, interface);
    assert!(members.len() > 1, "{interface}: {members:?}");
    members
}

/// One line for each member of `interface`: comments, order of members and defaults do not count.
fn members(xml: &str, interface: &str) -> BTreeSet<String> {
    let document = Document::parse_with_options(xml, ParsingOptions { allow_dtd: true, ..Default::default() }).unwrap();
    let found = document.descendants().find(|node| node.attribute("name") == Some(interface));
    let Some(found) = found else { panic!("no {interface} in {xml}") };
    found.children().filter(Node::is_element).map(member).collect()
}

fn member(node: Node<'_, '_>) -> String {
    // Arguments count in their order; annotations do not.
    let (arguments, others): (Vec<_>, Vec<_>) =
        node.children().filter(Node::is_element).partition(|child| child.has_tag_name("arg"));
    let arguments: Vec<String> = arguments.into_iter().map(|argument| element(argument, node)).collect();
    let mut others: Vec<String> = others.into_iter().map(|other| element(other, node)).collect();
    // What is so where nothing is said, and what qdbusxml2cpp wants to know.
    others.retain(|line| {
        let default = line.contains("EmitsChangedSignal") && line.contains("value=true");
        !default && !line.contains("org.qtproject.")
    });
    others.sort();
    format!("{} {}", element(node, node), [arguments, others].concat().join(" "))
}

fn element(node: Node<'_, '_>, member: Node<'_, '_>) -> String {
    let mut attributes: Vec<String> = node
        .attributes()
        // Where nothing is said, a method's argument goes in and a signal's goes out.
        .filter(|is| is.name() != "direction" || is.value() != if member.has_tag_name("method") { "in" } else { "out" })
        .map(|attribute| format!("{}={}", attribute.name(), attribute.value()))
        .collect();
    attributes.sort();
    format!("<{} {}>", node.tag_name().name(), attributes.join(" "))
}

async fn introspected(connection: &Connection, name: &str, path: &str, interface: &str) -> BTreeSet<String> {
    let builder = IntrospectableProxy::builder(connection).destination(name).path(path);
    let proxy = builder.cache_properties(zbus::proxy::CacheProperties::No).build().await.unwrap();
    members(&proxy.introspect().await.unwrap(), interface)
}

async fn the_published_xml_is_what_the_daemons_introspect_as(session: Session) {
    let _daemons = session.daemons().await;
    let client = session.client().await;
    for (name, path, interface) in [
        (profile::NAME, profile::PATH, profile::INTERFACE),
        (secrets::NAME, secrets::PATH, secrets::INTERFACE),
        (profile::NAME, daemon::PATH, daemon::INTERFACE),
        (secrets::NAME, daemon::PATH, daemon::INTERFACE),
    ] {
        let running = introspected(&client.connection, name, path, interface).await;
        assert_eq!(published(interface), running, "{interface} of {name}");
    }
    let _prompter = session.prompter().await;
    let running = introspected(&client.connection, prompter::NAME, prompter::PATH, prompter::INTERFACE).await;
    assert_eq!(published(prompter::INTERFACE), running);
    let private = session.vault().await;
    let running = introspected(private.inner().connection(), secrets::NAME, vault::PATH, vault::INTERFACE).await;
    assert_eq!(published(vault::INTERFACE), running);
}
