//! Strict in-memory ports for tests and embedders' tests, and the one decorator that injects faults into all ports.
//!
//! All ports of one site share a [`World`], which stands for everything outside the process: it survives a kill. While the site's
//! services run, each call of a port lets the site write its growing number to the database, to a file and to the registry, one of them
//! a call, so that an image that is not of one moment holds different numbers.

mod archive;
mod database;
mod destination;
mod faults;
mod restores;
mod shadow_copies;
mod site;
mod small;
mod world;

pub use archive::MemoryArchive;
pub use faults::{Fault, FaultKind, Faults, faulty, faulty_restore_writer};
pub use restores::MemoryRestores;
pub use site::IMAGE_ROOT;
pub use world::{MemoryFile, World, WorldState};

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Runs a future of in-memory ports, which never wait, to its end; `None` when a fault killed it, and then it is leaked undropped.
pub fn run<T: 'static>(faults: &Faults, future: impl Future<Output = T> + 'static) -> Option<T> {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return Some(value),
            Poll::Pending if faults.killed() => {
                std::mem::forget(future);
                return None;
            }
            Poll::Pending => {}
        }
    }
}

/// Runs a future that no fault is injected into.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
