//! A scripted SQL Server on which everything goes well, but for what a test adds.

use tds_server::{Column, Script, Step, Type, Value, done, info, table};

pub(super) const NAME: &str = "sitebackup 01a2";
pub(super) const PLACE: &str = r"B:\bk\CM_P01 01a2.bak";

/// The set's identity, as text and as the wire has it.
pub(super) const SET: &str = "33221100-5544-7766-8899-AABBCCDDEEFF";
const SET_BYTES: [u8; 16] =
    [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF];

/// A table of one row of texts and numbers.
pub(super) fn one_row(fields: &[(&str, Value)]) -> Vec<Step> {
    let column = |(name, value): &(&str, Value)| match value {
        Value::Int(_) => Column::new(name, Type::BigInt),
        Value::Bytes(_) => Column::new(name, Type::UniqueIdentifier),
        _ => Column::new(name, Type::NVarChar(260)),
    };
    let values = fields.iter().map(|(_, value)| value.clone()).collect();
    vec![table(fields.iter().map(column).collect(), vec![values]), done()]
}

pub(super) fn percent(percent: u8) -> Step {
    info(3211, &format!("{percent} percent processed."))
}

pub(super) fn processed() -> Step {
    info(3014, "BACKUP DATABASE successfully processed 1234 pages in 0.5 seconds (19.281 MB/sec).")
}

fn file(logical: &str, path: &str, kind: &str, size: i128) -> Vec<Value> {
    vec![logical.into(), path.into(), kind.into(), Value::Int(size)]
}

/// What the server says of itself.
pub(super) fn server(has_groups: bool) -> Vec<Step> {
    one_row(&[
        ("name", "SQL01".into()),
        ("version", "16.0.4135.4".into()),
        ("edition", "Enterprise Edition (64-bit)".into()),
        ("has_groups", Value::Int(has_groups.into())),
        ("data_folder", r"D:\data\".into()),
        ("log_folder", r"L:\log".into()),
    ])
}

pub(super) fn script() -> Script {
    Script::new()
        .on_part("SERVERPROPERTY('ProductVersion')", server(false))
        .on_part(
            "FROM sys.databases",
            one_row(&[
                ("state_desc", "ONLINE".into()),
                ("recovery_model_desc", "SIMPLE".into()),
                ("compatibility_level", Value::Int(150)),
                ("owner", "sa".into()),
                ("is_trustworthy_on", Value::Int(1)),
                ("retention_period", Value::Int(5)),
                ("retention_period_units_desc", "DAYS".into()),
                ("is_auto_cleanup_on", Value::Int(1)),
                ("bytes", Value::Int(1 << 40)),
            ]),
        )
        .on_part("sys.configurations", one_row(&[("name", "clr enabled".into()), ("value", Value::Int(1))]))
        .on_part("HAS_PERMS_BY_NAME", one_row(&[("may_back_up", Value::Int(1))]))
        .on_part("@@SPID", one_row(&[("session", Value::Int(51))]))
        .on("EXEC master.dbo.xp_fileexist", one_row(&[("File Exists", Value::Int(0))]))
        .on("BACKUP DATABASE", vec![percent(50), percent(100), processed(), done()])
        .on("RESTORE VERIFYONLY", vec![info(3262, "The backup set on file 1 is valid."), done()])
        .on(
            "RESTORE HEADERONLY",
            one_row(&[
                ("BackupType", Value::Int(1)),
                ("DatabaseName", "CM_P01".into()),
                ("HasBackupChecksums", Value::Int(1)),
                ("IsDamaged", Value::Int(0)),
                ("BackupSetGUID", Value::Bytes(SET_BYTES.to_vec())),
            ]),
        )
        .on("RESTORE FILELISTONLY", files())
        .on_part("msdb.dbo.backupset", history(SET))
        .on_part("msdb.dbo.backupmediafamily", one_row(&[("place", PLACE.into()), ("device_type", Value::Int(2))]))
        .on("SELECT CONVERT(int, DB_ID(", one_row(&[("id", Value::Null)]))
        .on("RESTORE DATABASE", vec![percent(100), info(3014, "RESTORE DATABASE successfully processed"), done()])
        .on("DBCC CHECKDB", vec![done()])
}

fn files() -> Vec<Step> {
    let columns = vec![
        Column::new("LogicalName", Type::NVarChar(128)),
        Column::new("PhysicalName", Type::NVarChar(260)),
        Column::new("Type", Type::NChar(1)),
        Column::new("Size", Type::Decimal(20, 0)),
    ];
    let rows = vec![
        file("CM_P01", r"E:\CM_P01.mdf", "D", 8 << 30),
        file("CM_P01_log", r"E:\CM_P01.ldf", "L", 1 << 20),
        file("Größe 🦀", r"E:\more.ndf", "D", 65_536),
    ];
    vec![table(columns, rows), done()]
}

/// What msdb has of the backup.
pub(super) fn history(set: &str) -> Vec<Step> {
    aged_history(set, Value::Int(7200))
}

/// The same with another age.
pub(super) fn aged_history(set: &str, age: Value) -> Vec<Step> {
    one_row(&[
        ("backup_set", set.into()),
        ("name", NAME.into()),
        ("server_name", "SQL01".into()),
        ("started", "2026-11-25T21:00:00".into()),
        ("finished", "2026-11-25T21:05:06".into()),
        ("age_seconds", age),
        ("is_damaged", Value::Int(0)),
        ("has_backup_checksums", Value::Int(1)),
        ("is_copy_only", Value::Int(1)),
        ("size", Value::Int(8 << 30)),
        ("encryptor_type", Value::Null),
        ("media_set_id", Value::Int(17)),
    ])
}
