//! Writes down, in the order of the bus, every signal of both daemons and every change of their names.

use futures_util::StreamExt;
use tokio::{sync::watch, task::JoinHandle};
use zbus::{Message, MessageStream, Structure, message::Type};

use crate::{client::Client, within_deadline};

const RULES: [&str; 2] = [
    "type='signal',path_namespace='/org/opensesame'",
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0namespace='org.opensesame'",
];
const MARK: &str = "org.opensesame.Test";

/// A recording connection. Its own calls and their answers are in the record too.
pub struct Recorder {
    /// The connection that records.
    pub client: Client,
    heard: watch::Receiver<Vec<Message>>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts to record on the bus at `address`.
    ///
    /// # Panics
    /// The bus refuses.
    pub async fn start(address: &str) -> Self {
        let client = Client::connect(address).await;
        // One stream without a filter: streams with filters have queues of their own and lose the order.
        let mut stream = MessageStream::from(&client.connection);
        let (sender, heard) = watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                sender.send_modify(|heard| heard.push(message));
            }
        });
        for rule in RULES {
            let bus = "org.freedesktop.DBus";
            let added = client.connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &rule);
            added.await.expect("a subscription");
        }
        Self { client, heard, task }
    }

    /// Everything that the bus had routed here before this call.
    ///
    /// # Panics
    /// The bus is gone.
    pub async fn all(&mut self) -> Vec<Message> {
        let own = self.client.connection.unique_name().expect("a name of one's own").to_string();
        let mark = self.heard.borrow().len() as u64;
        self.client.forge(Some(&own), "/mark", MARK, "Mark", &mark).await;
        let is_mark = |message: &Message| {
            let header = message.header();
            let marks = header.interface().is_some_and(|name| name == MARK)
                && header.sender().is_some_and(|sender| sender.as_str() == own);
            marks && message.body().deserialize::<u64>() == Ok(mark)
        };
        self.until("its own mark", |heard| heard.iter().any(&is_mark)).await
    }

    /// Everything until `seen` holds of it.
    ///
    /// # Panics
    /// It never does.
    pub async fn until(&mut self, what: &str, mut seen: impl FnMut(&[Message]) -> bool) -> Vec<Message> {
        let heard = within_deadline(what, self.heard.wait_for(|heard| seen(heard))).await;
        heard.expect("a recorder that runs").clone()
    }

    /// The signals of `/org/opensesame/DAEMON` (`Profile`, `Secrets`), each as a line of words.
    pub async fn signals(&mut self, daemon: &str) -> Vec<String> {
        let path = format!("/org/opensesame/{daemon}");
        let all = self.all().await;
        let own = all.iter().filter(|message| message.header().path().is_some_and(|is| is.as_str() == path));
        own.filter_map(line).collect()
    }

    /// Waits until the hub's report fulfils `holds`, asking again at each of its signals.
    pub async fn until_report(
        &mut self,
        what: &str,
        holds: impl Fn(&dbus_interfaces::profile::Report) -> bool,
    ) -> dbus_interfaces::profile::Report {
        loop {
            // Counted before the question: a change that comes after the answer is one more.
            let seen = self.hub_signals();
            let report = self.client.report().await;
            if holds(&report) {
                return report;
            }
            let what = format!("{what}; the last report is {report:?}");
            self.until(&what, |heard| heard.iter().filter(|message| of_hub(message)).count() > seen).await;
        }
    }

    fn hub_signals(&self) -> usize {
        self.heard.borrow().iter().filter(|message| of_hub(message)).count()
    }

    /// How many messages were heard until now, for a test that counts from here.
    pub async fn position(&mut self) -> usize {
        self.all().await.len()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn of_hub(message: &Message) -> bool {
    message.header().path().is_some_and(|path| path.as_str() == dbus_interfaces::profile::PATH)
}

/// A signal as words: member and values. Of a PropertiesChanged the names, in order.
pub fn line(message: &Message) -> Option<String> {
    if message.message_type() != Type::Signal {
        return None;
    }
    let member = message.header().member()?.to_string();
    if member == "PropertiesChanged" {
        return Some(format!("{member} {}", changed(message)?.keys().cloned().collect::<Vec<_>>().join(" ")));
    }
    let body = message.body();
    let values = body.deserialize::<Structure<'_>>().ok()?;
    let words = values.fields().iter().map(|field| match field {
        zbus::Variant::Str(text) => text.to_string(),
        zbus::Variant::Bool(truth) => truth.to_string(),
        zbus::Variant::U32(number) => number.to_string(),
        zbus::Variant::U64(number) => number.to_string(),
        other => format!("{other:?}"),
    });
    Some(std::iter::once(member).chain(words).collect::<Vec<_>>().join(" "))
}

/// What a PropertiesChanged carries, by name.
pub fn changed(message: &Message) -> Option<std::collections::BTreeMap<String, zbus::OwnedVariant>> {
    let body = message.body();
    let (_, changed, _): (String, std::collections::BTreeMap<String, zbus::OwnedVariant>, Vec<String>) =
        body.deserialize().ok()?;
    Some(changed)
}
