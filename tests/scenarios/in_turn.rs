//! What applications ask at once: one client's calls in their order, however many, and several clients' without harm.

use std::collections::HashMap;

use futures_util::future::join_all;
use session_tests::{needs::Need, scenarios, session::Session, suite::Suite};
use zbus::{OwnedObjectPath, Variant};

use crate::secret_service::{Application, PERSONAL, SERVICE, offered};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        all_that_one_client_asks_at_once_is_done_in_its_order,
        what_several_clients_replace_at_once_is_one_item,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("secret-tool")]);
        secret_tool_clears_more_than_may_wait_for_a_disk,
    );
}

/// More than eight, which may wait for a disk.
const MANY: usize = 30;

async fn replace(application: &Application, session: &OwnedObjectPath, value: String) -> zbus::Result<zbus::Message> {
    let attributes = HashMap::from([("app", "in-turn")]);
    let properties = HashMap::from([("org.freedesktop.Secret.Item.Attributes", Variant::from(attributes))]);
    let secret = (session, Vec::<u8>::new(), value.into_bytes(), "text/plain");
    application.call(PERSONAL, "Collection", "CreateItem", &(properties, secret, true)).await
}

async fn found(application: &Application) -> Vec<OwnedObjectPath> {
    let wanted = HashMap::from([("app", "in-turn")]);
    let found = application.call(SERVICE, "Service", "SearchItems", &wanted).await.unwrap();
    let (unlocked, _): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = found.body().deserialize().unwrap();
    unlocked
}

async fn all_that_one_client_asks_at_once_is_done_in_its_order(session: Session) {
    let _daemons = offered(&session).await;
    let application = Application(session.client().await);
    let plain = application.session().await.unwrap();
    let values = (0..MANY).map(|number| number.to_string());
    // Asked behind them, and not after they were answered.
    let (stored, item) =
        tokio::join!(join_all(values.map(|value| replace(&application, &plain, value))), found(&application));
    stored.into_iter().for_each(|stored| drop(stored.unwrap()));
    let [item] = &item[..] else { panic!("{item:?}") };
    let answer = application.call(item.as_str(), "Item", "GetSecret", &plain).await.unwrap();
    let (_, _, value, _): (OwnedObjectPath, Vec<u8>, Vec<u8>, String) = answer.body().deserialize().unwrap();
    assert_eq!(value, (MANY - 1).to_string().into_bytes(), "the last one counts");
}

async fn what_several_clients_replace_at_once_is_one_item(session: Session) {
    let _daemons = offered(&session).await;
    let applications = join_all((0..6).map(|_| async { Application(session.client().await) })).await;
    let stored = join_all(applications.iter().map(async |application| {
        let plain = application.session().await.unwrap();
        replace(application, &plain, "x".into()).await
    }));
    stored.await.into_iter().for_each(|stored| drop(stored.unwrap()));
    assert_eq!(found(&applications[0]).await.len(), 1);
}

async fn secret_tool_clears_more_than_may_wait_for_a_disk(session: Session) {
    let _daemons = offered(&session).await;
    for number in 0..MANY {
        let store = ["secret-tool", "store", "--label=m", "app", "in-turn", "number", &number.to_string()];
        session.run_fed(&store, b"x").await.stdout_of_success();
    }
    session.run(&["secret-tool", "clear", "app", "in-turn"]).await.stdout_of_success();
    assert_eq!(session.vault().await.list_items("personal").await.unwrap(), []);
}
