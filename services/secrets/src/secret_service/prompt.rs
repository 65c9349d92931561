//! `org.freedesktop.Secret.Prompt`: has a person asked, and says how it ended.

use std::sync::Arc;

use tokio::sync::oneshot;
use zbus::{OwnedObjectPath, Variant, interface, message::Header, object_server::SignalEmitter};

use super::{
    asking::{Question, What, ask},
    caller,
    desk::Desk,
    error::{Error, no_object},
    paths::{self, Collection},
    prompts::Wish,
};

/// One prompt.
pub struct Prompt {
    /// The shared part.
    pub desk: Arc<Desk>,
    /// Which one.
    pub number: u64,
}

impl Prompt {
    /// # Errors
    /// `NoSuchObject` where it is another client's, or over.
    fn must_be_held(&self, owner: &str) -> Result<(), Error> {
        match self.desk.open().prompts.holds(self.number, owner) {
            true => Ok(()),
            false => Err(no_object(paths::prompt(self.number).as_str())),
        }
    }
}

#[interface(name = "org.freedesktop.Secret.Prompt", introspection_docs = false)]
impl Prompt {
    #[zbus(name = "Prompt")]
    async fn show(&self, window_id: String, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        let owner = caller::connection(&header);
        self.must_be_held(&owner)?;
        let shown = self.desk.open().prompts.show(self.number, &owner);
        // Shown already: it ends when that does.
        let Some((wish, gone)) = shown else { return Ok(()) };
        let who = caller::program(&self.desk, &header).await;
        let (desk, number) = (Arc::clone(&self.desk), self.number);
        tokio::spawn(async move { run(&desk, number, &owner, wish, &who, &window_id, gone).await });
        Ok(())
    }

    async fn dismiss(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        let owner = caller::connection(&header);
        self.must_be_held(&owner)?;
        let wish = self.desk.open().prompts.remove(self.number);
        if let Some(wish) = wish {
            self.desk.announcements.completed(self.number, &owner, true, brought(&self.desk, &wish, false));
        }
        self.desk.announcements.sent().await;
        Ok(())
    }

    #[zbus(signal)]
    async fn completed(emitter: &SignalEmitter<'_>, dismissed: bool, result: Variant<'_>) -> zbus::Result<()>;
}

async fn run(
    desk: &Arc<Desk>,
    number: u64,
    owner: &str,
    wish: Wish,
    who: &str,
    window: &str,
    gone: oneshot::Receiver<()>,
) {
    let done = tokio::select! {
        done = fulfil(desk, &wish, who, window) => done,
        // Dismissed, which was answered, or the client is gone.
        _ = gone => return,
    };
    if desk.open().prompts.remove(number).is_none() {
        return;
    }
    desk.announcements.completed(number, owner, !done, brought(desk, &wish, done));
}

/// The result of a prompt, of the type that its wish has, also where it was dismissed.
fn brought(desk: &Desk, wish: &Wish, done: bool) -> Variant<'static> {
    match wish {
        Wish::Unlock { profiles: _, objects } => {
            let open = |path: &&OwnedObjectPath| desk.object(path.as_str()).is_ok_and(|object| is_open(desk, &object));
            Variant::from(objects.iter().filter(open).cloned().collect::<Vec<OwnedObjectPath>>())
        }
        Wish::Create(_) if !done => Variant::from(paths::nothing()),
        Wish::Create(profile) => Variant::from(paths::collection(&Collection::Profile(profile.clone()))),
        Wish::Delete(_) => Variant::from(""),
    }
}

fn is_open(desk: &Desk, object: &paths::Object) -> bool {
    match object {
        paths::Object::Collection(collection) | paths::Object::Item(collection, _) => {
            desk.locked(collection).is_ok_and(|locked| !locked)
        }
        _ => false,
    }
}

/// Whether the wish came true. One question after another; the first that is dismissed ends it.
async fn fulfil(desk: &Arc<Desk>, wish: &Wish, who: &str, window: &str) -> bool {
    let questions = match wish {
        Wish::Unlock { profiles, .. } => {
            profiles.iter().map(|profile| Question { what: What::Unlock, profile: profile.clone() }).collect()
        }
        Wish::Create(profile) => vec![Question { what: What::Create, profile: profile.clone() }],
        Wish::Delete(profile) => vec![Question { what: What::Delete, profile: profile.clone() }],
    };
    for question in questions {
        if !ask(desk, question, who.into(), window.into()).await {
            return false;
        }
    }
    true
}
