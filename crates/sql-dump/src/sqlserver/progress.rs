//! How far a backup or restore has come: from its messages, and from a second connection, for some servers and drivers
//! hold the messages back to the end.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use backup_core::cancel::Cancel;
use backup_core::event::ServerProgress;

use super::error::SqlServerError;
use super::session::Session;
use super::talk::{Message, Talk};
use super::tsql;
use crate::blocking::Stopper;

/// How often the second connection asks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Does `work` while another connection watches it. That connection failing, or not being allowed to look, fails nothing; one that gets no answer is
/// given up when the work is done.
pub(super) fn watched<T>(
    session: &mut Session,
    open: &(dyn Fn(&Cancel) -> Result<Session, SqlServerError> + Sync),
    watch: &(dyn Fn(ServerProgress) + Sync),
    work: impl FnOnce(&mut dyn Talk, &mut dyn FnMut(&Message)) -> Result<T, SqlServerError>,
) -> Result<T, SqlServerError> {
    let number = session_number(session)?;
    let most = AtomicU8::new(0);
    let tell = |percent: u8, left: Option<Duration>, waits_for| {
        if most.fetch_max(percent, Ordering::SeqCst) < percent || left.is_some() {
            watch(ServerProgress { percent: most.load(Ordering::SeqCst), left, waits_for });
        }
    };
    thread::scope(|scope| {
        // Both dropped when the work is done, also by a panic: that ends the watching thread and what it asks.
        let ((working, ended), asking) = (channel::<()>(), Stopper::default());
        let open = {
            let stop = asking.cancel().clone();
            move || open(&stop)
        };
        let watching = number.map(|number| scope.spawn(move || poll(&open, number, &ended, &tell)));
        let result = work(session, &mut |message| {
            if let Some(percent) = message.percent() {
                tell(percent, None, None);
            }
        });
        drop((working, asking));
        // A scope waits for the work of its threads, not for their ends.
        if let Some(thread) = watching {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        result
    })
}

/// The number by which another connection finds this one.
fn session_number(session: &mut Session) -> Result<Option<u64>, SqlServerError> {
    let answer = session.ask(tsql::SESSION, "number the connection")?;
    Ok(answer.first().and_then(|row| row.number("session")))
}

fn poll(
    open: &dyn Fn() -> Result<Session, SqlServerError>,
    number: u64,
    ended: &Receiver<()>,
    tell: &dyn Fn(u8, Option<Duration>, Option<String>),
) {
    let mut session = None;
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let mut seen = || {
            if session.is_none() {
                session = Some(open().ok()?);
            }
            let answer = session.as_mut()?.ask(&tsql::progress(number), "show its requests").ok()?;
            let row = answer.first()?;
            let percent = row.number("percent_complete").and_then(|percent| u8::try_from(percent.min(100)).ok())?;
            let left = row.number("left_ms").map(Duration::from_millis);
            let waits_for = row.get("wait_type").map(str::to_owned);
            Some((percent, left, waits_for))
        };
        match seen() {
            Some((percent, left, waits_for)) => tell(percent, left, waits_for),
            // The session is opened anew next time; a server that never allows it is asked in vain.
            None => session = None,
        }
    }
}
