//! `sesame status --watch`: the status again at each change, drawn over in place on a terminal.

use std::time::Duration;

use rustix::process::{Signal as Raw, getpid, kill_process};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Interval, interval},
};

use super::{WHAT, ages, show, show_failure};
use crate::{
    args::{Format, Status},
    deadline::CALL,
    error::{During, Error, Failure},
    exit::Code,
    output,
    render::{json, line, paint::Paint, text},
    screen,
    watch::{
        self, Seen, Step,
        end::{End, Interrupt},
    },
};

pub(super) async fn run(args: &Status, paint: Paint) -> Result<Code, Failure> {
    if args.format == Format::Prometheus && args.output.is_none() {
        return Err(Error::Usage("prometheus under --watch needs --output FILE".into()).during(WHAT));
    }
    let mut end = End::listen(Interrupt::Ends).during(WHAT)?;
    let is_screen = args.output.is_none() && args.format == Format::Text && screen::is_there();
    if is_screen { on_screen(args, paint, &mut end).await } else { in_lines(args, paint, &mut end).await }
}

/// A line a change, or a file replaced.
async fn in_lines(args: &Status, paint: Paint, end: &mut End) -> Result<Code, Failure> {
    let mut steps = watch::start(args.timeout.timeout.unwrap_or(CALL));
    let mut last = String::new();
    loop {
        let step = tokio::select! {
            () = end.came() => return Ok(Code::Success),
            step = steps.recv() => step,
        };
        let Some(step) = step else { return Ok(Code::Success) };
        if !step.settled {
            continue;
        }
        check_profiles(&step.seen, args)?;
        let shown = render(&step.seen, args, paint);
        // A file tells the newest times as well; a line is worth a change.
        let judged = if args.output.is_some() { shown.clone() } else { render(&without_times(step.seen), args, paint) };
        if std::mem::replace(&mut last, judged.clone()) == judged {
            continue;
        }
        match &args.output {
            Some(file) => output::replace(file, shown.as_bytes()).during("cannot write the status")?,
            None if !end.write(shown).await.during(WHAT)? => return Ok(Code::Success),
            None => {}
        }
    }
}

/// What changes with every tick is no change worth a line.
fn without_times(mut seen: Seen) -> Seen {
    if let Seen::Known(report) = &mut seen {
        let report = std::sync::Arc::make_mut(report);
        // 0 is said of a hub that was never told; that it was is a change.
        report.reconciled_usec = report.reconciled_usec.min(1);
        for row in report.daemons.values_mut() {
            row.last_seen_usec = None;
        }
    }
    seen
}

fn render(seen: &Seen, args: &Status, paint: Paint) -> String {
    match (args.format, seen) {
        (Format::Text, _) if args.output.is_none() => line::seen(seen, &args.profiles) + "\n",
        (Format::Json, Seen::Known(report)) => json::line(&json::whole(report, &args.profiles, None)),
        (Format::Json, Seen::Away(away)) => json::line(&json::cause(&away.error().during(WHAT), None)),
        (_, Seen::Known(report)) => show(report, None, args, paint),
        (_, Seen::Away(away)) => show_failure(&away.error().during(WHAT), None, args, paint),
    }
}

fn check_profiles(seen: &Seen, args: &Status) -> Result<(), Failure> {
    match seen {
        Seen::Known(report) => super::check_profiles(report, args).during(WHAT),
        Seen::Away(_) => Ok(()),
    }
}

/// Drawn over at each change, and each second for the ages.
async fn on_screen(args: &Status, paint: Paint, end: &mut End) -> Result<Code, Failure> {
    let mut screen = Screen::begin().during(WHAT)?;
    let mut steps = watch::start(args.timeout.timeout.unwrap_or(CALL));
    let mut seen: Option<Seen> = None;
    let ended = loop {
        tokio::select! {
            () = end.came() => break Ok(Code::Success),
            step = steps.recv() => match step {
                Some(Step { settled: true, seen: new, .. }) => {
                    if let Err(failure) = check_profiles(&new, args) {
                        break Err(failure);
                    }
                    seen = Some(new);
                }
                Some(_) => continue,
                None => break Ok(Code::Success),
            },
            () = screen.wake() => {}
        }
        if let Some(seen) = &seen {
            screen.draw(&picture(seen, args, paint)).during(WHAT)?;
        }
    };
    drop(screen);
    if let (Ok(_), Some(seen)) = (&ended, &seen) {
        // What was seen last stays to be read.
        output::write(picture(seen, args, paint).as_bytes()).during(WHAT)?;
    }
    ended
}

fn picture(seen: &Seen, args: &Status, paint: Paint) -> String {
    match seen {
        Seen::Known(report) => text::status(report, &args.profiles, Some(ages(true)), paint),
        Seen::Away(away) => format!("{}\n", away.error().during(WHAT)),
    }
}

/// The terminal's other screen, until this is dropped.
struct Screen {
    drawn: String,
    second: Interval,
    resized: Signal,
    suspended: Signal,
}

impl Screen {
    fn begin() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|cause| Error::File { name: "the signals".into(), cause });
        let screen = Self {
            drawn: String::new(),
            second: interval(Duration::from_secs(1)),
            resized: listen(SignalKind::window_change())?,
            suspended: listen(SignalKind::from_raw(Raw::TSTP.as_raw()))?,
        };
        output::write(screen::ENTER.as_bytes())?;
        Ok(screen)
    }

    /// Waits until it is to be drawn again.
    async fn wake(&mut self) {
        tokio::select! {
            _ = self.second.tick() => {}
            // The terminal has moved everything about.
            _ = self.resized.recv() => self.drawn.clear(),
            _ = self.suspended.recv() => {
                // The shell gets its own screen; what could not be written, nobody sees.
                let _ = output::write(screen::LEAVE.as_bytes());
                let _ = kill_process(getpid(), Raw::STOP);
                let _ = output::write(screen::ENTER.as_bytes());
                self.drawn.clear();
            }
        }
    }

    fn draw(&mut self, text: &str) -> Result<(), Error> {
        let drawing = screen::draw(text, screen::size());
        if drawing == self.drawn {
            return Ok(());
        }
        output::write(drawing.as_bytes())?;
        self.drawn = drawing;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = output::write(screen::LEAVE.as_bytes());
    }
}
