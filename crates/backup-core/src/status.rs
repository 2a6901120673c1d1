//! The numbered status messages of the component SMS_SITE_BACKUP.
//!
//! 5035, 5040, 5055 and 5056 are the product's own. For failures the product has a set of numbers whose single texts are not public
//! (configmgr-site-backup notes, section 3.6): ours are members of that set, so that monitors which know it see a failed run.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::snapshot::RunId;

/// The component that all messages name.
pub const COMPONENT: &str = "SMS_SITE_BACKUP";

/// How grave a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// All is well.
    Information,
    /// Something is weaker than asked for.
    Warning,
    /// Something failed.
    Error,
}

impl Severity {
    /// The letter in a STATMSG line.
    pub fn letter(self) -> char {
        match self {
            Self::Information => 'I',
            Self::Warning => 'W',
            Self::Error => 'E',
        }
    }
}

/// One kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageKind {
    /// Its number.
    pub id: u32,
    /// How grave it is.
    pub severity: Severity,
    /// What it means, for the docs.
    pub meaning: &'static str,
}

macro_rules! message_kinds {
    ($($(#[$doc:meta])* $name:ident = $id:literal $severity:ident $meaning:literal;)*) => {
        $($(#[$doc])* pub const $name: MessageKind = MessageKind { id: $id, severity: Severity::$severity, meaning: $meaning };)*
        /// All kinds, in the order of their numbers.
        pub const ALL_KINDS: &[MessageKind] = &[$($name),*];
    };
}

message_kinds! {
    /// The run failed before anything was touched.
    FAILED_PREFLIGHT = 5000 Error "the run failed before anything was touched";
    /// The destination failed.
    FAILED_DESTINATION = 5008 Error "the destination could not be used";
    /// The database failed.
    FAILED_DATABASE = 5017 Error "the site database could not be backed up";
    /// The registry failed.
    FAILED_REGISTRY = 5018 Error "a registry key could not be backed up";
    /// A service would not stop.
    FAILED_STOP = 5022 Error "a service could not be stopped";
    /// A service would not start.
    FAILED_START = 5024 Error "a service could not be started";
    /// Files failed.
    FAILED_FILES = 5027 Error "files could not be backed up";
    /// The run was interrupted.
    FAILED_INTERRUPTED = 5032 Error "the run was interrupted";
    /// Done and zero errors.
    COMPLETED = 5035 Information "the backup is complete, with zero errors";
    /// AfterBackup was started.
    AFTER_BACKUP_STARTED = 5040 Information "AfterBackup was started";
    /// AfterBackup failed; the backup did not.
    AFTER_BACKUP_FAILED = 5041 Warning "AfterBackup could not be started, failed, or took too long; the backup itself is not affected";
    /// The shadow copy failed.
    FAILED_SHADOW_COPY = 5043 Error "the shadow copy could not be made";
    /// A snapshot was published that is weaker than asked for.
    INCOMPLETE = 5044 Error "a snapshot was published, but it is incomplete or weaker than asked for";
    /// The snapshot is there, and not in the archive as asked for.
    ARCHIVE_FAILED = 5045 Error "the snapshot was not archived, or retention was not applied to the archive; the snapshot itself is not affected";
    /// A run has begun.
    STARTED = 5055 Information "the backup run has begun";
    /// The moment is held; copying begins.
    SHADOW_COPY_TAKEN = 5056 Information "the shadow copy is taken, copying begins";
}

/// One status message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusMessage {
    /// Its number.
    pub id: u32,
    /// How grave it is.
    pub severity: Severity,
    /// When.
    pub at: Timestamp,
    /// The site.
    pub site: String,
    /// The run.
    pub run: RunId,
    /// Up to ten insertion strings.
    pub details: Vec<String>,
}

impl StatusMessage {
    /// The message as a STATMSG line of the log; `thread` as the trace line has it.
    pub fn statmsg_line(&self, process: &ProcessFacts) -> String {
        let at = self.at.to_zoned_datetime(jiff::tz::TimeZone::UTC);
        let gmt = format!("{}.{:03} {}", at.strftime("%a %b %d %H:%M:%S"), at.millisecond(), at.year());
        let insertions: Vec<String> = (0..10)
            .map(|n| format!("ISTR{n}=\"{}\"", self.details.get(n).map_or("", String::as_str).replace('"', "'")))
            .collect();
        format!(
            "STATMSG: ID={} SEV={} LEV=M SOURCE=\"SMS Server\" COMP=\"{COMPONENT}\" SYS={} SITE={} PID={} TID={} GMTDATE={gmt} {} NUMATTRS=0 LE=0X0",
            self.id,
            self.severity.letter(),
            process.machine,
            self.site,
            process.pid,
            process.thread,
            insertions.join(" "),
        )
    }
}

impl fmt::Display for StatusMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = ALL_KINDS.iter().find(|kind| kind.id == self.id).map_or("", |kind| kind.meaning);
        write!(f, "{} {} {meaning}", self.id, self.severity.letter())?;
        if self.details.is_empty() { Ok(()) } else { write!(f, ": {}", self.details.join("; ")) }
    }
}

/// Who writes the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessFacts {
    /// The machine's name.
    pub machine: String,
    /// The process's number.
    pub pid: u32,
    /// The thread's number.
    pub thread: u32,
}
