//! A scripted database that is restored into: it takes the statements apart, keeps the rows, and gives them back. A reader of T-SQL of its own,
//! so that quoting is judged by something else than what quotes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tds_server::{Script, Step, Value, done, error};

use super::database::{Declared, answer, count, database, kinds};

/// A literal, read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Text(String),
    Bytes(Vec<u8>),
    /// The whole of a `CONVERT(sql_variant, …)`.
    Variant(String),
}

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    progress: Option<Vec<String>>,
    tables: BTreeMap<String, Vec<Vec<Literal>>>,
    long: BTreeMap<String, Literal>,
    /// All that was not rows, in order.
    pub(super) statements: Vec<String>,
    before: Option<Box<State>>,
    /// Cuts the connection at this INSERT of rows, once.
    pub(super) lose_at: Option<usize>,
    /// What another program has put there.
    pub(super) contents: Option<String>,
    inserts: usize,
}

/// The database, over all connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Store(Arc<Mutex<State>>);

impl Store {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no rule panicked")
    }

    pub(super) fn script(&self) -> Script {
        let own = self.clone();
        database().when(move |sql| own.state().answer(sql))
    }
}

impl State {
    fn answer(&mut self, sql: &str) -> Option<Vec<Step>> {
        if sql.starts_with("SELECT ") {
            return self.read(sql);
        }
        self.change(sql)?;
        let lost = self.lose_at.is_some_and(|at| at == self.inserts) && sql.starts_with("INSERT INTO [dbo].[Sites");
        if lost {
            self.lose_at = None;
            self.take_back();
            return Some(vec![Step::Flush, Step::Drop]);
        }
        Some(vec![done()])
    }

    fn read(&self, sql: &str) -> Option<Vec<Step>> {
        let one = |value: Value| Some(answer(&["one"], vec![vec![value]]));
        let id = || self.progress.as_ref().map_or(Value::Null, |_| Value::Int(1));
        match sql {
            _ if sql.starts_with("SELECT CONVERT(int, OBJECT_ID(") => one(id()),
            _ if sql.starts_with("SELECT TOP (1) what") => {
                one(self.contents.as_deref().map_or(Value::Null, Value::from))
            }
            _ if sql.starts_with("SELECT step FROM") => {
                let steps = self.progress.iter().flatten().map(|step| vec![Value::from(step.as_str())]).collect();
                Some(answer(&["step"], steps))
            }
            _ if sql.starts_with("SELECT CONVERT(bigint, COUNT_BIG(*)) AS n FROM [dbo].[Kinds]") => {
                Some(count(self.tables.get("[dbo].[Kinds]")?.len()))
            }
            _ if sql.starts_with("SELECT CONVERT(bigint, COUNT_BIG(*)) AS n FROM [dbo].[Sites") => {
                Some(count(self.sites(sql)?.len()))
            }
            _ if sql.contains(" FROM [dbo].[Kinds]") => {
                let rows = self.tables.get("[dbo].[Kinds]")?.iter();
                let kinds = kinds();
                let value =
                    |(literal, (declared, kind)): (&Literal, &(Declared, Value))| as_read(literal, declared.2, kind);
                let rows = rows.map(|row| row.iter().zip(&kinds).map(value).collect()).collect();
                Some(answer(&vec!["c"; kinds.len()], rows))
            }
            _ if sql.contains("[Name] FROM [dbo].[Sites ]]']") => Some(answer(&["a", "b"], self.sites(sql)?)),
            _ => None,
        }
    }

    /// Those that a query with a range asks for; none before there is a table.
    fn sites(&self, sql: &str) -> Option<Vec<Vec<Value>>> {
        let bound = |mark: &str| sql.split(mark).nth(1)?.split(' ').next()?.parse::<i64>().ok();
        let range = bound("[ID] >= ").unwrap_or(i64::MIN)..bound("[ID] < ").unwrap_or(i64::MAX);
        let rows = self.tables.get("[dbo].[Sites ]]']")?.iter();
        let rows = rows.map(|row| row.iter().map(|literal| as_read(literal, "", &Value::Null)).collect::<Vec<_>>());
        let is_asked =
            |row: &Vec<Value>| matches!(&row[0], Value::Text(id) if range.contains(&id.parse().expect("a number")));
        Some(rows.filter(is_asked).collect())
    }

    fn change(&mut self, sql: &str) -> Option<()> {
        match sql {
            "BEGIN TRANSACTION" => self.before = Some(Box::new(Self { before: None, ..self.clone() })),
            "COMMIT TRANSACTION" => self.before = None,
            _ if sql.starts_with("IF @@TRANCOUNT") => self.take_back(),
            "CREATE TABLE [dbo].[sitebackup_restore] (step nvarchar(400) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY)" =>
            {
                self.progress = Some(Vec::new());
            }
            "DROP TABLE [dbo].[sitebackup_restore]" => self.progress = None,
            "INSERT INTO #sitebackup_long DEFAULT VALUES" => self.long.clear(),
            _ if sql.starts_with("UPDATE #sitebackup_long SET ") => self.grow(&sql[28..]),
            _ if sql.contains("#sitebackup_long") && !sql.starts_with("INSERT") => {}
            _ if sql.starts_with("INSERT INTO ") => self.insert(&sql[12..]),
            _ if ["CREATE ", "ALTER ", "DBCC ", "IF EXISTS (SELECT 1 FROM [", "SET "]
                .iter()
                .any(|own| sql.starts_with(own)) =>
            {
                self.statements.push(sql.to_owned());
            }
            _ => return None,
        }
        Some(())
    }

    fn take_back(&mut self) {
        if let Some(before) = self.before.take() {
            *self = Self { inserts: self.inserts, lose_at: self.lose_at, ..*before };
        }
    }

    fn grow(&mut self, sql: &str) {
        let (column, mut rest) = name(sql);
        let (column, added) = (column.to_owned(), rest.starts_with(".WRITE("));
        rest = rest.strip_prefix(".WRITE(").or_else(|| rest.strip_prefix(" = ")).expect("a value follows");
        let (value, rest) = literal(rest);
        assert!(rest == if added { ", NULL, 0)" } else { "" }, "{rest}");
        match (self.long.get_mut(&column), value) {
            (Some(Literal::Text(there)), Literal::Text(more)) if added => there.push_str(&more),
            (Some(Literal::Bytes(there)), Literal::Bytes(more)) if added => there.extend(more),
            (None, value) if !added => drop(self.long.insert(column, value)),
            (there, value) => panic!("{column}: {there:?} and {value:?}"),
        }
    }

    fn insert(&mut self, sql: &str) {
        let (table, rest) = sql.split_once(" (").expect("columns follow");
        let (columns, rest) = rest.split_once(") ").expect("rows follow");
        if table == "[dbo].[sitebackup_restore]" {
            let (step, rest) = literal(rest.strip_prefix("VALUES (").expect("a step follows"));
            let Literal::Text(step) = step else { panic!("{step:?} is no step") };
            assert_eq!(rest, ")");
            self.progress.as_mut().expect("it was begun").push(step);
            return;
        }
        self.inserts += 1;
        let mut found = Vec::new();
        if let Some(rest) = rest.strip_prefix("VALUES ") {
            let mut rest = rest;
            while !rest.is_empty() {
                let (row, after) = row(rest);
                found.push(row);
                rest = after.strip_prefix(',').unwrap_or(after);
            }
        } else {
            let names = columns.split(", ").map(|column| name(column).0);
            found.push(names.map(|name| self.long.get(name).cloned().unwrap_or(Literal::Null)).collect());
        }
        assert!(found.len() <= 1000, "the server takes no more rows in one INSERT");
        self.tables.entry(table.to_owned()).or_default().extend(found);
    }
}

/// What the server's CONVERT makes of a value, as far as the scripted database needs it.
fn as_read(literal: &Literal, declared: &str, kind: &Value) -> Value {
    match (literal, kind) {
        (Literal::Null, _) => Value::Null,
        (Literal::Bytes(bytes), Value::Bytes(_)) => Value::Bytes(bytes.clone()),
        (Literal::Bytes(bytes), _) => Value::Text(bytes.iter().map(|byte| format!("{byte:02X}")).collect()),
        (Literal::Variant(text), _) if declared == "sql_variant" => Value::Text(text.clone()),
        (Literal::Text(text), _) => Value::Text(text.clone()),
        (literal, _) => panic!("{literal:?} in a column of type {declared}"),
    }
}

/// A name in brackets, and what follows it.
fn name(sql: &str) -> (&str, &str) {
    let end = sql.find(']').expect("a name ends");
    (&sql[1..end], &sql[end + 1..])
}

/// A row in parentheses, and what follows it.
fn row(sql: &str) -> (Vec<Literal>, &str) {
    let mut rest = sql.strip_prefix('(').expect("a row begins");
    let mut values = Vec::new();
    loop {
        let (value, after) = literal(rest);
        values.push(value);
        match after.split_at(1) {
            (",", after) => rest = after,
            (")", after) => return (values, after),
            (other, _) => panic!("`{other}` after a value"),
        }
    }
}

/// A literal, and what follows it.
fn literal(sql: &str) -> (Literal, &str) {
    let (first, mut rest) = part(sql);
    let Literal::Text(mut text) = first else { return (first, rest) };
    while let Some(more) = rest.strip_prefix(" + ") {
        let (part, after) = part(more);
        let Literal::Text(part) = part else { panic!("{part:?} in a text") };
        text += &part;
        rest = after;
    }
    (Literal::Text(text), rest)
}

fn part(sql: &str) -> (Literal, &str) {
    if let Some(rest) = sql.strip_prefix("NULL") {
        return (Literal::Null, rest);
    }
    if let Some(rest) = sql.strip_prefix("NCHAR(0)") {
        return (Literal::Text("\0".to_owned()), rest);
    }
    if let Some(rest) = sql.strip_prefix("0x") {
        let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        let byte = |at: usize| u8::from_str_radix(&rest[at..at + 2], 16).expect("two digits");
        return (Literal::Bytes((0..end).step_by(2).map(byte).collect()), &rest[end..]);
    }
    if let Some(rest) = sql.strip_prefix("N'") {
        return quoted(rest);
    }
    if let Some(rest) = sql.strip_prefix("CONVERT(") {
        return converted(sql, rest);
    }
    let end = sql.find([',', ')']).unwrap_or(sql.len());
    assert!(sql[..end].parse::<f64>().is_ok(), "{} is no number", &sql[..end]);
    (Literal::Text(sql[..end].to_owned()), &sql[end..])
}

fn quoted(sql: &str) -> (Literal, &str) {
    let (mut text, mut rest) = (String::new(), sql);
    loop {
        let end = rest.find('\'').expect("a text ends");
        text += &rest[..end];
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(more) => {
                text.push('\'');
                rest = more;
            }
            None => return (Literal::Text(text), rest),
        }
    }
}

fn converted<'a>(sql: &'a str, inside: &'a str) -> (Literal, &'a str) {
    let mut depth = 0;
    let end = inside.find(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    let (kind, rest) = inside.split_at(end.expect("a value follows the type"));
    let (value, rest) = literal(&rest[2..]);
    let rest = rest.strip_prefix(", 1").unwrap_or(rest).strip_prefix(')').expect("it ends");
    match value {
        Literal::Null => (Literal::Null, rest),
        _ if kind == "sql_variant" => (Literal::Variant(sql[..sql.len() - rest.len()].to_owned()), rest),
        value => (value, rest),
    }
}

/// A server that refuses one statement the first time.
pub(super) fn refusing_once(script: Script, beginning: &'static str, number: i32) -> Script {
    let mut first = true;
    script.when(move |sql| {
        let refused = sql.starts_with(beginning) && std::mem::take(&mut first);
        refused.then(|| vec![error(number, "scripted refusal"), done()])
    })
}

/// A server that refuses one statement.
pub(super) fn refusing(script: Script, beginning: &'static str, number: i32) -> Script {
    script.when(move |sql| sql.starts_with(beginning).then(|| vec![error(number, "scripted refusal"), done()]))
}
