//! `sesame import`: from the Secret Service that runs now into a vault. One item at a time, each stored whole, so that
//! wherever it ends it may be run again.

use dbus_interfaces::{
    Error as Refusal, ProfileName,
    vault::{ListedItem, NewItem},
};
use secrecy::{ExposeSecret, SecretSlice};

use crate::{
    args::{Import, ImportFormat},
    bus::Bus,
    daemons,
    deadline::{CALL, Deadline},
    error::{During, Error, Failure},
    exit::Code,
    import::{
        plan::{Action, Foreign, Known, Present, decide},
        provider::Provider,
    },
    output,
    private::Private,
    render::import::{self, Row, Shown},
};

pub(super) async fn run(args: &Import) -> Result<Code, Failure> {
    let profile = daemons::chosen(args.which.profile.as_ref()).during("cannot tell the profile")?;
    let what = format!("cannot import into {profile}");
    let limit = args.timeout.timeout.unwrap_or(CALL);
    let vault = Vault { private: Private::connect(Deadline::after(limit)).await.during(&*what)?, profile, limit };
    // First, since without an open vault no secret of the provider need be touched.
    let mut present = vault.present().await.during(&*what)?;
    let bus = Bus::connect(Deadline::after(limit)).await.during(&*what)?;
    let hint = "start the other provider (gnome-keyring-daemon --start --components=secrets), and run it again";
    let provider = Provider::connect(&bus, limit).await.map_err(|error| match error {
        error @ Error::NotRunning(_) => error.during(&*what).hint(hint),
        error => error.during(&*what),
    })?;
    let from = provider.program().await;
    let kept = provider.kept().await.map_err(|error| error.during(&*what).hint("nothing was stored; run it again"))?;
    let plan = |foreign: Foreign| (decide(&foreign, &mut present, args.skip_conflicts), foreign);
    let mut plan: Vec<_> = kept.items.into_iter().map(plan).collect();
    let stored = if args.yes { vault.store(&mut plan).await } else { Ok(()) };
    let rows = plan.iter().map(|(action, foreign)| Row {
        collection: &foreign.collection,
        label: &foreign.item.label,
        action,
    });
    let shown = Shown {
        provider: &from,
        profile: vault.profile.as_str(),
        done: args.yes,
        items: rows.collect(),
        locked: &kept.locked,
    };
    match args.format {
        ImportFormat::Text => output::lines(import::lines(&shown)),
        ImportFormat::Json => output::lines([import::json(&shown)]),
    }
    .during(&*what)?;
    stored.map_err(|error| error.during(&*what).hint("what was stored is kept; mend this and run it again"))?;
    if args.yes { left(&shown) } else { Ok(Code::Success) }
}

/// Who deletes the old keyring after a success must have lost nothing.
fn left(shown: &Shown<'_>) -> Result<Code, Failure> {
    let failed = shown.items.iter().filter(|row| matches!(row.action, Action::Failed(_))).count();
    let (code, why, hint) = if failed > 0 {
        (Code::Failure, format!("{failed} of {} items", shown.items.len()), "each is named with its reason above")
    } else if !shown.locked.is_empty() {
        let why = format!("locked there: {}", shown.locked.join(", "));
        (Code::Locked, why, "unlock it with the other provider's own program, and run this again")
    } else {
        return Ok(Code::Success);
    };
    Err(Failure { what: "could not import everything".into(), why, hint: Some(hint.into()), code, signal: None })
}

struct Vault {
    private: Private,
    profile: ProfileName,
    limit: std::time::Duration,
}

impl Vault {
    /// The items of applications that the vault has.
    async fn present(&self) -> Result<Present, Error> {
        let listed: Vec<ListedItem> = self.private.call("ListItems", &self.profile.as_str(), self.deadline()).await?;
        let mut present = Present::default();
        for item in listed.into_iter().filter(|item| item.origin != "sesame") {
            let asked = (self.profile.as_str(), item.id.as_str());
            let (item, value): (ListedItem, Vec<u8>) = self.private.call("GetItem", &asked, self.deadline()).await?;
            let known = Known { label: item.label, value: SecretSlice::from(value) };
            present.add(item.attributes, known);
        }
        Ok(present)
    }

    /// Stores what is to be stored. One that is refused for what it is stops no other.
    async fn store(&self, plan: &mut [(Action, Foreign)]) -> Result<(), Error> {
        let mut stopped = Ok(());
        for (action, foreign) in plan.iter_mut().filter(|(action, _)| action.stores()) {
            let Ok(value) = &foreign.value else { continue };
            if stopped.is_err() {
                *action = Action::Failed("not tried".into());
                continue;
            }
            if let Err(error) = self.store_one(&foreign.item, value).await {
                *action = Action::Failed(error.to_string());
                if !matches!(error, Error::Refused(Refusal::TooLarge(_))) {
                    stopped = Err(error);
                }
            }
        }
        stopped
    }

    async fn store_one(&self, item: &NewItem, value: &SecretSlice<u8>) -> Result<(), Error> {
        let body = (self.profile.as_str(), item, value.expose_secret());
        self.private.call::<String>("StoreItem", &body, self.deadline().of_change()).await.map(drop)
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.limit)
    }
}
