//! The watchdog: a child process that starts the site's services when this program dies or takes too long.
//!
//! The parent tells the child over a pipe, before each stop, which services it must bring back. The pipe's end tells the child that the
//! parent has died, whatever killed it. Nothing is written to the disk as long as all goes well.

mod child;
mod protocol;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, PipeWriter, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::ports::services::{ServiceControl, ServiceError, ServiceState};
use backup_core::secret::PASSWORD_VARIABLE;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::process::detach;

pub use child::{Ending, serve};
use protocol::{Order, Reply};

/// How long the child may take to answer. It does nothing but listen; a machine under full load needs some of this.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a child that is no longer needed may take to leave; then it is left to itself.
const LEAVING: Duration = Duration::from_secs(5);

/// What the watchdog is and how long it waits.
#[derive(Debug, Clone)]
pub struct WatchdogOptions {
    /// Program and arguments of a process that calls [`serve`] with the same services.
    pub command: Vec<OsString>,
    /// The longest that services may be down, from the first stop on. After it the child starts them although this program lives: it
    /// must be longer than all stops, the freeze window and all starts may take together. A service that the order of starting does not
    /// name, because it is stopped for another one's sake, lengthens it by two call limits.
    pub hold_limit: Duration,
    /// The longest that one stop or start may take; so long the child gives one that was under way when this program died.
    pub call_limit: Duration,
    /// Services that may be down for less, from their own stop on: those that are stopped inside the freeze window only.
    pub shorter: BTreeMap<String, Duration>,
}

/// Services that a watchdog brings back.
///
/// The child is there and has acknowledged the service before its stop begins; without that `stop` fails and nothing is stopped.
/// A service that does not run is left alone. `start` never fails because of the watchdog. When all that was stopped runs again the
/// child is dismissed; the next stop gets a new one.
///
/// Dropped while services are still down (a start failed, say), it leaves them to the child, which goes on trying for some minutes.
#[derive(Debug)]
pub struct WatchedServices {
    inner: Arc<dyn ServiceControl>,
    options: WatchdogOptions,
    start_order: Vec<String>,
    watch: Mutex<Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    child: Option<Link>,
    armed: BTreeSet<String>,
}

impl WatchedServices {
    /// Watches over `inner`. Services are brought back in the order of `start_order`, those that it does not name last.
    pub fn new(inner: Arc<dyn ServiceControl>, options: WatchdogOptions, start_order: Vec<String>) -> Self {
        Self { inner, options, start_order, watch: Mutex::default() }
    }

    async fn is_armed(&self, name: &str) -> bool {
        self.watch.lock().await.armed.contains(name)
    }

    async fn arm(&self, name: &str, window: Option<Duration>) -> Result<(), ServiceError> {
        let mut watch = self.watch.lock().await;
        let was_armed = !watch.armed.insert(name.to_owned());
        let result = self.arm_child(&mut watch, name, window).await;
        if result.is_err() {
            // A child that does not answer is no watchdog. It brings back what it was told of, and the next stop gets a new one.
            watch.child = None;
            if !was_armed {
                watch.armed.remove(name);
            }
        }
        result.map_err(|error| ServiceError::Failed { name: name.to_owned(), action: "stop", source: error.into() })
    }

    async fn arm_child(&self, watch: &mut Watch, name: &str, window: Option<Duration>) -> Result<(), WatchdogError> {
        if watch.child.is_none() {
            watch.child = Some(Link::open(&self.options.command).await?);
        }
        let start = self.in_order(&watch.armed);
        let hold_limit = self.hold_limit(&watch.armed);
        let link = watch.child.as_mut().ok_or(WatchdogError::Gone)?;
        link.arm(hold_limit, window, self.options.call_limit, start, name).await
    }

    fn in_order(&self, armed: &BTreeSet<String>) -> Vec<String> {
        let named = self.start_order.iter().filter(|name| armed.contains(*name));
        let others = armed.iter().filter(|name| !self.start_order.contains(name));
        named.chain(others).cloned().collect()
    }

    fn hold_limit(&self, armed: &BTreeSet<String>) -> Duration {
        let uncounted = armed.iter().filter(|name| !self.start_order.contains(name));
        self.options.hold_limit + uncounted.map(|_| self.options.call_limit * 2).sum::<Duration>()
    }

    async fn tell(&self, order: Order) {
        if let Some(link) = &mut self.watch.lock().await.child {
            // A child that is gone can be told nothing; what it was told before it has done.
            let _gone = link.tell(&order);
        }
    }

    async fn started(&self, name: &str) {
        let mut watch = self.watch.lock().await;
        watch.armed.remove(name);
        let Some(link) = &mut watch.child else { return };
        let _gone = link.tell(&Order::Started { name: name.to_owned() });
        if watch.armed.is_empty()
            && let Some(link) = watch.child.take()
        {
            link.dismiss().await;
        }
    }
}

#[async_trait]
impl ServiceControl for WatchedServices {
    async fn state(&self, name: &str) -> Result<ServiceState, ServiceError> {
        self.inner.state(name).await
    }

    async fn dependents(&self, name: &str) -> Result<Vec<String>, ServiceError> {
        self.inner.dependents(name).await
    }

    /// Has the child there, which takes a while, before the service may be stopped.
    async fn ready(&self, name: &str) -> Result<(), ServiceError> {
        if matches!(self.inner.state(name).await, Ok(ServiceState::Stopped)) {
            return Ok(());
        }
        self.arm(name, None).await?;
        self.tell(Order::Returned { name: name.to_owned() }).await;
        Ok(())
    }

    async fn stop(&self, name: &str) -> Result<(), ServiceError> {
        // What the admin keeps stopped must not be started by anybody.
        if !self.is_armed(name).await && self.inner.state(name).await? == ServiceState::Stopped {
            return Ok(());
        }
        self.arm(name, self.options.shorter.get(name).copied()).await?;
        let result = self.inner.stop(name).await;
        self.tell(Order::Returned { name: name.to_owned() }).await;
        result
    }

    async fn start(&self, name: &str) -> Result<(), ServiceError> {
        if !self.is_armed(name).await {
            return self.inner.start(name).await;
        }
        self.tell(Order::Starting { name: name.to_owned() }).await;
        let result = self.inner.start(name).await;
        match result {
            Ok(()) => self.started(name).await,
            Err(_) => self.tell(Order::Returned { name: name.to_owned() }).await,
        }
        result
    }
}

/// Why there is no watchdog to rely on.
#[derive(Debug, thiserror::Error)]
enum WatchdogError {
    #[error("the watchdog `{command}` could not be started, and without one nothing is stopped: {reason}")]
    Start { command: String, reason: String },
    #[error("the watchdog has ended, and without one nothing is stopped")]
    Gone,
    #[error("the watchdog does not answer, and without one nothing is stopped")]
    Silent,
    #[error("the services were held for too long, and the watchdog has started them")]
    Fired,
}

/// The parent's end of the two pipes.
#[derive(Debug)]
struct Link {
    child: Child,
    orders: PipeWriter,
    replies: Lines<BufReader<ChildStdout>>,
    last_arm: u64,
}

impl Link {
    /// Starts the child and waits until it is ready, which it is only when no signal for this program reaches it any more.
    async fn open(command: &[OsString]) -> Result<Self, WatchdogError> {
        let shown = command.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let failed = |reason: String| WatchdogError::Start { command: shown.clone(), reason };
        let mut link = Self::spawn(command).map_err(|error| failed(error.to_string()))?;
        let reason = match link.reply().await {
            Ok(Reply::Ready) => return Ok(link),
            Ok(Reply::Failed { reason }) => reason,
            Ok(other) => format!("it answered {other:?}"),
            Err(WatchdogError::Gone) => "it ended at once".to_owned(),
            Err(_) => format!("it was not ready within {ANSWER:?}"),
        };
        let _gone = link.child.start_kill();
        Err(failed(reason))
    }

    fn spawn(command: &[OsString]) -> io::Result<Self> {
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
        let (program, arguments) = command.split_first().ok_or_else(missing)?;
        let (reader, orders) = io::pipe()?;
        // No group of its own: a group's leader could not begin the session of its own that the child begins. Of what it says beside its
        // answers nobody would know whose it is, and an inherited terminal or pipe would be kept open by a child that outlives us.
        let mut command = Command::new(program);
        command.args(arguments).stdin(reader).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env_remove(PASSWORD_VARIABLE);
        let mut child = detach(command)?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("its standard output is not a pipe"))?;
        Ok(Self { child, orders, replies: BufReader::new(stdout).lines(), last_arm: 0 })
    }

    async fn arm(
        &mut self,
        hold_limit: Duration,
        window: Option<Duration>,
        call_limit: Duration,
        start: Vec<String>,
        name: &str,
    ) -> Result<(), WatchdogError> {
        self.last_arm += 1;
        let order =
            Order::Arm { number: self.last_arm, hold_limit, window, call_limit, start, stopping: name.to_owned() };
        self.tell(&order)?;
        loop {
            match self.reply().await? {
                Reply::Armed { number } if number == self.last_arm => return Ok(()),
                Reply::Fired => return Err(WatchdogError::Fired),
                // The answer to an earlier order whose sender did not wait for it.
                _ => {}
            }
        }
    }

    /// Writes one line. It is far shorter than a pipe holds, and the child reads all the time, so this does not block.
    fn tell(&mut self, order: &Order) -> Result<(), WatchdogError> {
        let line = protocol::line(order);
        self.orders.write_all(&line).map_err(|_| WatchdogError::Gone)
    }

    async fn reply(&mut self) -> Result<Reply, WatchdogError> {
        let next = async {
            loop {
                let line = self.replies.next_line().await.ok().flatten().ok_or(WatchdogError::Gone)?;
                // A program may greet on its standard output; that is no answer.
                if let Ok(reply) = serde_json::from_str(&line) {
                    return Ok(reply);
                }
            }
        };
        timeout(ANSWER, next).await.unwrap_or(Err(WatchdogError::Silent))
    }

    /// Sends the child away and waits for it a little, so that a finished run leaves no process behind.
    async fn dismiss(mut self) {
        let _gone = self.tell(&Order::Disarm);
        drop(self.orders);
        let _left_to_itself = timeout(LEAVING, self.child.wait()).await;
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
