//! SIGINT and SIGTERM, or what Windows has for them: the first asks for an end in good order, the second ends the program at once.

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

/// Ctrl-C, Ctrl-Break, the closing of the window, the end of the session, the machine's shutdown.
#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    stop: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    logoff: tokio::signal::windows::CtrlLogoff,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};
        Ok(Self {
            interrupt: ctrl_c()?,
            stop: ctrl_break()?,
            close: ctrl_close()?,
            logoff: ctrl_logoff()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.stop.recv() => {}
            _ = self.close.recv() => {}
            _ = self.logoff.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}
