//! `sesame passphrase`: the old one, the new one twice, one call.

use dbus_interfaces::ProfileName;
use secrecy::ExposeSecret;

use crate::{
    args::Passphrase,
    daemons,
    deadline::{CALL, Deadline, KEY},
    error::{During, Error, Failure},
    exit::Code,
    passphrase::Source,
    private,
};

pub(super) async fn run(args: &Passphrase) -> Result<Code, Failure> {
    let profile = daemons::chosen(args.which.profile.as_ref()).during("cannot change the passphrase")?;
    change(args, &profile).await.during(format!("cannot change the passphrase of {profile}"))?;
    Ok(Code::Success)
}

async fn change(args: &Passphrase, profile: &ProfileName) -> Result<(), Error> {
    let (old, new) = (args.passphrase.source(), args.new_passphrase.source());
    if old == new && old != Source::User {
        return Err(Error::Usage("the old and the new passphrase come from the same place; give two".into()));
    }
    let bus = daemons::start().await?;
    daemons::vault(&bus, profile, Deadline::after(args.timeout.timeout.unwrap_or(CALL))).await?;
    drop(bus);
    let present = old.existing(&format!("Passphrase of {profile}: ")).await?;
    let next = new.new_one(&format!("New passphrase of {profile}: ")).await;
    let next =
        next.map_err(|error| if matches!(error, Error::NoTerminal) { Error::NoTerminalForNew } else { error })?;
    let body = (profile.as_str(), present.expose_secret(), next.expose_secret());
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(KEY)).of_change();
    let asked = if old == Source::User { old } else { new };
    asked.then(private::call("ChangePassphrase", &body, deadline)).await
}
