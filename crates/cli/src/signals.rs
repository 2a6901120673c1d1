//! SIGINT and SIGTERM: the first asks for an end in good order, the second ends the program at once.

use std::sync::Arc;

use crate::commands::Session;
use crate::exit::Exit;

/// Listens from now on. A command that cannot be stopped in good order has nothing to put right: it ends at the first signal.
pub(crate) fn watch(session: &Session, cancellable: bool) {
    let (cancel, screen) = (session.cancel.clone(), Arc::clone(&session.screen));
    let Ok(mut signals) = Signals::new() else { return };
    tokio::spawn(async move {
        signals.next().await;
        if cancellable {
            cancel.cancel();
            screen.say("interrupted: bringing things in order; once more ends the program at once");
            signals.next().await;
        }
        // Crashing here is safe: the watchdog starts what was stopped, and the next run or `repair` puts the rest right.
        std::process::exit(i32::from(Exit::INTERRUPTED.code()));
    });
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the other platforms can fail here")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
