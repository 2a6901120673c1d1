//! Whether a user sees all of a database: the server leaves out of its catalog, without a word, what a user may not see.

use super::words::quoted;
use crate::logical::LogicalError;
use crate::text::TextSession;

type Result<T> = std::result::Result<T, LogicalError>;

/// What shows tables, views, triggers and events.
const ON_DATABASE: [&str; 4] = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];

/// Refuses a user who sees a part of the database only, or who, where several connections are to see one moment, may not hold it.
pub(super) fn check(session: &mut dyn TextSession, several: bool) -> Result<()> {
    let names = session.rows("read the user's name", "SELECT DATABASE(), CURRENT_USER(), VERSION()", 3)?;
    let [database, user, version] = names.into_iter().next().and_then(|row| row.try_into().ok()).unwrap_or_default();
    let lines = session.rows("read the user's privileges", "SHOW GRANTS", 1)?;
    let grants: Vec<Grant> = lines.iter().flatten().filter_map(|line| Grant::read(line)).collect();
    let held = |privilege: &str, table: &str| holds(&grants, privilege, &database, table);
    let mut missing = Vec::new();
    let unseen: Vec<&str> = ON_DATABASE.into_iter().filter(|privilege| !held(privilege, "*")).collect();
    if !unseen.is_empty() {
        missing.push((unseen.join(", "), format!("{}.*", quoted(&escaped(&database)))));
    }
    if !sees_routines(session, &grants, &database)? {
        missing.push(match version.contains("MariaDB") {
            true => ("SELECT".to_owned(), "`mysql`.`proc`".to_owned()),
            false => ("SHOW_ROUTINE".to_owned(), "*.*".to_owned()),
        });
    }
    if several && !holds(&grants, "RELOAD", "", "") {
        missing.push(("RELOAD".to_owned(), "*.*".to_owned()));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let grantee =
        user.rsplit_once('@').map_or(quoted(&user), |(name, host)| format!("{}@{}", quoted(name), quoted(host)));
    let grants = missing.iter().map(|(what, on)| format!("GRANT {what} ON {on} TO {grantee}")).collect::<Vec<_>>();
    let what = format!(
        "`{user}` may not see all of `{database}` and hold it still, which a dump needs: {}",
        grants.join("; ")
    );
    Err(LogicalError::Unsupported(what))
}

/// Who may call everything sees every name, but the text of others' routines only where the server keeps them.
fn sees_routines(session: &mut dyn TextSession, grants: &[Grant], database: &str) -> Result<bool> {
    let all = holds(grants, "SELECT", "mysql", "proc")
        || (holds(grants, "SHOW CREATE ROUTINE", database, "*") && !holds(grants, "ALL PRIVILEGES", database, "*"))
        || holds(grants, "SHOW_ROUTINE", "", "");
    if all || !["EXECUTE", "ALTER ROUTINE"].iter().any(|privilege| holds(grants, privilege, database, "*")) {
        return Ok(all);
    }
    let hidden = "SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = DATABASE() AND routine_definition IS NULL";
    Ok(session.value("look for routines that are not shown", hidden)? == "0")
}

/// A line of SHOW GRANTS.
struct Grant {
    privileges: String,
    /// A pattern, or `*`.
    database: String,
    table: String,
    to: String,
}

impl Grant {
    fn read(line: &str) -> Option<Self> {
        let (privileges, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
        let (database, rest) = name(rest)?;
        let (table, rest) = name(rest.strip_prefix('.')?)?;
        let to = rest.split(" WITH ").next().unwrap_or_default().to_owned();
        Some(Self { privileges: privileges.to_owned(), database, table, to })
    }

    fn has(&self, privilege: &str) -> bool {
        self.privileges.split(", ").any(|held| held == privilege || held == "ALL PRIVILEGES")
    }
}

/// Whether a privilege is held on a table, or on a whole database (`*`), or everywhere (empty).
fn holds(grants: &[Grant], privilege: &str, database: &str, table: &str) -> bool {
    let fits = |pattern: &str| pattern != "*" && !database.is_empty() && matches(pattern, database);
    let is_on_schema = |grant: &&Grant| grant.table == "*" && fits(&grant.database);
    // Of several patterns that fit, the server goes by the one that says most, and by that one alone.
    let decides = |grant: &Grant| {
        let rivals = grants.iter().filter(is_on_schema).filter(|rival| rival.to == grant.to);
        rivals.map(|rival| literal_part(&rival.database)).max() == Some(literal_part(&grant.database))
    };
    let covers = |grant: &&Grant| match (grant.database.as_str(), grant.table.as_str()) {
        ("*", _) => true,
        (_, "*") => is_on_schema(grant) && decides(grant),
        (schema, name) => schema == database && name == table,
    };
    grants.iter().filter(covers).any(|grant| grant.has(privilege))
}

/// A quoted name or `*`, and what is behind it.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some(("*".to_owned(), rest));
    }
    let mut name = String::new();
    let mut rest = text.strip_prefix('`')?;
    loop {
        let (part, after) = rest.split_once('`')?;
        name.push_str(part);
        match after.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// A name as a pattern that fits it alone.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%")
}

/// How many signs of a pattern come before the first one that stands for others.
fn literal_part(pattern: &str) -> usize {
    let mut signs = pattern.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => _ = signs.next(),
            '_' | '%' => return at,
            _ => {}
        }
    }
    usize::MAX
}

/// Whether a pattern of LIKE fits a name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some(sign) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[sign.len_utf8()..];
    let first = name.chars().next();
    let behind = first.map_or("", |first| &name[first.len_utf8()..]);
    match sign {
        '%' => matches(rest, name) || (first.is_some() && matches(pattern, behind)),
        '_' => first.is_some() && matches(rest, behind),
        '\\' => match rest.chars().next() {
            Some(next) => first == Some(next) && matches(&rest[next.len_utf8()..], behind),
            None => name == "\\",
        },
        sign => first == Some(sign) && matches(rest, behind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(lines: &[&str], privilege: &str) -> bool {
        let grants: Vec<Grant> = lines.iter().filter_map(|line| Grant::read(line)).collect();
        holds(&grants, privilege, "a_b", "*")
    }

    #[test]
    fn what_is_held_on_a_whole_database() {
        let check = |lines: &[&str], expect: bool| assert_eq!(held(lines, "SHOW VIEW"), expect, "{lines:?}");
        check(&["GRANT ALL PRIVILEGES ON *.* TO `u`@`h` IDENTIFIED BY PASSWORD '*X' WITH GRANT OPTION"], true);
        check(&["GRANT USAGE ON *.* TO `u`@`h`", "GRANT SELECT, SHOW VIEW ON `a\\_b`.* TO `u`@`h`"], true);
        check(&["GRANT SHOW VIEW ON `a_b`.* TO `u`@`h`"], true);
        check(&["GRANT SHOW VIEW ON `a%`.* TO `u`@`h`"], true);
        check(&["GRANT SHOW VIEW ON `a\\_c`.* TO `u`@`h`", "GRANT SHOW VIEW ON `a`.* TO `u`@`h`"], false);
        check(&["GRANT SHOW VIEW ON `a_b`.`t` TO `u`@`h`", "GRANT `role` TO `u`@`h`"], false);
        check(&["GRANT SHOW VIEW ON `%`.* TO `u`@`h`", "GRANT SELECT ON `a\\_b`.* TO `u`@`h`"], false);
        check(&["GRANT SHOW VIEW ON `%`.* TO `role`", "GRANT SELECT ON `a\\_b`.* TO `u`@`h`"], true);
        check(&["GRANT PROXY ON ''@'%' TO 'u'@'h' WITH GRANT OPTION"], false);
    }

    #[test]
    fn a_name_in_quotes_ends_where_it_ends() {
        assert_eq!(name("`a``.b`.*"), Some(("a`.b".to_owned(), ".*")));
        assert_eq!(name("''@'%'"), None);
    }
}
