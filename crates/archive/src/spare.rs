//! Memory of frames and packs that is used again.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::lock::lock;

/// Memory to be used again. Allocated anew each time, by one thread, and freed by another, much of it would stay with the allocator.
#[derive(Debug)]
pub(crate) struct Spare {
    given: Sender<Vec<u8>>,
    taken: Mutex<Receiver<Vec<u8>>>,
}

impl Spare {
    /// So many buffers, which get their memory from who uses them first.
    pub(crate) fn of(count: usize) -> Self {
        let (given, taken) = channel();
        let spare = Self { given, taken: Mutex::new(taken) };
        (0..count).for_each(|_| spare.give(Vec::new()));
        spare
    }

    /// One of those that there are, or of the next one to be given back.
    pub(crate) fn wait(&self) -> Vec<u8> {
        lock(&self.taken).recv().expect("what gives is here")
    }

    pub(crate) fn take_or_make(&self) -> Vec<u8> {
        lock(&self.taken).try_recv().unwrap_or_default()
    }

    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.given.send(buffer).expect("what takes is here");
    }
}
