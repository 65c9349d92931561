//! A program on the bus as anyone may write it: asks, waits for names, owns some, forges signals.

use std::collections::HashMap;

use dbus_interfaces::{
    profile::{self, ProfileProxy, Report, Status},
    secrets::{self, SecretsProxy},
};
use futures_util::StreamExt;
use serde::Serialize;
use zbus::{
    Connection, DynamicType, MatchRule, Message, MessageStream, OwnedVariant, connection::Builder, fdo, message::Type,
};

use crate::{DEADLINE, within_deadline};

/// A connection to a bus.
#[derive(Clone)]
pub struct Client {
    /// As zbus sees it.
    pub connection: Connection,
}

impl Client {
    /// Connects to the bus at `address`.
    ///
    /// # Panics
    /// It cannot, in time.
    pub async fn connect(address: &str) -> Self {
        let connecting = Builder::address(address).method_timeout(DEADLINE).build();
        let connection = within_deadline("a connection to the bus", connecting).await;
        Self { connection: connection.expect("a connection to the bus") }
    }

    /// The hub's proxy.
    pub async fn hub(&self) -> ProfileProxy<'static> {
        ProfileProxy::new(&self.connection).await.expect("a proxy of the hub")
    }

    /// The proxy of daemon-secrets.
    pub async fn secrets(&self) -> SecretsProxy<'static> {
        SecretsProxy::new(&self.connection).await.expect("a proxy of daemon-secrets")
    }

    /// `Status`.
    ///
    /// # Panics
    /// It is refused.
    pub async fn status(&self) -> Status {
        self.hub().await.status().await.expect("Status")
    }

    /// `Report`.
    ///
    /// # Panics
    /// It is refused.
    pub async fn report(&self) -> Report {
        self.hub().await.report().await.expect("Report")
    }

    /// `GetAll` of the hub or of daemon-secrets, by its well-known name.
    pub async fn get_all(&self, name: &str) -> HashMap<String, OwnedVariant> {
        let path = if name == profile::NAME { profile::PATH } else { secrets::PATH };
        let interface = Some("org.freedesktop.DBus.Properties");
        let reply = self.connection.call_method(Some(name), path, interface, "GetAll", &name).await;
        reply.expect("GetAll").body().deserialize().expect("properties")
    }

    /// Who owns `name`.
    pub async fn owner(&self, name: &str) -> Option<String> {
        let bus = fdo::DBusProxy::new(&self.connection).await.expect("a proxy of the bus");
        bus.get_name_owner(name.try_into().expect("a bus name")).await.ok().map(|owner| owner.to_string())
    }

    /// Waits until somebody owns `name`.
    pub async fn wait_for_owner(&self, name: &str) {
        self.wait_for_name(name, true).await;
    }

    /// Waits until nobody owns `name`.
    pub async fn wait_until_gone(&self, name: &str) {
        self.wait_for_name(name, false).await;
    }

    async fn wait_for_name(&self, name: &str, owned: bool) {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, name)
            .build()
            .expect("a match rule");
        // Subscribed first, then asked: no change falls between the two.
        let mut changes = MessageStream::for_match_rule(rule, &self.connection, None).await.expect("a subscription");
        while self.owner(name).await.is_some() != owned {
            let what = format!("{name} to be {}", if owned { "owned" } else { "free" });
            within_deadline(&what, changes.next()).await;
        }
    }

    /// Sends a signal as if this were a daemon: to everybody, or to `destination` alone.
    ///
    /// # Panics
    /// The bus is gone.
    pub async fn forge<B>(&self, destination: Option<&str>, path: &str, interface: &str, member: &str, body: &B)
    where
        B: Serialize + DynamicType,
    {
        self.connection.emit_signal(destination, path, interface, member, body).await.expect("a signal to be sent");
    }

    /// Calls a method without starting anybody, and returns the answer, error answers too.
    ///
    /// # Errors
    /// What the callee or the bus says.
    pub async fn call<B>(&self, name: &str, path: &str, member: &str, body: &B) -> zbus::Result<Message>
    where
        B: Serialize + DynamicType,
    {
        self.connection.call_method(Some(name), path, Some(name), member, body).await
    }
}
