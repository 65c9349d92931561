//! Items as they come and go on the private socket. Pure but for the randomness of new ids.

use dbus_interfaces::{
    Error, ProfileName,
    vault::{ListedItem, NewItem},
};
use vault_store::{Change, Foreign, Found, Item, ItemId, OpenVault};

/// An item of `vault`, as it is listed.
pub fn listed(vault: &OpenVault, found: Found<'_>) -> ListedItem {
    let attributes = found.attributes(vault.profile());
    ListedItem {
        id: found.id.to_string(),
        origin: found.origin.into(),
        name: found.secret.map_or_else(String::new, ToString::to_string),
        label: found.item.label.to_string(),
        attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        content_type: found.item.content_type.to_string(),
        created_usec: found.item.created,
        modified_usec: found.item.modified,
    }
}

/// The change that stores `new`, and the id that it then has.
///
/// # Errors
/// `TooLarge` where it names no application, `Storage` where the system has no randomness.
pub fn added(new: NewItem, value: &[u8], now_usec: u64) -> Result<(ItemId, Change), Error> {
    let at = |usec: u64| if usec == 0 { now_usec } else { usec };
    let item = Item {
        label: new.label.into(),
        attributes: new.attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        content_type: new.content_type.into(),
        created: at(new.created_usec),
        modified: at(new.modified_usec),
        value: Box::<[u8]>::from(value).into(),
    };
    let id = new_id()?;
    let foreign = Foreign::new(id, &new.origin, item).map_err(|limit| Error::TooLarge(limit.to_string()))?;
    Ok((id, Change::Add { id, item: Box::new(foreign) }))
}

/// An id for a new item.
///
/// # Errors
/// `Storage` where the system has no randomness.
pub fn new_id() -> Result<ItemId, Error> {
    ItemId::random().map_err(|cause| Error::Storage(format!("the system has no random numbers: {cause}; retry later")))
}

/// The id that `text` is.
///
/// # Errors
/// `InvalidName`.
pub fn id(text: &str) -> Result<ItemId, Error> {
    text.parse().map_err(|_| {
        Error::InvalidName(
            "an item is named by 32 hex digits in lower case; sesame secret list --all shows them".into(),
        )
    })
}

/// `profile` holds no such item.
pub fn not_found(profile: &ProfileName) -> Error {
    let sentence = format!("{profile} holds no such item; sesame secret list --all -p {profile} shows what it holds");
    Error::NotFound(sentence)
}
