//! What VSS was asked and what it answered, told to whoever listens.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::components::{WriterInfo, WriterStatus};
use super::hresult::{CallError, HResult};
use super::vssapi::Called;

/// A call on VSS, or the end of an operation that a call began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VssCall {
    /// The method, as Microsoft's pages name it.
    pub name: &'static str,
    /// What it was called for, such as a volume; empty where the name says it all.
    pub subject: String,
    /// Whether this is the end of the operation that the call of this name began.
    pub ended: bool,
    /// What it returned, or how the operation ended.
    pub result: HResult,
    /// How long it took.
    pub took: Duration,
}

/// What a listener hears, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Call(VssCall),
    /// The writers, as they have said what they own.
    Writers(Vec<WriterInfo>),
    /// Their states, as they were gathered.
    States(Vec<WriterStatus>),
}

/// Judges the results of calls, and tells them.
///
/// All calls come from one thread that does nothing else between them: a call has taken the time since the one before.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    listener: Option<Sender<Heard>>,
    last: Rc<Cell<Instant>>,
}

impl Calls {
    pub(super) fn new(listener: Option<Sender<Heard>>) -> Self {
        Self { listener, last: Rc::new(Cell::new(Instant::now())) }
    }

    /// The thread has waited for its next command.
    pub(super) fn go_on(&self) {
        self.last.set(Instant::now());
    }

    pub(super) fn check(&self, name: &'static str, result: impl Into<HResult>) -> Called<()> {
        self.check_of(name, String::new(), result)
    }

    pub(super) fn check_of(&self, name: &'static str, subject: String, result: impl Into<HResult>) -> Called<()> {
        let (result, now) = (result.into(), Instant::now());
        let took = now - self.last.replace(now);
        self.tell(Heard::Call(VssCall { name, subject, ended: false, result, took }));
        CallError::check(name, result)
    }

    /// For what is asked again and again: only a failure is told.
    pub(super) fn check_quietly(&self, name: &'static str, result: impl Into<HResult>) -> Called<()> {
        let result = result.into();
        if result.is_ok() { Ok(()) } else { self.check(name, result) }
    }

    /// An operation has ended that began at this time.
    pub(super) fn ended(&self, name: &'static str, result: HResult, began: Instant) {
        let call = VssCall { name, subject: String::new(), ended: true, result, took: began.elapsed() };
        self.tell(Heard::Call(call));
        self.go_on();
    }

    pub(super) fn tell(&self, heard: Heard) {
        if let Some(listener) = &self.listener {
            // Who has stopped listening wants to hear nothing.
            let _heard = listener.send(heard);
        }
    }
}
