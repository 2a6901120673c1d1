//! The bar on a terminal: phase, rate, remaining time. Anywhere else nothing, but the word that a service is down.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backup_core::event::{Event, EventSink, Phase, Progress, ServerProgress};
use backup_core::status::FAILED_START;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human;
use super::printer::err;

const COUNTED: &str = "{prefix:14} {bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg}";
const UNCOUNTED: &str = "{prefix:14} {spinner} {elapsed}  {wide_msg}";
const PERCENTS: &str = "{prefix:14} {bar:24} {percent}%  {elapsed}  {wide_msg}";

/// Shows what goes on.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    bar: Mutex<Option<ProgressBar>>,
    shown: bool,
}

impl Screen {
    /// A screen on standard error; a blank one where that is no terminal, or with `--quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { bar: Mutex::default(), shown: !quiet && std::io::stderr().is_terminal() }
    }

    /// Writes a line to standard error, above the bar.
    pub(crate) fn say(&self, line: &str) {
        match &*self.lock() {
            Some(bar) => bar.suspend(|| err(&format!("{line}\n"))),
            None => err(&format!("{line}\n")),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = self.lock().take() {
            bar.finish_and_clear();
        }
    }

    /// Shows that work of this name goes on, for as long as it takes.
    pub(crate) fn work(&self, name: &'static str) {
        if !self.shown {
            return;
        }
        self.clear();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style(UNCOUNTED));
        bar.set_prefix(name);
        bar.enable_steady_tick(Duration::from_millis(120));
        *self.lock() = Some(bar);
    }

    fn server(&self, ServerProgress { percent, left, waits_for }: &ServerProgress) {
        let bar = self.lock();
        let Some(bar) = bar.as_ref() else { return };
        if bar.length().is_none() {
            bar.set_style(style(PERCENTS).progress_chars("=> "));
            bar.set_length(100);
        }
        bar.set_position((*percent).into());
        let left = left.map(|left| format!("{} left", human::duration(left)));
        let waits = waits_for.as_ref().map(|what| format!("waits for {what}"));
        bar.set_message(left.into_iter().chain(waits).collect::<Vec<_>>().join(", "));
    }

    fn progress(&self, progress: Progress) {
        let bar = self.lock();
        let Some(bar) = bar.as_ref().filter(|_| progress.total_bytes > 0) else { return };
        if bar.length() != Some(progress.total_bytes) {
            bar.set_style(style(COUNTED).progress_chars("=> "));
            bar.set_length(progress.total_bytes);
        }
        bar.set_position(progress.bytes.min(progress.total_bytes));
        bar.set_message(format!("{} of {} files", progress.files, progress.total_files));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        // What a panic leaves behind is at worst an old bar.
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Screen {
    fn event(&self, event: &Event) {
        // The run may go on for hours, and its findings are printed when it has ended.
        if let Event::Status(message) = event
            && message.id == FAILED_START.id
        {
            self.say(&message.to_string());
        }
        if !self.shown {
            return;
        }
        match event {
            Event::Phase(phase) => self.work(name(*phase)),
            Event::Progress(progress) => self.progress(*progress),
            Event::Server(progress) => self.server(progress),
            Event::Log(_) | Event::Note(_) | Event::Status(_) | Event::Thawed(_) => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("our own template is well formed")
}

/// What a phase is called.
pub(crate) fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Preflight => "checking",
        Phase::PreCopy => "pre-copy",
        Phase::Stopping => "stopping",
        Phase::Frozen => "frozen",
        Phase::Starting => "starting",
        Phase::Copying => "copying",
        Phase::Publishing => "publishing",
        Phase::AfterBackup => "AfterBackup",
        Phase::Archiving => "archiving",
        Phase::Verifying => "verifying",
        Phase::Recovering => "recovering",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_well_formed() {
        for template in [COUNTED, UNCOUNTED, PERCENTS] {
            drop(style(template));
        }
    }

    #[test]
    fn percents_of_others_are_shown_while_work_goes_on() {
        let screen = Screen { bar: Mutex::default(), shown: true };
        let seen = || screen.lock().as_ref().map(|bar| (bar.position(), bar.length(), bar.message()));
        let left = Some(Duration::from_secs(60));
        let says = |percent| Event::Server(ServerProgress { percent, left, waits_for: Some("a lock".to_owned()) });
        screen.event(&says(10));
        assert_eq!(seen(), None);
        screen.work("backing up");
        screen.event(&says(40));
        let (at, of, message) = seen().expect("it is shown");
        assert_eq!((at, of), (40, Some(100)));
        assert_eq!(message, "1 min left, waits for a lock");
    }
}
