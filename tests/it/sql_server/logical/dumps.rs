//! A whole dump: its snapshot, its values, what it tells.

use std::process::Command;

use super::super::{DRIVERS, Driver};
use super::database::{RUN, database, sites};
use super::{count, dump, folder, rows, sent, serve};

#[test]
fn a_database_is_dumped_from_a_snapshot() {
    for driver in DRIVERS {
        let server = serve(database());
        let (_scratch, place) = folder();
        let report = dump(driver, &server, &place);
        let moment = &report.manifest.moment;
        assert!(moment.one_snapshot && moment.pinned_by.contains("database snapshot"), "{moment:?}");
        assert_eq!(moment.id, format!("sitebackup_dump_{RUN}"));
        assert_eq!((report.manifest.dialect.as_str(), report.left_behind), ("sqlserver", Vec::new()));
        assert_eq!(report.manifest.server, "SQL Server 16.0.4135.4 Standard Edition (64-bit)");

        let made = format!(
            r"CREATE DATABASE [sitebackup_dump_{RUN}] ON (NAME = [CM_P01], FILENAME = N'E:\data\CM_P01.mdf.sitebackup_dump_{RUN}.ss'), (NAME = [it's ]]], FILENAME = N'F:\more.ndf.sitebackup_dump_{RUN}.ss') AS SNAPSHOT OF [CM_P01]"
        );
        let dropped = format!(
            "IF EXISTS (SELECT 1 FROM sys.databases WHERE name = N'sitebackup_dump_{RUN}' AND source_database_id = DB_ID(N'CM_P01')) DROP DATABASE [sitebackup_dump_{RUN}]"
        );
        let sent = sent(&server);
        let at = |sql: &str| sent.iter().rposition(|one| one == sql).unwrap_or_else(|| panic!("{driver:?}: {sql}"));
        assert!(at(&made) < at(&format!("USE [sitebackup_dump_{RUN}]")));
        assert!(at("USE [master]") < at(&dropped), "{driver:?}: a database that is in use cannot be dropped");
        assert_eq!((count(&server, "CREATE DATABASE"), count(&server, "IF EXISTS")), (1, 1), "{driver:?}");
    }
}

/// Values of each type at its ends, and as NULL, in the text of a dump.
#[test]
fn every_type_is_dumped() {
    let long = format!("{}\t\\\\x{}", "漢🦀ü'\0\\t".repeat(40_000), {
        let bytes: Vec<u8> = (0..=255).cycle().take(900_001).collect();
        bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>()
    });
    let row = "-9223372036854775808\t1\t255\t-9999999999999999999999999999.9999999999\t-922337203685477.5808\t-1.7976931348623157e+308\t\
        1.1754943508222875e-038\t0001-01-01\t23:59:59.9999999\t1753-01-01 00:00:00.003\t2079-06-06 23:59:00.000\t9999-12-31 23:59:59.999\t\
        0001-01-01 00:00:00.0000000 -14:00\t33221100-5544-7766-8899-AABBCCDDEEFF\té   \t'Größe'\ttab\\tline\\r\\n🦀 '\\\\ N\0\t\t\\\\xFF000000\t\
        \\\\x00FF10\t\\\\x5AC0\tCONVERT(sql_variant, CONVERT(datetime2(7), N'2026-11-25 21:05:06.1234567'))\t<a>\\n ü🦀 </a>\t\\\\xE6100000\t";
    let nulls = vec!["\\N"; 26].join("\t");
    for driver in DRIVERS {
        let server = serve(database());
        let (scratch, place) = folder();
        let report = dump(driver, &server, &place);
        let seen = rows(&scratch.path().join("dump"), "Kinds");
        assert!(seen[0] == format!("{row}{long}"), "{driver:?}: {:?}", seen[0].chars().take(900).collect::<String>());
        assert_eq!(seen[1], nulls, "{driver:?}");
        let told = "values of dbo.Kinds.rv: the server counts them anew".to_owned();
        assert!(report.not_covered.contains(&told) && report.not_covered.contains(&"procedures: 3".to_owned()));
        assert!(report.not_covered.iter().any(|line| line.starts_with("view sms.Hidden:")), "{:?}", report.not_covered);
    }
}

/// A large table is cut by its key, and no row is missed or taken twice.
#[test]
fn a_large_table_is_read_in_ranges() {
    for driver in DRIVERS {
        let server = serve(database());
        let (scratch, place) = folder();
        let report = dump(driver, &server, &place);
        assert_eq!(report.manifest.tables[1].rows, 5000, "{driver:?}");
        assert_eq!(rows(&scratch.path().join("dump"), "Sites").len(), sites().len());
        let ranges: Vec<String> = sent(&server)
            .into_iter()
            .filter(|sql| sql.contains("[Name] FROM") && sql.contains(" WHERE [ID] "))
            .collect();
        assert_eq!(ranges.len(), 16, "{driver:?}: {ranges:?}");
        assert!(ranges.iter().any(|sql| sql.ends_with("WHERE [ID] < 313")), "{ranges:?}");
        assert!(ranges.iter().any(|sql| sql.ends_with("WHERE [ID] >= 4681")), "{ranges:?}");
    }
}

/// Both drivers deliver the same.
#[test]
fn drivers_agree() {
    let dump_of = |driver: Driver| {
        let (_scratch, place) = folder();
        let tables = dump(driver, &serve(database()), &place).manifest.tables;
        tables.into_iter().map(|table| (table.name, table.rows, table.row_hash)).collect::<Vec<_>>()
    };
    assert_eq!(dump_of(Driver::FreeTds), dump_of(Driver::Microsoft));
}

/// A unit file often names no locale.
#[test]
fn text_is_the_same_in_every_locale() {
    for locale in ["C", "de_DE.ISO-8859-1"] {
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        child.args(["--exact", "sql_server::logical::dumps::every_type_is_dumped"]);
        child.arg("sql_server::logical::restores::a_dump_is_restored_and_compared");
        child.env_remove("LANG").env_remove("LC_CTYPE").env("LC_ALL", locale);
        let output = child.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("2 passed"), "{locale}: {said}");
    }
}
