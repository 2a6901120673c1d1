//! The rules of native backups, on a server that is a list of answers. The same over real drivers: `tests/it/sql_server`.

mod external;
mod proof;
mod restores;
mod statements;

use super::error::SqlServerError;
use super::talk::{Answer, End, Message, Table, Talk};

/// Answers by a part of the batch; the rule that was added last is asked first. What no rule knows is a fault of the test.
struct Scripted {
    rules: Vec<(String, Answer)>,
    sent: Vec<String>,
}

impl Talk for Scripted {
    fn run(&mut self, sql: &str, heard: &mut dyn FnMut(&Message)) -> Result<Answer, SqlServerError> {
        self.sent.push(sql.to_owned());
        let rule = self.rules.iter().rev().find(|(part, _)| sql.contains(part));
        let (_, answer) = rule.unwrap_or_else(|| panic!("no answer to {sql}"));
        answer.messages.iter().for_each(heard);
        Ok(answer.clone())
    }
}

const NAME: &str = "sitebackup 01a2";
const PLACE: &str = r"B:\bk\CM_P01 01a2.bak";

impl Scripted {
    /// A server of Enterprise edition where everything goes well.
    fn sound() -> Self {
        let said = |messages: &[(i32, &str)]| Answer {
            messages: messages.iter().map(|(number, text)| message(*number, text)).collect(),
            tables: Vec::new(),
            end: End::Whole,
        };
        Self { rules: Vec::new(), sent: Vec::new() }
            .on("SERVERPROPERTY", rows(&[server("Enterprise Edition (64-bit)", "0")]))
            .on("FROM sys.databases", rows(&[DATABASE.to_vec()]))
            .on("FROM sys.configurations", settings("1"))
            .on("xp_fileexist", rows(&[vec![("File Exists", "0"), ("File is a Directory", "0")]]))
            .on(
                "BACKUP DATABASE",
                said(&[(3211, "100 percent processed."), (3014, "BACKUP DATABASE successfully processed")]),
            )
            .on("VERIFYONLY", said(&[(3262, "The backup set on file 1 is valid.")]))
            .on("HEADERONLY", rows(&[HEADER.to_vec()]))
            .on("FILELISTONLY", rows(&FILES.map(|file| file.to_vec())))
            .on("msdb.dbo.backupset", rows(&[SET.to_vec()]))
            .on("msdb.dbo.backupmediafamily", rows(&[vec![("place", PLACE), ("device_type", "2")]]))
            .on("DB_ID(", rows(&[vec![("nothing", "")]]))
            .on("RESTORE DATABASE", said(&[(3014, "RESTORE DATABASE successfully processed")]))
            .on("DBCC CHECKDB", said(&[]))
            .on("DROP DATABASE", said(&[]))
            .on("HAS_PERMS_BY_NAME", rows(&[vec![("may_back_up", "1")]]))
            .on("FROM master.sys.certificates", rows(&[vec![("name", "c"), ("saved", "2026-01-01T00:00:00")]]))
    }

    fn on(mut self, part: &str, answer: Answer) -> Self {
        self.rules.push((part.to_owned(), answer));
        self
    }

    /// Whether a batch with that part was sent.
    fn was_sent(&self, part: &str) -> bool {
        self.sent.iter().any(|sql| sql.contains(part))
    }
}

type Fields<'a> = Vec<(&'a str, &'a str)>;

fn server<'a>(edition: &'a str, has_groups: &'a str) -> Fields<'a> {
    vec![
        ("name", "SQL01"),
        ("version", "16.0.4135.4"),
        ("edition", edition),
        ("has_groups", has_groups),
        ("data_folder", r"D:\data\"),
        ("log_folder", r"L:\log"),
    ]
}

const DATABASE: [(&str, &str); 12] = [
    ("state_desc", "ONLINE"),
    ("recovery_model_desc", "SIMPLE"),
    ("compatibility_level", "150"),
    ("collation_name", "SQL_Latin1_General_CP1_CI_AS"),
    ("owner", "sa"),
    ("is_trustworthy_on", "1"),
    ("is_broker_enabled", "1"),
    ("is_honor_broker_priority_on", "1"),
    ("retention_period", "5"),
    ("retention_period_units_desc", "DAYS"),
    ("is_auto_cleanup_on", "1"),
    ("bytes", "1048576"),
];

const HEADER: [(&str, &str); 5] = [
    ("BackupType", "1"),
    ("DatabaseName", "CM_P01"),
    ("HasBackupChecksums", "1"),
    ("IsDamaged", "0"),
    ("BackupSetGUID", "{0A1B2C3D-0000-4000-8000-00000000000F}"),
];

const SET: [(&str, &str); 9] = [
    ("backup_set", "0a1b2c3d-0000-4000-8000-00000000000f"),
    ("name", NAME),
    ("server_name", "SQL01"),
    ("finished", "2026-11-25T21:05:06"),
    ("is_damaged", "0"),
    ("has_backup_checksums", "1"),
    ("is_copy_only", "1"),
    ("age_seconds", "7200"),
    ("media_set_id", "17"),
];

const FILES: [[(&str, &str); 4]; 3] = [
    [("LogicalName", "CM_P01"), ("PhysicalName", r"E:\CM_P01.mdf"), ("Type", "D"), ("Size", "8388608")],
    [("LogicalName", "CM_P01_log"), ("PhysicalName", r"E:\CM_P01.ldf"), ("Type", "L"), ("Size", "1048576")],
    [("LogicalName", "it's more"), ("PhysicalName", r"E:\more.ndf"), ("Type", "D"), ("Size", "65536")],
];

fn settings(clr: &str) -> Answer {
    rows(&[
        vec![("name", "clr enabled"), ("value", clr)],
        vec![("name", "max text repl size (B)"), ("value", "2147483647")],
    ])
}

/// A table whose columns are those of its first row.
fn rows(rows: &[Fields<'_>]) -> Answer {
    let columns = rows.first().map_or(Vec::new(), |row| row.iter().map(|(name, _)| (*name).to_owned()).collect());
    let values = |row: &Fields<'_>| row.iter().map(|(_, value)| Some((*value).to_owned())).collect();
    let table = Table { columns, rows: rows.iter().map(values).collect() };
    Answer { messages: Vec::new(), tables: vec![table], end: End::Whole }
}

/// `row` with some of its values exchanged.
fn but<'a>(row: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Answer {
    let change = |(name, value): &(&'a str, &'a str)| {
        let changed = changes.iter().find(|(changed, _)| changed == name);
        (*name, changed.map_or(*value, |(_, value)| *value))
    };
    rows(&[row.iter().map(change).collect()])
}

fn message(number: i32, text: &str) -> Message {
    Message { number, state: "01000".to_owned(), text: text.to_owned() }
}

fn failure(messages: &[(i32, &str)]) -> Answer {
    let error = |(number, text): &(i32, &str)| Message { state: "42000".to_owned(), ..message(*number, text) };
    Answer { messages: messages.iter().map(error).collect(), tables: Vec::new(), end: End::Failed }
}

fn nothing() -> Answer {
    Answer { messages: Vec::new(), tables: Vec::new(), end: End::Whole }
}
