use backup_core::config::{DatabaseConfig, DatabaseMethod, DatabasePlace, MomentChoice, NativeBackup, ServerKind};
use insta::assert_snapshot;

use super::super::parse;
use super::super::tests::{self, path};
use super::{Kind, Method, usual};

const SITE: &str = "version = 1\n[site]\ncode = 'P01'\n[task]\ndestination = { local = '/backup' }\n[database]\n";

fn database(text: &str) -> DatabaseConfig {
    let config = parse(&format!("{SITE}{text}"), &path("/etc/site")).unwrap_or_else(|errors| panic!("{errors:?}"));
    config.database.expect("there is one")
}

fn problems(text: &str) -> String {
    tests::problems(&format!("{SITE}{text}"))
}

fn server(kind: ServerKind, connection: &str) -> DatabasePlace {
    DatabasePlace::Server { kind, connection: connection.to_owned(), password_file: None }
}

#[test]
fn each_kind_has_a_usual_method() {
    let same = MomentChoice::Same;
    assert_eq!(database("kind = 'sqlite'\npath = '/a/x.db'"), DatabaseConfig::sqlite(path("/a/x.db")));
    let logical = database("kind = 'sqlite'\npath = '/a/x.db'\nmethod = 'logical'");
    assert_eq!(logical.method, DatabaseMethod::Logical);
    let postgres = database("kind = 'postgresql'\nconnection = 'postgresql://me@host/app'\npassword-file = 'secret'");
    let password_file = Some(path("/etc/site/secret"));
    let connection = "postgresql://me@host/app".to_owned();
    let place = DatabasePlace::Server { kind: ServerKind::PostgreSql, connection, password_file };
    assert_eq!(postgres, DatabaseConfig { place, method: DatabaseMethod::Logical, moment: same });
    let odbc = database("kind = 'odbc'\nconnection = 'Driver={MariaDB Unicode};Database=app'");
    assert_eq!(odbc.place, server(ServerKind::Odbc, "Driver={MariaDB Unicode};Database=app"));
    assert_eq!(odbc.place.name().as_deref(), Some("app"));
    assert_eq!(postgres.place.name().as_deref(), Some("app"));
}

#[test]
fn sql_server_backs_itself_up() {
    let text = "kind = 'sql-server'\nconnection = 'Driver=X;Server=sql1;Database=CM_P01'\n";
    let native = database(&format!(
        "{text}backup-folder = 'D:\\Backup'\nbackup-folder-here = '/mnt/b'\ncertificate = 'c'\nhold-services = '2h'"
    ));
    let backup =
        NativeBackup { folder: "D:\\Backup".to_owned(), here: Some(path("/mnt/b")), certificate: Some("c".to_owned()) };
    assert_eq!(native.method, DatabaseMethod::Native(backup));
    assert_eq!(native.moment, MomentChoice::HoldServices(std::time::Duration::from_secs(7200)));
    assert_eq!(native.place.name().as_deref(), Some("CM_P01"));
    let later = database(&format!("{text}backup-folder = 'D:\\Backup'\ndatabase-moment = 'later'"));
    assert_eq!(later.moment, MomentChoice::Later);
    let external = database(&format!("{text}method = 'external'\nexternal = {{ max-age = '1d' }}"));
    assert_eq!(external.method, DatabaseMethod::External { max_age: std::time::Duration::from_secs(86_400) });
}

#[test]
fn files_of_sql_server_are_asked_for_or_are_usual_on_its_own_machine() {
    let with = |server: &str, more: &str| {
        database(&format!("kind = 'sql-server'\nconnection = 'Driver=X;Server={server};Database=CM_P01'\n{more}"))
            .method
    };
    // Read on every system, for a snapshot may bring it along.
    assert_eq!(with("sql1", "method = 'vss'"), DatabaseMethod::Vss);
    let native = |method| matches!(method, DatabaseMethod::Native(_));
    assert!(native(with("(local)", "backup-folder = 'D:\\B'")), "a folder for backups says what is wanted");
    assert_eq!(usual(Kind::Server(ServerKind::SqlServer), true), Method::Vss);
    assert_eq!(usual(Kind::Server(ServerKind::SqlServer), false), Method::Native);
    assert_eq!(usual(Kind::Sqlite, true), Method::Native);
    #[cfg(windows)]
    {
        assert_eq!(with("tcp:(local),1433", ""), DatabaseMethod::Vss);
        assert_eq!(with(&crate::machine::machine_name(), ""), DatabaseMethod::Vss);
    }
    let there = problems("kind = 'sql-server'\nconnection = 'Driver=X;Server=sql1.other;Database=CM_P01'");
    assert!(there.contains("backup-folder"), "{there}");
    assert_eq!(super::server(r"Driver=X;Database=a;SERVER={sql1\SITE}").map(|name| name.host), Some("sql1".to_owned()));
    let refused = problems("kind = 'sqlite'\npath = '/a/x.db'\nmethod = 'vss'");
    assert!(refused.contains("no writer of Windows knows an SQLite database"), "{refused}");
    let folder =
        problems("kind = 'sql-server'\nconnection = 'Driver=X;Server=.'\nmethod = 'vss'\nbackup-folder = 'D:\\B'");
    assert!(folder.contains("`backup-folder` says nothing here"), "{folder}");
}

#[test]
fn passwords_do_not_belong_there() {
    for connection in ["Driver=X;PWD=hunter2", "driver=x; Password = {a;b}", "postgresql://me:hunter2@host/app"] {
        let text = problems(&format!("kind = 'odbc'\nconnection = '{connection}'"));
        assert!(text.contains("a password stands in the configuration; put it alone into a file"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    database("kind = 'postgresql'\nconnection = 'postgresql://me@[::1]:5432/app'");
}

#[test]
fn what_cannot_be_is_told() {
    assert_snapshot!(problems("kind = 'mysql'"), @"7:8: `mysql` is not a kind of database; known are `sqlite`, `postgresql`, `sql-server`, `odbc`");
    assert_snapshot!(problems("kind = 'sqlite'\nconnection = 'x'\nmethod = 'external'"), @r#"9:10: this database cannot be backed up so; nobody records backups of an SQLite database: choose "native" or "logical""#);
    assert_snapshot!(problems("kind = 'sqlite'\nconnection = 'x'\nbackup-folder = 'x'"), @r#"
    6:1: `path` is missing in [database]; write path = "/srv/app/app.db"
    8:1: `connection` says nothing here; an SQLite database is a file: name it with path
    "#);
    assert_snapshot!(problems("kind = 'postgresql'\npath = 'x'"), @r#"
    6:1: `connection` is missing in [database]; write connection = "postgresql://user@host/database"
    8:1: `path` says nothing here; a server is named by its connection
    "#);
    assert_snapshot!(problems("kind = 'postgresql'\nconnection = 'postgresql://h/d'\nmethod = 'native'"), @r#"9:10: this database cannot be backed up so; only SQL Server has backups of its own here: remove the line, for "logical" is what there is"#);
    assert_snapshot!(problems("kind = 'sql-server'\nconnection = 'Driver=X'"), @r"6:1: `backup-folder` is missing in [database]; write backup-folder = 'D:\Backup', as SQL Server sees it");
    assert_snapshot!(problems("kind = 'sql-server'\nconnection = 'Driver=X'\nmethod = 'external'"), @r#"6:1: `external` is missing in [database]; write external = { max-age = "1d" }"#);
    assert_snapshot!(problems("kind = 'sql-server'\nconnection = 'Driver=X'\nbackup-folder = 'x'\ndatabase-moment = 'later'\nhold-services = '1h'"), @r#"11:1: services are held for nothing: a later moment is accepted; remove it, or write database-moment = "same""#);
}

#[test]
fn a_connection_is_of_the_kind_that_is_named() {
    let cases = [
        ("postgresql", "sqlite:/srv/app.db"),
        ("postgresql", "Driver={PostgreSQL Unicode};Database=app"),
        ("odbc", "postgresql://me@host/app"),
        ("odbc", "sqlite:/srv/app.db"),
        ("odbc", "Driver={SQLite3 ODBC Driver};Database=/srv/app.db"),
        ("sql-server", "sql1"),
    ];
    for (kind, connection) in cases {
        let text = problems(&format!("kind = '{kind}'\nconnection = '{connection}'\nbackup-folder = 'x'"));
        assert!(text.contains("this is no connection of that kind; write connection ="), "{kind} {connection}: {text}");
    }
    for key in ["ClientSecret", "AccessToken", "TLSKEYPWD", "SSLPassword", "Passphrase"] {
        let text = problems(&format!("kind = 'odbc'\nconnection = 'Driver=X;{key}=hunter2'"));
        assert!(text.contains("a password stands in the configuration"), "{key}: {text}");
    }
}
