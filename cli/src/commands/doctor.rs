//! `sesame doctor`: what is wrong with the installation and the command that mends it, or what an event of the journal
//! means.

use crate::{
    args::{Doctor, Listing},
    deadline::CALL,
    doctor::{self, Diagnosis, backup, explain},
    error::{During, Error, Failure},
    exit::Code,
    output,
    render::{
        diagnosis, json,
        paint::{Paint, When},
    },
};

pub(super) async fn run(args: &Doctor, color: When) -> Result<Code, Failure> {
    if let Some(id) = &args.explain {
        return explain(id);
    }
    let doing = "cannot print the diagnosis";
    let diagnosis = doctor::diagnose(args.timeout.timeout.unwrap_or(CALL)).await;
    match args.format {
        Listing::Json => output::write(json::print(&diagnosis).as_bytes()).during(doing)?,
        Listing::Text => {
            output::write(diagnosis::text(&diagnosis, Paint::for_output(color)).as_bytes()).during(doing)?;
            remember(&diagnosis)?;
        }
    }
    Ok(if diagnosis.is_sound() { Code::Success } else { Code::ConditionFalse })
}

/// Only what a person has read was said: a program that asks every hour reads it each time.
fn remember(diagnosis: &Diagnosis) -> Result<(), Failure> {
    let remembered = backup::remember(diagnosis);
    remembered.map_err(|cause| Error::File { name: "the advice about copies".into(), cause }.during("cannot remember"))
}

fn explain(id: &str) -> Result<Code, Failure> {
    let doing = "cannot explain the event";
    let Some(text) = explain::explain(id) else {
        output::lines(explain::known()).during(doing)?;
        let unknown = Error::Other(format!("there is no event {id}")).during(doing);
        return Err(
            unknown.hint("see the MESSAGE_ID of a line: journalctl --user -o verbose; the known ones are above")
        );
    };
    output::write(text.as_bytes()).during(doing)?;
    Ok(Code::Success)
}
