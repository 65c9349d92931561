//! What applications are told of changes, so that what they show stays true.

use std::collections::HashMap;

use futures_util::StreamExt;
use session_tests::{scenarios, session::Session, suite::Suite, within_deadline};
use zbus::{MatchRule, MessageStream, OwnedObjectPath, OwnedVariant, Variant, fdo, message::Type};

use crate::secret_service::{Application, NAME, PERSONAL, SERVICE, offered};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        what_an_item_became_is_told_and_what_it_is_after_an_unlock,
        another_algorithm_than_those_is_not_supported_by_name,
    );
}

type Properties = HashMap<String, OwnedVariant>;

/// The properties that change next at `path`, of those that have `wanted`.
async fn changed(signals: &mut MessageStream, path: &str, wanted: &str) -> Properties {
    within_deadline(&format!("{wanted} of {path} to change"), async {
        loop {
            let message = signals.next().await.unwrap().unwrap();
            let header = message.header();
            if header.path().unwrap().as_str() != path || header.member().unwrap().as_str() != "PropertiesChanged" {
                continue;
            }
            let (_, changed, _): (String, Properties, Vec<String>) = message.body().deserialize().unwrap();
            if changed.contains_key(wanted) {
                return changed;
            }
        }
    })
    .await
}

fn word(properties: &Properties, name: &str) -> String {
    properties[name].try_clone().unwrap().try_into().unwrap()
}

async fn what_an_item_became_is_told_and_what_it_is_after_an_unlock(session: Session) {
    let _daemons = offered(&session).await;
    let application = Application(session.client().await);
    let rule = MatchRule::builder().msg_type(Type::Signal).path_namespace(SERVICE).build().unwrap();
    let limit = std::num::NonZero::new(256);
    let connection = &application.0.connection;
    let mut signals = MessageStream::for_match_rule(rule, connection, limit).await.unwrap();
    let plain = application.session().await.unwrap();
    application.create(&plain, b"pass-1".into()).await.unwrap();
    let items = changed(&mut signals, PERSONAL, "Items").await;
    let items = Vec::<OwnedObjectPath>::try_from(items["Items"].try_clone().unwrap()).unwrap();
    let [item] = &items[..] else { panic!("{items:?}") };

    let set = ("org.freedesktop.Secret.Item", "Label", Variant::from("two"));
    let properties = Some("org.freedesktop.DBus.Properties");
    connection.call_method(Some(NAME), item.as_str(), properties, "Set", &set).await.unwrap();
    assert_eq!(word(&changed(&mut signals, item.as_str(), "Label").await, "Label"), "two");

    application.0.secrets().await.lock("personal").await.unwrap();
    changed(&mut signals, item.as_str(), "Locked").await;
    session.unlock(&["personal"]).await;
    let unlocked = changed(&mut signals, item.as_str(), "Locked").await;
    assert_eq!((word(&unlocked, "Label"), bool::try_from(&unlocked["Locked"]).unwrap()), ("two".to_owned(), false));
}

async fn another_algorithm_than_those_is_not_supported_by_name(session: Session) {
    let _daemons = offered(&session).await;
    let application = Application(session.client().await);
    let asked = application.call(SERVICE, "Service", "OpenSession", &("nonsense", Variant::from(""))).await;
    // zbus tells the bus's own errors by their names.
    let refused = asked.unwrap_err();
    let zbus::Error::FDO(named) = &refused else { panic!("{refused:?}") };
    assert!(matches!(**named, fdo::Error::NotSupported(_)), "{refused:?}");
}
