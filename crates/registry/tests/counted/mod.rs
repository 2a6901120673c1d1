//! An allocator that counts.
#![expect(unsafe_code, reason = "an allocator cannot be counted from outside")]
#![cfg_attr(
    windows,
    expect(
        clippy::missing_const_for_thread_local,
        reason = "it does not see the `const` through what the macro is on Windows"
    )
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// How much the system's allocator really takes for one allocation, as near as it matters.
fn cost(size: usize) -> isize {
    (size + 8).next_multiple_of(16).max(32).cast_signed()
}

fn count(change: isize) {
    let held = HELD.get() + change;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

// SAFETY: all calls go on to the system's allocator as they are; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(cost(layout.size()));
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-cost(layout.size()));
        // SAFETY: the memory came from `alloc` above, so from the system.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Runs `work`; returns what it made, and how much memory of this thread was in use for it at most.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let made = work();
    (made, (PEAK.get() - before).unsigned_abs())
}
