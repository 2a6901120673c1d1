//! The contract of [`StatusLog`].

use std::fmt::Debug;
use std::sync::Arc;

use backup_core::event::EventSink;
use backup_core::ports::status_log::StatusLog;
use backup_core::status::{COMPLETED, MessageKind, STARTED, StatusMessage};

use super::{SITE, moment, run, run_checks};

const _: fn(&dyn StatusLog) = |_| ();
const _: fn(&dyn EventSink) = |_| ();

/// A status log to try.
pub trait StatusLogBench: Debug + Send + Sync + 'static {
    /// A log as a new process would open it, always of the same place.
    fn log(&self) -> Arc<dyn StatusLog>;
    /// Leaves half a message at the end, as a crash does; `false` where there is no such thing.
    fn tear(&self) -> bool;
}

/// Checks a status log.
pub async fn suite<B: StatusLogBench>(make: impl Fn() -> B) {
    run_checks!(make: a_new_log_is_empty, messages_come_back_in_their_order, several_may_append_at_once, a_torn_message_is_left_out);
}

fn message(kind: MessageKind, second: i64) -> StatusMessage {
    StatusMessage {
        id: kind.id,
        severity: kind.severity,
        at: moment(second),
        site: SITE.to_owned(),
        run: run(1),
        details: vec!["Größe \"x\"\r\n".to_owned(), String::new()],
    }
}

async fn a_new_log_is_empty(bench: impl StatusLogBench) {
    assert_eq!(bench.log().read().await.expect("nothing yet"), []);
}

async fn messages_come_back_in_their_order(bench: impl StatusLogBench) {
    let log = bench.log();
    let messages = [message(COMPLETED, 9), message(STARTED, 1), message(STARTED, 1)];
    for message in &messages {
        log.append(message).await.expect("appended");
    }
    assert_eq!(log.read().await.expect("read"), messages, "in the order in which they came, whatever their times");
    assert_eq!(bench.log().read().await.expect("another process reads them"), messages);
}

async fn several_may_append_at_once(bench: impl StatusLogBench) {
    let append = |second: i64| {
        let log = bench.log();
        tokio::spawn(async move { log.append(&message(STARTED, second)).await.expect("appended") })
    };
    let appends: Vec<_> = (0..20).map(append).collect();
    for append in appends {
        append.await.expect("no panic");
    }
    let mut seconds: Vec<_> = bench.log().read().await.expect("read").into_iter().map(|message| message.at).collect();
    seconds.sort();
    assert_eq!(seconds, (0..20).map(moment).collect::<Vec<_>>());
}

async fn a_torn_message_is_left_out(bench: impl StatusLogBench) {
    let log = bench.log();
    log.append(&message(STARTED, 1)).await.expect("appended");
    if !bench.tear() {
        return;
    }
    assert_eq!(bench.log().read().await.expect("read"), [message(STARTED, 1)]);
    log.append(&message(COMPLETED, 2)).await.expect("appended");
    assert_eq!(log.read().await.expect("read"), [message(STARTED, 1), message(COMPLETED, 2)]);
}
