//! Reading and writing side by side: one thread fills blocks, another empties them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use backup_core::copy::BLOCK;

/// Blocks under way; more would only cost memory.
const BLOCKS: usize = 4;

/// Calls `fill` on this thread until it leaves a block empty, and `empty` on another for each block, in order, with its offset.
///
/// Returns the bytes that went through. The first error ends both sides; `empty`'s goes first.
pub(super) fn pump<E: Send>(
    mut fill: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    empty: impl FnMut(u64, &[u8]) -> Result<(), E> + Send,
) -> Result<u64, E> {
    thread::scope(|scope| {
        let (full, to_empty) = sync_channel(BLOCKS);
        let (used, to_fill) = sync_channel(BLOCKS);
        for _ in 0..BLOCKS {
            let _ = used.send(Vec::with_capacity(BLOCK));
        }
        let emptying = scope.spawn(move || drain(&to_empty, &used, empty));
        let filled = feed(&to_fill, full, &mut fill);
        let emptied = emptying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        filled.map(|()| emptied)
    })
}

/// A block that cannot be passed on means that the other side has ended; it tells why.
fn feed<E>(
    blocks: &Receiver<Vec<u8>>,
    full: SyncSender<Vec<u8>>,
    fill: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    while let Ok(mut block) = blocks.recv() {
        block.clear();
        fill(&mut block)?;
        if block.is_empty() || full.send(block).is_err() {
            break;
        }
    }
    Ok(())
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
