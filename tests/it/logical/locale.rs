//! Text through drivers, whatever the locale of the process: a unit file often has none.

use std::process::Command;

use sql_dump::logical::{Compression, DumpOptions};
use tests::servers::{MariaDb, Postgres};

use super::{dump_to, folder};

const CHILD: &str = "SITEBACKUP_TEST_LOCALE";
const TEXT: &str = "ä€ß漢字😀";

#[test]
fn text_is_the_same_in_every_locale() {
    if std::env::var_os(CHILD).is_some() {
        return dump_text();
    }
    for locale in ["C", "POSIX", "C.UTF-8", "de_DE.ISO-8859-1"] {
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        child.args(["--exact", "logical::locale::text_is_the_same_in_every_locale"]).env(CHILD, "1");
        child.env_remove("LANG").env_remove("LC_CTYPE").env("LC_ALL", locale);
        let output = child.output().expect("it starts");
        assert!(output.status.success(), "{locale}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

fn dump_text() {
    let server = Postgres::start();
    server.create("from");
    server.sql("from", &format!("CREATE TABLE t (v text); INSERT INTO t VALUES ('{TEXT}')"));
    let maria = MariaDb::start();
    maria.create("from");
    maria.sql("from", &format!("CREATE TABLE t (v text); INSERT INTO t VALUES ('{TEXT}')"));
    for from in [server.odbc("PostgreSQL Unicode", "from"), server.odbc("PostgreSQL ANSI", "from"), maria.odbc("from")]
    {
        let (scratch, place) = folder();
        let report = dump_to(&from, &place, &DumpOptions { compression: Compression::None, ..DumpOptions::default() });
        let chunk = scratch.path().join("dump").join(&report.manifest.tables[0].chunks[0].file);
        assert_eq!(std::fs::read_to_string(chunk).expect("rows"), format!("{TEXT}\n"), "{from:?}");
    }
}
