//! `auto`: which failures of the image are answered with copies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backup_core::copy::chain;
use backup_core::event::{Event, EventSink};
use backup_core::ports::shadow_copies::{ShadowCopies, ShadowCopyError, ShadowCopySetId, WriterError};

use super::scripted::{Bench, Script};
use crate::provider::{Best, ImageRequest, Preparation, Provider};

/// An image that cannot be made, and how often it was released.
#[derive(Debug, Default)]
struct Refusing {
    error: Mutex<Option<ShadowCopyError>>,
    released: Mutex<u32>,
}

#[async_trait]
impl Provider for Refusing {
    fn name(&self) -> &'static str {
        "refusing"
    }

    async fn prepare(&self, _request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        Err(self.error.lock().expect("no panic").take().expect("asked once"))
    }

    async fn release(&self, _set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        *self.released.lock().expect("no panic") += 1;
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl EventSink for Notes {
    fn event(&self, event: &Event) {
        if let Event::Note(note) = event {
            self.0.lock().expect("no panic").push(note.clone());
        }
    }
}

/// Who made the image when it fails with `error`, and what is remarked on it, or the error that came of it.
async fn made(error: ShadowCopyError) -> Result<(String, Vec<String>), String> {
    let image = Arc::new(Refusing { error: Mutex::new(Some(error)), ..Refusing::default() });
    let bench = Bench::with(Script::default(), Arc::new(Best::new(vec![Arc::clone(&image) as _])));
    let (mut request, notes) = (bench.request(Vec::new()).await, Arc::new(Notes::default()));
    request.events = Arc::clone(&notes) as _;
    let prepared = bench.coordinator.prepare(request).await;
    assert_eq!(*image.released.lock().expect("no panic"), 1, "nothing of it is left");
    let set = prepared.map_err(|error| chain(&error))?.commit().await.expect("copies can be made");
    let told = notes.0.lock().expect("no panic")[0]
        .replace("there is no image:", "files are copied while the site works, for");
    assert_eq!(set.remarks, [told]);
    Ok((set.provider, set.remarks))
}

#[tokio::test]
async fn what_system_or_sources_do_not_allow_is_copied_and_told() {
    let copied = |why: &str| {
        let remark = format!("files are copied while the site works, for {why}");
        Ok(("pre-copy".to_owned(), vec![remark]))
    };
    let error = ShadowCopyError::Provider {
        provider: "vss",
        action: "begin a backup",
        source: "no service".into(),
        is_retryable: false,
    };
    assert_eq!(made(error).await, copied("provider `vss` failed to begin a backup: no service"));
    let error = ShadowCopyError::Deadline { step: "provider `vss`: X".to_owned(), limit: Duration::from_secs(1) };
    assert_eq!(made(error).await, copied("provider `vss`: X took longer than 1s"));
}

#[tokio::test]
async fn a_set_of_others_a_veto_and_a_wish_to_stop_are_no_reason_to_copy() {
    let failed = |error: &str| Err(error.to_owned());
    let busy = ShadowCopyError::InProgress { holder: "tar".to_owned() };
    assert_eq!(made(busy).await, failed("another shadow copy session is in progress on this machine (tar)"));
    let source = WriterError::new("no");
    let veto = ShadowCopyError::Writer { writer: "SMS Writer".to_owned(), step: "PrepareBackup", source };
    assert_eq!(made(veto).await, failed("writer `SMS Writer` failed in PrepareBackup: no"));
    assert_eq!(made(ShadowCopyError::Cancelled).await, failed("interrupted"));
}
