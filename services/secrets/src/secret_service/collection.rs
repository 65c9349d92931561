//! `org.freedesktop.Secret.Collection`: a trust profile's items, or those that are in memory only.

use std::{collections::HashMap, sync::Arc};

use daemon_runtime::clock;
use vault_store::{Alteration, Change, Foreign, Item, ItemId};
use zbus::{OwnedObjectPath, OwnedVariant, interface, message::Header, object_server::SignalEmitter};

use super::{
    caller,
    desk::{Desk, default_profile, times},
    error::{Error, invalid, limits, unsupported},
    item::unwrapped,
    paths::{self, Collection as Which},
    prompts::Wish,
    wire::{Secret, Words, attributes},
};
use crate::{handle::Reads, items};

const LABEL: &str = "org.freedesktop.Secret.Item.Label";
const ATTRIBUTES: &str = "org.freedesktop.Secret.Item.Attributes";

/// One collection.
pub struct Collection {
    /// The shared part.
    pub desk: Arc<Desk>,
    /// Which one.
    pub which: Which,
}

impl Collection {
    async fn find(&self, wanted: Words) -> Vec<OwnedObjectPath> {
        let found = self.desk.find(vec![self.which.clone()], &attributes(wanted)).await;
        found.unlocked.into_iter().chain(found.locked).map(|(of, id)| paths::item(&of, id)).collect()
    }

    fn times(&self) -> (u64, u64) {
        match &self.which {
            Which::Profile(profile) => times(profile),
            Which::Memory => (0, 0),
        }
    }

    /// The item that has exactly these attributes.
    async fn same(&self, wanted: &Words) -> Result<Option<ItemId>, Error> {
        let wanted = attributes(wanted.clone());
        let look = move |content: &vault_store::Content, profile: &dbus_interfaces::ProfileName| {
            let found = content.find(profile, &wanted).into_iter().filter_map(|id| content.item(&id));
            found.into_iter().find(|found| found.attributes(profile).len() == wanted.len()).map(|found| found.id)
        };
        self.desk.look(&self.which, Reads::Nothing, look).await
    }
}

fn read<T>(properties: &mut HashMap<String, OwnedVariant>, name: &str) -> Result<Option<T>, Error>
where
    T: TryFrom<OwnedVariant>,
{
    let value = properties.remove(name).map(T::try_from).transpose();
    value.map_err(|_| invalid(format!("the property {name} has another type")))
}

#[interface(name = "org.freedesktop.Secret.Collection", introspection_docs = false)]
impl Collection {
    #[zbus(out_args("prompt"))]
    async fn delete(&self, #[zbus(header)] header: Header<'_>) -> Result<OwnedObjectPath, Error> {
        let Which::Profile(profile) = &self.which else {
            return Err(unsupported("the collection that is in memory only cannot be deleted"));
        };
        // As `sesame profile remove` has it: every client's `default` would lead nowhere.
        if *profile == default_profile() {
            return Err(unsupported(format!(
                "{profile} is the default profile; choose another one first, then delete it"
            )));
        }
        caller::prompt(&self.desk, &header, Wish::Delete(profile.clone()))
    }

    #[zbus(out_args("results"))]
    async fn search_items(&self, attributes: Words) -> Result<Vec<OwnedObjectPath>, Error> {
        Ok(self.find(attributes).await)
    }

    #[zbus(out_args("item", "prompt"))]
    async fn create_item(
        &self,
        mut properties: HashMap<String, OwnedVariant>,
        secret: Secret,
        replace: bool,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Error> {
        let label = read::<String>(&mut properties, LABEL)?;
        let words = read::<Words>(&mut properties, ATTRIBUTES)?.unwrap_or_default();
        let value = unwrapped(&self.desk, &secret, &header)?;
        // Held to the end.
        let turn = if replace { self.desk.replacing.acquire().await.ok() } else { None };
        let same = if turn.is_some() { self.same(&words).await? } else { None };
        let (now_usec, content_type) = (clock::now_usec(), secret.content_type.as_str().into());
        let (id, change) = match same {
            Some(id) => {
                let label = label.map(Into::into);
                let alteration = Alteration { label, attributes: None, value: Some((value, content_type)) };
                (id, Change::Alter { id, alteration, now_usec })
            }
            None => {
                let (id, label) = (items::new_id()?, label.unwrap_or_default().into());
                let (created, modified, attributes) = (now_usec, now_usec, attributes(words));
                let item = Item { label, attributes, content_type, created, modified, value };
                let origin = caller::program(&self.desk, &header).await;
                let foreign = Foreign::new(id, &origin, item).map_err(|limit| limits(limit.to_string()))?;
                (id, Change::Add { id, item: Box::new(foreign) })
            }
        };
        self.desk.announcements.given_out(&self.which, id);
        self.desk.edit(&self.which, change).await?;
        Ok((paths::item(&self.which, id), paths::nothing()))
    }

    #[zbus(property)]
    async fn items(&self) -> Vec<OwnedObjectPath> {
        self.find(Words::new()).await
    }

    // Told with what else changed: the setter that zbus writes looks in its object server, where nothing is.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn label(&self) -> String {
        match &self.which {
            Which::Profile(profile) => profile.to_string(),
            Which::Memory => "session".into(),
        }
    }

    #[zbus(property)]
    async fn set_label(&self, _label: String) -> Result<(), Error> {
        Err(unsupported("a collection is called as its trust profile is, and that keeps its name"))
    }

    #[zbus(property)]
    async fn locked(&self) -> Result<bool, Error> {
        self.desk.locked(&self.which)
    }

    #[zbus(property)]
    async fn created(&self) -> u64 {
        self.times().0
    }

    #[zbus(property)]
    async fn modified(&self) -> u64 {
        self.times().1
    }

    #[zbus(signal)]
    async fn item_created(emitter: &SignalEmitter<'_>, item: OwnedObjectPath) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn item_deleted(emitter: &SignalEmitter<'_>, item: OwnedObjectPath) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn item_changed(emitter: &SignalEmitter<'_>, item: OwnedObjectPath) -> zbus::Result<()>;
}
