//! How far a long call is, for whoever asked to hear it.

use std::sync::{Arc, Mutex};

use backup_core::event::{Event, EventSink, Progress};

use crate::lock::lock;
use crate::repository::Repository;

/// Who hears of progress; nobody at first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hearers(Option<Arc<dyn EventSink>>);

/// Counts what is done of one call, from any thread, and tells it at each step.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    hearers: &'a Hearers,
    progress: Mutex<Progress>,
}

impl Repository {
    /// Has `events` hear how far storing, verifying and pruning are: [`Event::Progress`] alone, of the files that are stored, or of the packs that are read.
    /// What phase that is, whoever calls knows.
    #[must_use]
    pub fn with_events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.hearers = Hearers(Some(events));
        self
    }

    pub(crate) fn meter(&self, total_files: u64, total_bytes: u64) -> Meter<'_> {
        let progress = Progress { total_files, total_bytes, ..Progress::default() };
        Meter { hearers: &self.hearers, progress: Mutex::new(progress) }
    }
}

impl Meter<'_> {
    /// More is done.
    pub(crate) fn add(&self, files: u64, bytes: u64) {
        let mut progress = lock(&self.progress);
        progress.files += files;
        progress.bytes += bytes;
        // Told in order: who hears it must not block.
        if let Some(events) = &self.hearers.0 {
            events.event(&Event::Progress(*progress));
        }
    }
}
