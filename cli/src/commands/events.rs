//! `sesame events`: every change as it happens, one line each, until nobody reads any more.

use crate::{
    args::{Events, EventsFormat},
    deadline::CALL,
    error::{During, Failure},
    exit::Code,
    render::events::{self, Stamp},
    watch::{
        self, Step,
        end::{End, Interrupt},
    },
};

const WHAT: &str = "cannot follow the events";

pub(super) async fn run(args: &Events) -> Result<Code, Failure> {
    let mut end = End::listen(Interrupt::Ends).during(WHAT)?;
    let mut steps = watch::start(CALL);
    let mut seq = 0;
    loop {
        let step = tokio::select! {
            () = end.came() => return Ok(Code::Success),
            step = steps.recv() => step,
        };
        let Some(step) = step else { return Ok(Code::Success) };
        let lines = lines(&step, args.format, &mut seq);
        if !lines.is_empty() && !end.write(lines).await.during(WHAT)? {
            return Ok(Code::Success);
        }
    }
}

fn lines(step: &Step, format: EventsFormat, seq: &mut u64) -> String {
    let line = |event| {
        *seq += 1;
        match format {
            EventsFormat::Text => events::text(event, step.at_usec),
            EventsFormat::Json => {
                let hub_id = step.hub_id.as_deref();
                events::json(event, Stamp { seq: *seq, at_usec: step.at_usec, hub_id })
            }
        }
    };
    step.events.iter().map(line).collect()
}
