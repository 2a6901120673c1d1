//! The order of a backup session, and of a restore, as one checked state machine, and the state of each writer in it.
//!
//! Calls nobody: a backend asks before each call and tells how the call ended. So a wrong order is an error before anything happened.

use backup_core::ports::shadow_copies::{ShadowCopyError, WriterLevel, WriterMetadata};

/// A step of a session; all but [`Commit`](Self::Commit) are a callback of the writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Writers say what they own.
    Identify,
    /// Writers do what may take long while the site still works.
    PrepareBackup,
    /// Writers bring their applications to rest.
    PrepareSnapshot,
    /// Writers hold the moment.
    Freeze,
    /// The provider takes the image.
    Commit,
    /// Writers let go.
    Thaw,
    /// Writers set their applications going.
    PostSnapshot,
    /// Writers hear how the backup ended.
    BackupComplete,
    /// Writers set their applications going after a failure.
    Abort,
    /// Writers get out of the way of a restore.
    PreRestore,
    /// Writers hear how the restore ended, and set their applications going.
    PostRestore,
}

impl Step {
    /// The name that VSS gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identify => "Identify",
            Self::PrepareBackup => "PrepareBackup",
            Self::PrepareSnapshot => "PrepareSnapshot",
            Self::Freeze => "Freeze",
            Self::Commit => "Commit",
            Self::Thaw => "Thaw",
            Self::PostSnapshot => "PostSnapshot",
            Self::BackupComplete => "BackupComplete",
            Self::Abort => "Abort",
            Self::PreRestore => "PreRestore",
            Self::PostRestore => "PostRestore",
        }
    }

    /// Whether the step may come directly after `last`.
    fn may_follow(self, last: Option<Step>) -> bool {
        use Step::{
            Abort, BackupComplete, Commit, Freeze, Identify, PostRestore, PostSnapshot, PreRestore, PrepareBackup,
            PrepareSnapshot, Thaw,
        };
        match (last, self) {
            (None, Identify)
            | (Some(Identify), PrepareBackup | Abort | PreRestore)
            | (Some(PrepareBackup), PrepareSnapshot | Abort)
            | (Some(PrepareSnapshot), Freeze | Abort)
            // A frozen session can only be thawed, whatever went wrong.
            | (Some(Freeze), Commit | Thaw)
            | (Some(Commit), Thaw)
            | (Some(Thaw), PostSnapshot | Abort)
            // The image is good, and what is made of it may still fail.
            | (Some(PostSnapshot), BackupComplete | Abort)
            | (Some(PreRestore), PostRestore) => true,
            _ => false,
        }
    }

    fn failed(self) -> WriterState {
        match self {
            Self::Identify => WriterState::FailedAtIdentify,
            Self::PrepareBackup => WriterState::FailedAtPrepareBackup,
            Self::PrepareSnapshot => WriterState::FailedAtPrepareSnapshot,
            Self::Freeze => WriterState::FailedAtFreeze,
            Self::Thaw => WriterState::FailedAtThaw,
            Self::PostSnapshot => WriterState::FailedAtPostSnapshot,
            Self::BackupComplete => WriterState::FailedAtBackupComplete,
            Self::PreRestore => WriterState::FailedAtPreRestore,
            Self::PostRestore => WriterState::FailedAtPostRestore,
            // VSS has no state for a writer that fails there.
            Self::Commit | Self::Abort => WriterState::Unknown,
        }
    }

    fn done(self) -> WriterState {
        match self {
            Self::PrepareSnapshot => WriterState::WaitingForFreeze,
            Self::Freeze | Self::Commit => WriterState::WaitingForThaw,
            Self::Thaw => WriterState::WaitingForPostSnapshot,
            Self::PostSnapshot => WriterState::WaitingForCompletion,
            Self::Identify
            | Self::PrepareBackup
            | Self::BackupComplete
            | Self::Abort
            | Self::PreRestore
            | Self::PostRestore => WriterState::Stable,
        }
    }
}

/// The state of a writer, with the numbers that VSS gives them and `vssadmin list writers` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WriterState {
    /// Nothing is known of it.
    Unknown = 0,
    /// It does nothing for a backup, or has done its part.
    Stable = 1,
    /// At rest.
    WaitingForFreeze = 2,
    /// Frozen.
    WaitingForThaw = 3,
    /// Thawed.
    WaitingForPostSnapshot = 4,
    /// Working again, while the backup goes on.
    WaitingForCompletion = 5,
    /// It could not say what it owns.
    FailedAtIdentify = 6,
    /// It vetoed before the site was touched.
    FailedAtPrepareBackup = 7,
    /// Its application did not come to rest.
    FailedAtPrepareSnapshot = 8,
    /// It could not hold the moment.
    FailedAtFreeze = 9,
    /// It could not let go.
    FailedAtThaw = 10,
    /// Its application did not start again.
    FailedAtPostSnapshot = 11,
    /// It did not take the end of the backup.
    FailedAtBackupComplete = 12,
    /// It vetoed the restore.
    FailedAtPreRestore = 13,
    /// Its application did not start again after the restore.
    FailedAtPostRestore = 14,
}

impl WriterState {
    /// The number of VSS.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether the writer failed at a step.
    pub fn is_failed(self) -> bool {
        self.number() >= Self::FailedAtIdentify.number()
    }
}

/// A writer in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterStatus {
    /// Its name; before Identify its number among the writers.
    pub name: String,
    /// Its state; a failure stays until the next session.
    pub state: WriterState,
    /// The last step at which it was called.
    pub called: Option<Step>,
    level: WriterLevel,
    frozen: bool,
}

/// One session, of a backup or a restore: which step comes next, and which writer still has to be called.
///
/// ```
/// use vss::{Session, Step};
///
/// let mut session = Session::new(0);
/// session.begin(Step::Identify)?;
/// session.begin(Step::PrepareBackup)?;
/// assert!(session.begin(Step::Freeze).is_err(), "nobody has come to rest yet");
/// session.begin(Step::PrepareSnapshot)?;
/// session.begin(Step::Freeze)?;
/// assert!(session.begin(Step::Abort).is_err(), "Thaw comes first, whatever happened");
/// session.begin(Step::Thaw)?;
/// session.begin(Step::Abort)?;
/// # Ok::<_, backup_core::ports::shadow_copies::ShadowCopyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Session {
    step: Option<Step>,
    writers: Vec<WriterStatus>,
}

impl Session {
    /// A session with `count` writers, of which nothing is known yet.
    pub fn new(count: usize) -> Self {
        let unknown = |number| WriterStatus {
            name: format!("{} of {count}", number + 1),
            state: WriterState::Unknown,
            called: None,
            level: WriterLevel::System,
            frozen: false,
        };
        Self { step: None, writers: (0..count).map(unknown).collect() }
    }

    /// Goes on to `step`.
    ///
    /// # Errors
    /// [`ShadowCopyError::BadState`] when it cannot come now; the session stays where it was.
    pub fn begin(&mut self, step: Step) -> Result<(), ShadowCopyError> {
        if !step.may_follow(self.step) {
            return Err(ShadowCopyError::BadState(step.name()));
        }
        self.step = Some(step);
        Ok(())
    }

    /// Lets a call pass that belongs to `step` and is none of its own.
    ///
    /// # Errors
    /// [`ShadowCopyError::BadState`] with the name of the call when another step was begun last.
    pub fn within(&self, step: Step, call: &'static str) -> Result<(), ShadowCopyError> {
        if self.step == Some(step) { Ok(()) } else { Err(ShadowCopyError::BadState(call)) }
    }

    /// The step that was begun last.
    pub fn step(&self) -> Option<Step> {
        self.step
    }

    /// The writers, in the order in which they were given.
    pub fn writers(&self) -> &[WriterStatus] {
        &self.writers
    }

    /// Keeps what a writer says of itself.
    pub fn identified(&mut self, writer: usize, metadata: &WriterMetadata) {
        self.writers[writer].name.clone_from(&metadata.name);
        self.writers[writer].level = metadata.level;
    }

    /// The writers to call at the present step, in their order: front ends first on the way to the moment, last on the way back.
    ///
    /// Thaw goes to those whose Freeze was begun, Abort to those whose PrepareBackup was begun, PostRestore to those whose PreRestore was begun:
    /// also to the one that failed there.
    pub fn to_call(&self) -> Vec<usize> {
        let step = self.step;
        let concerned = |index: &usize| match step {
            Some(Step::Thaw) => self.writers[*index].frozen,
            Some(Step::Abort) => self.writers[*index].called >= Some(Step::PrepareBackup),
            Some(Step::PostRestore) => self.writers[*index].called >= Some(Step::PreRestore),
            Some(Step::Commit) | None => false,
            Some(_) => true,
        };
        let mut order: Vec<usize> = (0..self.writers.len()).filter(concerned).collect();
        order.sort_by_key(|index| self.writers[*index].level);
        if step >= Some(Step::Thaw) && step != Some(Step::PreRestore) {
            order.reverse();
        }
        order
    }

    /// A writer's callback of the present step begins.
    ///
    /// # Errors
    /// [`ShadowCopyError::BadState`] when the step calls no writer or the writer was called in it already.
    pub fn call(&mut self, writer: usize) -> Result<(), ShadowCopyError> {
        let status = &mut self.writers[writer];
        match self.step {
            Some(step) if step != Step::Commit && status.called != Some(step) => {
                status.frozen |= step == Step::Freeze;
                status.called = Some(step);
                Ok(())
            }
            Some(step) => Err(ShadowCopyError::BadState(step.name())),
            None => Err(ShadowCopyError::BadState("a callback before Identify")),
        }
    }

    /// A writer's callback of the present step ended; `well` when it did what was asked.
    pub fn returned(&mut self, writer: usize, well: bool) {
        let Some(step) = self.step else { return };
        let status = &mut self.writers[writer];
        status.state = match well {
            _ if status.state.is_failed() => status.state,
            true => step.done(),
            false => step.failed(),
        };
    }
}
