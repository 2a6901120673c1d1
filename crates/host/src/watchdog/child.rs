//! The child's side: listens, and brings the services back when the parent dies or takes too long.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backup_core::ports::journal::{JournalError, JournalLock};
use backup_core::ports::services::{ServiceControl, ServiceState};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout_at};

use super::protocol::{self, Order, Reply};
use crate::journal::FileJournal;
use crate::jsonl::{create_folder, private_options};

/// How long services that will not start are tried again, and how long a journal that somebody else holds is waited for.
const RETRY_FOR: Duration = Duration::from_secs(10 * 60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a service is watched whose stop was cut off and has now had its effect: the command may still be at work.
const SETTLING: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);

/// How a watchdog ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was dismissed, or had nothing to watch when the parent died.
    Unneeded,
    /// It has brought all services back.
    Restored,
    /// Some service would not start; the log in the state folder tells which.
    GaveUp,
}

/// Is the watchdog: the whole work of a process that [`WatchedServices`](super::WatchedServices) starts. Orders come over standard input.
///
/// Begins a session of its own and takes no notice of SIGINT, SIGTERM, SIGHUP and SIGQUIT, then tells the parent that it is ready.
/// When the input ends without a dismissal, it takes the journal's lock in `state_dir`, so that no new run stops what it starts, and
/// brings the services back. When the hold limit passes first, it does so without the lock, which the parent still has.
/// What it does then stands in `watchdog.log` in the state folder; a run that goes well writes nothing.
///
/// Needs a runtime with I/O and time. A thread is left reading standard input: the process should end when this returns.
///
/// # Errors
/// The system's, when the session or the signals cannot be set up; the parent is told so, and stops nothing.
pub async fn serve(services: Arc<dyn ServiceControl>, state_dir: &Path) -> io::Result<Ending> {
    if let Err(error) = detach() {
        answer(&Reply::Failed { reason: error.to_string() });
        return Err(error);
    }
    let mut orders = read_orders();
    answer(&Reply::Ready);
    let mut watch = Watch::default();
    let Some(cause) = watch.listen(&mut orders).await else { return Ok(Ending::Unneeded) };
    let rescue = Rescue { services, state_dir: state_dir.to_owned(), watch };
    tokio::select! {
        ending = rescue.run(cause) => Ok(ending),
        never = refuse(orders) => match never {},
    }
}

#[cfg(unix)]
fn detach() -> io::Result<()> {
    use rustix::process::{getpgrp, getpid, setsid};
    use tokio::signal::unix::{SignalKind, signal};
    match setsid() {
        // The leader of a group cannot begin a session; but no signal for another group reaches it either.
        Err(_) if getpgrp() == getpid() => {}
        other => drop(other?),
    }
    // Handlers stay for the life of the process, whether or not anybody listens. Unlike ignored signals they are not handed on to the
    // services that this process starts.
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()] {
        drop(signal(kind)?);
    }
    Ok(())
}

/// The parent has given this process a console of its own, which no key and no closing of a window reaches.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn detach() -> io::Result<()> {
    Ok(())
}

fn answer(reply: &Reply) {
    // A parent that no longer listens is dead, which the input tells.
    let mut output = io::stdout();
    let _unheard = output.write_all(&protocol::line(reply)).and_then(|()| output.flush());
}

/// The orders as they come; ends with standard input.
fn read_orders() -> UnboundedReceiver<Order> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        // A line that is no order was cut off with its writer; the end of the input follows it.
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        for order in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
            if sender.send(order).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Tells a parent that comes late that the services are no longer its own.
async fn refuse(mut orders: UnboundedReceiver<Order>) -> Infallible {
    while let Some(order) = orders.recv().await {
        if matches!(order, Order::Arm { .. }) {
            answer(&Reply::Fired);
        }
    }
    std::future::pending().await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    ParentDied,
    HeldTooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnderWay {
    Stop,
    Start,
}

/// What the parent has told.
#[derive(Debug, Default)]
struct Watch {
    start: Vec<String>,
    under_way: BTreeMap<String, UnderWay>,
    begun: Option<Instant>,
    deadline: Option<Instant>,
    /// Of those that may be down for less.
    windows: BTreeMap<String, Instant>,
    call_limit: Duration,
}

impl Watch {
    /// Listens until something must be done; `None` when there is nothing to do.
    async fn listen(&mut self, orders: &mut UnboundedReceiver<Order>) -> Option<Cause> {
        loop {
            let next = match self.deadline.into_iter().chain(self.windows.values().copied()).min() {
                // An order that has come already goes before the deadline: this process may not have been let to run for long.
                Some(deadline) => timeout_at(deadline, orders.recv()).await,
                None => Ok(orders.recv().await),
            };
            match next {
                Ok(Some(Order::Disarm)) => return None,
                Ok(Some(order)) => self.take(order),
                Ok(None) => return (!self.start.is_empty()).then_some(Cause::ParentDied),
                Err(_) => return Some(Cause::HeldTooLong),
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Arm { number, hold_limit, window, call_limit, start, stopping } => {
                let begun = *self.begun.get_or_insert_with(Instant::now);
                self.deadline = self.deadline.max(Some(begun + hold_limit));
                self.windows.extend(window.map(|window| (stopping.clone(), Instant::now() + window)));
                (self.start, self.call_limit) = (start, call_limit);
                self.under_way.insert(stopping, UnderWay::Stop);
                answer(&Reply::Armed { number });
            }
            Order::Starting { name } => {
                // Two that start one service at the same time can end with two of it running.
                let undisturbed = Instant::now() + self.call_limit;
                for deadline in self.deadline.iter_mut().chain(self.windows.values_mut()) {
                    *deadline = (*deadline).max(undisturbed);
                }
                self.under_way.insert(name, UnderWay::Start);
            }
            Order::Started { name } => {
                self.under_way.remove(&name);
                self.windows.remove(&name);
                self.start.retain(|armed| *armed != name);
            }
            Order::Returned { name } => drop(self.under_way.remove(&name)),
            Order::Disarm => {}
        }
        if self.start.is_empty() {
            (self.begun, self.deadline) = (None, None);
        }
    }
}

struct Rescue {
    services: Arc<dyn ServiceControl>,
    state_dir: PathBuf,
    watch: Watch,
}

impl Rescue {
    async fn run(&self, cause: Cause) -> Ending {
        let names = self.watch.start.join(", ");
        let _lock = match cause {
            Cause::HeldTooLong => {
                self.log(&format!("services were held for too long, bringing back: {names}"));
                None
            }
            Cause::ParentDied => {
                self.log(&format!("the backup has died, bringing back: {names}"));
                self.journal_lock().await
            }
        };
        for name in self.under_way(UnderWay::Start) {
            self.await_start(name).await;
        }
        let ending = self.bring_back().await;
        self.log(if ending == Ending::Restored { "all services run" } else { "giving up" });
        ending
    }

    /// Waits while a repair or a new run has the journal: that knows of the stopped services too, and may rightly hold them now.
    async fn journal_lock(&self) -> Option<Box<dyn JournalLock>> {
        let journal = FileJournal::new(&self.state_dir);
        let give_up = Instant::now() + RETRY_FOR;
        let mut waits = false;
        loop {
            match journal.lock_as("watchdog, which starts services: ").await {
                Ok(lock) => return Some(lock),
                Err(JournalError::Busy { holder }) if Instant::now() < give_up => {
                    if !std::mem::replace(&mut waits, true) {
                        self.log(&format!("waiting for the journal, which is held: {holder}"));
                    }
                    sleep(POLL).await;
                }
                Err(error) => {
                    // Services that stay down are the worse end.
                    self.log(&format!("going on without the journal: {error}"));
                    return None;
                }
            }
        }
    }

    fn under_way(&self, kind: UnderWay) -> impl Iterator<Item = &String> {
        self.watch.under_way.iter().filter(move |(_, under_way)| **under_way == kind).map(|(name, _)| name)
    }

    /// A start that was cut off may yet succeed, and is not to be doubled before its time is over.
    async fn await_start(&self, name: &str) {
        let deadline = Instant::now() + self.watch.call_limit;
        while !self.runs(name).await && Instant::now() < deadline {
            sleep(POLL).await;
        }
    }

    /// Starts what does not run until all runs, and longer where a stop was cut off: that may have its effect at any time up to its
    /// limit. It is not issued again, for of two stops the slower one could end the service that we start after the faster one.
    async fn bring_back(&self) -> Ending {
        let begun = Instant::now();
        let mut unsettled: BTreeMap<&String, Instant> =
            self.under_way(UnderWay::Stop).map(|name| (name, begun + self.watch.call_limit)).collect();
        let mut pause = FIRST_PAUSE;
        loop {
            let mut all_run = true;
            for name in &self.watch.start {
                if !self.runs(name).await {
                    all_run &= self.start(name).await;
                    unsettled.entry(name).and_modify(|until| *until = (*until).min(Instant::now() + SETTLING));
                }
            }
            unsettled.retain(|_, until| Instant::now() < *until);
            match (all_run, unsettled.is_empty()) {
                (true, true) => return Ending::Restored,
                (true, false) => sleep(POLL).await,
                (false, _) if begun.elapsed() >= RETRY_FOR => return Ending::GaveUp,
                (false, _) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn runs(&self, name: &str) -> bool {
        matches!(self.services.state(name).await, Ok(ServiceState::Running))
    }

    async fn start(&self, name: &str) -> bool {
        let result = self.services.start(name).await;
        let started = result.is_ok();
        self.log_result(&format!("started `{name}`"), result.err());
        started
    }

    fn log_result(&self, what: &str, error: Option<backup_core::ports::services::ServiceError>) {
        match error {
            None => self.log(what),
            Some(error) => {
                let reason = std::error::Error::source(&error).map(|source| format!(": {source}"));
                self.log(&format!("{error}{}", reason.unwrap_or_default()));
            }
        }
    }

    fn log(&self, text: &str) {
        let line = format!("{:.3} process {}: {text}\n", jiff::Timestamp::now(), std::process::id());
        let path = self.state_dir.join("watchdog.log");
        // A log that cannot be written must not keep a service down.
        let _unlogged = create_folder(&self.state_dir)
            .and_then(|()| private_options().append(true).create(true).open(path))
            .and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
