//! Reading and writing side by side: one thread fills blocks, another empties them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use backup_core::copy::BLOCK;

/// Blocks under way; more would only cost memory.
const BLOCKS: usize = 4;

/// How often a reader that waits for a slow writer asks whether anybody still wants what it reads.
const ASKED_EVERY: Duration = Duration::from_millis(20);

/// Whether work is still wanted. A call's future that is dropped cannot stop the thread that works for it; this tells the thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// Whether nobody waits any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Gives the work up when it is dropped without [`Waiting::over`].
    pub(super) fn waiting(&self) -> Waiting {
        Waiting(Some(self.clone()))
    }
}

/// Somebody waits.
#[derive(Debug)]
pub(super) struct Waiting(Option<Wanted>);

impl Waiting {
    /// The work has come back.
    pub(super) fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(wanted) = &self.0 {
            wanted.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Calls `fill` on this thread until it leaves a block empty, and `empty` on another for each block, in order, with its offset.
///
/// Drops `fill` and calls `filled` when nothing more is read, while the last blocks may still be on their way. Returns the bytes that went through. The
/// first error ends both sides; `empty`'s goes first. What is given up ends with the blocks that are on their way.
pub(super) fn pump<E: Send>(
    wanted: &Wanted,
    fill: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    filled: impl FnOnce(),
    empty: impl FnMut(u64, &[u8]) -> Result<(), E> + Send,
) -> Result<u64, E> {
    thread::scope(|scope| {
        let (full, to_empty) = sync_channel(BLOCKS);
        let (used, to_fill) = sync_channel(BLOCKS);
        for _ in 0..BLOCKS {
            let _ = used.send(Vec::with_capacity(BLOCK));
        }
        let emptying = scope.spawn(move || drain(&to_empty, &used, empty));
        let fed = feed(wanted, &to_fill, full, fill);
        filled();
        let emptied = emptying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        fed.map(|()| emptied)
    })
}

/// A block that cannot be passed on means that the other side has ended; it tells why.
fn feed<E>(
    wanted: &Wanted,
    blocks: &Receiver<Vec<u8>>,
    full: SyncSender<Vec<u8>>,
    mut fill: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    while let Some(mut block) = next(wanted, blocks) {
        block.clear();
        fill(&mut block)?;
        if block.is_empty() || full.send(block).is_err() {
            break;
        }
    }
    Ok(())
}

fn next(wanted: &Wanted, blocks: &Receiver<Vec<u8>>) -> Option<Vec<u8>> {
    while !wanted.is_given_up() {
        match blocks.recv_timeout(ASKED_EVERY) {
            Ok(block) => return Some(block),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

fn drain<E>(
    full: &Receiver<Vec<u8>>,
    used: &SyncSender<Vec<u8>>,
    mut empty: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let mut offset = 0;
    while let Ok(block) = full.recv() {
        empty(offset, &block)?;
        offset += block.len() as u64;
        // The reader may have finished already and wants no block back.
        let _ = used.send(block);
    }
    Ok(offset)
}
