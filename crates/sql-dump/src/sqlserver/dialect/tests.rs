//! The T-SQL that is made of a catalog and of values.

mod catalogs;
mod values;

use super::super::error::SqlServerError;
use super::super::talk::{Answer, End, Message, Table, Talk};

/// Answers by a part of the batch; without a rule there are no rows.
#[derive(Default)]
struct Scripted {
    rules: Vec<(&'static str, Answer)>,
}

impl Talk for Scripted {
    fn run(&mut self, sql: &str, _: &mut dyn FnMut(&Message)) -> Result<Answer, SqlServerError> {
        let rule = self.rules.iter().find(|(part, _)| sql.contains(part));
        let none = Answer { messages: Vec::new(), tables: Vec::new(), end: End::Whole };
        Ok(rule.map_or(none, |(_, answer)| answer.clone()))
    }
}

impl Scripted {
    /// Rows as `column=value` pairs between semicolons; a column that is not named is NULL.
    fn on(mut self, part: &'static str, rows: &[&str]) -> Self {
        let pairs = |row: &&str| -> Vec<(String, String)> {
            let pair =
                |pair: &str| pair.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.to_owned()));
            row.split(';').filter_map(pair).collect()
        };
        let rows: Vec<Vec<(String, String)>> = rows.iter().map(pairs).collect();
        let mut columns: Vec<String> = rows.iter().flatten().map(|(name, _)| name.clone()).collect();
        columns.sort();
        columns.dedup();
        let value = |row: &Vec<(String, String)>, name: &String| {
            row.iter().find(|(column, _)| column == name).map(|(_, value)| value.clone())
        };
        let rows = rows.iter().map(|row| columns.iter().map(|name| value(row, name)).collect()).collect();
        let answer = Answer { messages: Vec::new(), tables: vec![Table { columns, rows }], end: End::Whole };
        self.rules.push((part, answer));
        self
    }
}
