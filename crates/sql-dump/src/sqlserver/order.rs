//! What a caller asks for.

use super::tsql::{self, Fitted, OURS, Sets};

/// A full backup of a database to files of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupOrder {
    /// The database.
    pub database: String,
    /// Paths as the server sees them, up to 64; none of them may exist. More than one stripes the backup.
    pub devices: Vec<String>,
    /// The backup set's name. It must be the only one of its kind, for the row in msdb is found by it: [`set_name`] makes one.
    pub name: String,
    /// A text for whoever reads the backup's header.
    pub description: Option<String>,
    /// Leaves the administrator's own chain of backups alone; always so on secondary replicas.
    pub copy_only: bool,
    /// Whether the server compresses.
    pub compression: Compression,
    /// Encryption by the server.
    pub encryption: Option<Encryption>,
    /// Which replica of an availability group takes it.
    pub replica: Replica,
    /// Percents between two messages.
    pub stats: u8,
}

impl BackupOrder {
    /// An order with the usual choices: COPY_ONLY, compressed where the server can, by the preferred replica.
    pub fn new(database: &str, device: &str, name: &str) -> Self {
        Self {
            database: database.to_owned(),
            devices: vec![device.to_owned()],
            name: name.to_owned(),
            description: None,
            copy_only: true,
            compression: Compression::WhereSupported,
            encryption: None,
            replica: Replica::Preferred,
            stats: 5,
        }
    }

    /// The statements of a run, without a connection, for a server that has all the order asks for.
    pub fn dry_run(&self) -> Vec<String> {
        let fitted = Fitted { copy_only: self.copy_only, compress: self.compression != Compression::Off };
        let mut statements: Vec<String> = self.devices.iter().map(|device| tsql::file_exists(device)).collect();
        statements.extend([
            tsql::backup(self, fitted),
            tsql::verify_only(&self.devices, 1),
            tsql::header_only(&self.devices),
            tsql::file_list_only(&self.devices),
            tsql::history(&self.database, Sets::Named(&self.name)),
        ]);
        statements
    }
}

/// UTF-16 units of a set's name, at most: one that is longer is refused, or cut and not found again.
const LONGEST_NAME: usize = 128;

/// The name of a set of this program's, of which `run` is the only one of its kind. As much of the database's name is in it as there is room for.
pub fn set_name(database: &str, run: &str) -> String {
    let room = LONGEST_NAME.saturating_sub(OURS.len() + " ".len() + run.encode_utf16().count());
    let mut units = 0;
    let fits = |letter: &char| {
        units += letter.len_utf16();
        units <= room
    };
    let database: String = database.chars().take_while(fits).collect();
    format!("{OURS}{database} {run}")
}

/// Whether the server compresses a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// If its edition can.
    WhereSupported,
    /// Always; an edition that cannot is an error.
    On,
    /// Never.
    Off,
}

/// Encryption by the server: whoever restores elsewhere needs the certificate there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The name of a certificate in `master`.
    pub certificate: String,
}

/// Algorithms of [`Encryption`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are T-SQL's own names")]
pub enum Algorithm {
    Aes128,
    Aes192,
    Aes256,
}

impl Algorithm {
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::Aes128 => "AES_128",
            Self::Aes192 => "AES_192",
            Self::Aes256 => "AES_256",
        }
    }
}

/// Which replica of an availability group takes a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replica {
    /// The one that the group prefers; on another one the order is refused.
    Preferred,
    /// The one that is connected to.
    This,
}

/// A restore from files of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOrder {
    /// Paths as the server sees them: all stripes.
    pub devices: Vec<String>,
    /// What must be there; `None` takes whatever is.
    pub expected: Option<ExpectedSet>,
    /// The database to make.
    pub target: String,
    /// Overwrites a database of that name.
    pub replace: bool,
    /// Where its files go.
    pub placement: Placement,
    /// Percents between two messages.
    pub stats: u8,
}

impl RestoreOrder {
    /// An order that makes a new database in the server's default folders.
    pub fn new(device: &str, target: &str) -> Self {
        Self {
            devices: vec![device.to_owned()],
            expected: None,
            target: target.to_owned(),
            replace: false,
            placement: Placement::Defaults,
            stats: 5,
        }
    }

    /// The statements of a run, without a connection. Where files move to is known only when the backup's list of files was read.
    pub fn dry_run(&self) -> Vec<String> {
        let mut statements = vec![
            tsql::database_id(&self.target),
            tsql::header_only(&self.devices),
            tsql::file_list_only(&self.devices),
        ];
        // Sent where a database is there.
        statements.extend(self.replace.then(|| tsql::verify_only(&self.devices, 1)));
        statements.extend([tsql::restore(self, &[]), tsql::check_database(&self.target)]);
        statements
    }
}

/// The one backup that a restore is of: its header must say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedSet {
    /// The set's identity, as [`BackupSet::id`](super::BackupSet::id) has it.
    pub id: String,
    /// The database that was backed up.
    pub database: String,
}

/// Where the files of a restored database go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Where they were when the backup was taken; a file whose folder the server says that it does not have goes to its default one, under its own
    /// name. Of a database that is replaced, SQL Server puts the files where that has them.
    AsBackedUp,
    /// The server's default folders, under names made of the target's.
    Defaults,
    /// These folders of the server, under names made of the target's.
    Folders {
        /// For data and file streams.
        data: String,
        /// For logs.
        log: String,
    },
}
