//! `sesame profile`: list, add, remove, default, activate, deactivate.

use dbus_interfaces::profile::Status;

use crate::{
    args::{NamedProfile, NewProfile, Profile, RemovedProfile, Timeout},
    bus::{HUB, ask},
    daemons,
    deadline::{CALL, Deadline, KEY},
    error::{During, Error, Failure},
    exit::Code,
    output, private,
};

pub(super) async fn run(args: &Profile) -> Result<Code, Failure> {
    match args {
        Profile::List(timeout) => list(*timeout).await.during("cannot list the profiles"),
        Profile::Add(args) => add(args).await.during(format!("cannot create {}", args.name)),
        Profile::Remove(args) => remove(args).await,
        Profile::Default(args) => {
            let what = format!("cannot make {} the default profile", args.name);
            tell_hub(args, "SetDefaultProfile").await.during(what)
        }
        Profile::Activate(args) => {
            tell_hub(args, "ActivateProfile").await.during(format!("cannot activate {}", args.name))
        }
        Profile::Deactivate(args) => {
            tell_hub(args, "DeactivateProfile").await.during(format!("cannot deactivate {}", args.name))
        }
    }?;
    Ok(Code::Success)
}

async fn list(timeout: Timeout) -> Result<(), Error> {
    let deadline = Deadline::after(timeout.timeout.unwrap_or(CALL));
    let report = daemons::report(deadline).await?;
    if report.reconciled_usec == 0 {
        return Err(Error::NotReported);
    }
    output::lines(report.vaults.keys())
}

async fn add(args: &NewProfile) -> Result<(), Error> {
    let bus = daemons::start().await?;
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL));
    if daemons::vaults(&bus, deadline).await?.contains_key(args.name.as_str()) {
        return Err(Error::Other("a profile of this name exists; choose another name".into()));
    }
    drop(bus);
    let source = args.passphrase.source();
    let passphrase = source.new_one(&format!("New passphrase of {}: ", args.name)).await?;
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(KEY)).of_change();
    source.then(private::call_with(&passphrase, "Create", &args.name, deadline)).await
}

async fn remove(args: &RemovedProfile) -> Result<(), Failure> {
    let what = format!("cannot delete {}", args.name);
    if is_default(args).await.during(what.as_str())? {
        let failure = Error::Other("it is the default profile".into()).during(what);
        return Err(failure.hint("choose another one first: sesame profile default NAME"));
    }
    delete(args).await.during(what)
}

async fn is_default(args: &RemovedProfile) -> Result<bool, Error> {
    let bus = daemons::start().await?;
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL));
    daemons::vault(&bus, &args.name, deadline).await?;
    let (_, default, ..) = bus.call::<Status>(HUB, "Status", &(), deadline).await?;
    Ok(default == args.name.as_str())
}

async fn delete(args: &RemovedProfile) -> Result<(), Error> {
    let source = args.passphrase.source();
    let passphrase = source.existing(&format!("Passphrase of {}: ", args.name)).await?;
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(KEY)).of_change();
    source.then(private::call_with(&passphrase, "Delete", &args.name, deadline)).await
}

async fn tell_hub(args: &NamedProfile, member: &str) -> Result<(), Error> {
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL)).of_change();
    ask(HUB, member, &args.name.as_str(), deadline).await
}
