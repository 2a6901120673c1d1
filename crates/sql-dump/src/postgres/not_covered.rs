//! What a PostgreSQL database has and a dump has not.

use super::catalog::{OURS, is_table, own};
use super::code::STALE;
use super::session::Asks;
use crate::logical::LogicalError;

type Result<T> = std::result::Result<T, LogicalError>;

/// Data that is there and not in the dump. Rows that policies hide make a dump fail: `row_security` is off.
pub(super) fn lost(session: &mut dyn Asks) -> Result<Vec<String>> {
    let sql = "SELECT count(*)::text FROM pg_largeobject_metadata";
    let number = session.value("count large objects", sql)?;
    let mut lost = Vec::new();
    if number != "0" {
        lost.push(format!("large objects (pg_largeobject): {number}"));
    }
    let stale = format!(
        "{STALE} SELECT format('rows of the materialized view %I.%I: it is made from one that has none', n.nspname, c.relname)
         FROM stale s JOIN pg_class c ON c.oid = s.oid AND c.relkind = 'm' AND c.relispopulated JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY c.oid"
    );
    lost.extend(session.rows("look for materialized views", &stale, 1)?.into_iter().map(|row| row.text(0)));
    lost.extend(rows_of_extensions(session)?);
    Ok(lost)
}

/// What users wrote into tables of extensions: those come again with their extension, and with what that itself puts there.
fn rows_of_extensions(session: &mut dyn Asks) -> Result<Vec<String>> {
    let sql = "SELECT format('%I.%I', n.nspname, c.relname), coalesce(x.extcondition[k.place], ''),
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)
         FROM pg_extension x CROSS JOIN LATERAL unnest(x.extconfig) WITH ORDINALITY AS k (oid, place)
         JOIN pg_class c ON c.oid = k.oid AND c.relkind IN ('r', 'p') JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY c.oid";
    let mut lost = Vec::new();
    for row in session.rows("look for tables of extensions", sql, 3)? {
        let (table, condition) = (row.text(0), row.text(1));
        if !row.text(2).starts_with(['t', '1']) {
            lost.push(format!("rows of {table}, a table of an extension: this user may not count them"));
            continue;
        }
        // The condition is the extension's own, by which pg_dump tells its users' rows from its own.
        let number =
            session.value("count rows of extensions", &format!("SELECT count(*)::text FROM {table} {condition}"))?;
        if number != "0" {
            lost.push(format!("rows of {table}, a table of an extension: {number}"));
        }
    }
    Ok(lost)
}

/// What is there and not in the dump, with its number.
pub(super) fn not_covered(session: &mut dyn Asks) -> Result<Vec<String>> {
    let count = |catalog: &str, condition: &str| {
        format!("(SELECT count(*) FROM {catalog} p WHERE {condition} AND {})", own(catalog, "p.oid"))
    };
    let ours = |catalog: &str, namespace: &str, condition: &str| {
        let own = own(catalog, "p.oid");
        format!(
            "(SELECT count(*) FROM {catalog} p JOIN pg_namespace n ON n.oid = p.{namespace} WHERE {condition} AND {OURS} AND {own})"
        )
    };
    // The cast of a range type to its multirange comes with it.
    let casts = count("pg_cast", "p.oid >= 16384").replace("= 'e'", "IN ('e', 'i')");
    let counts = [
        ("tables with row security", ours("pg_class", "relnamespace", "(p.relrowsecurity OR p.relforcerowsecurity)")),
        ("row security policies", count("pg_policy", "true")),
        ("rewrite rules", count("pg_rewrite", "p.rulename <> '_RETURN' AND p.oid >= 16384")),
        ("event triggers", count("pg_event_trigger", "true")),
        ("publications", count("pg_publication", "true")),
        (
            "subscriptions",
            "(SELECT count(oid) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()))".to_owned(),
        ),
        ("foreign tables", ours("pg_class", "relnamespace", "p.relkind = 'f'")),
        ("foreign servers", count("pg_foreign_server", "true")),
        ("foreign data wrappers", count("pg_foreign_data_wrapper", "true")),
        (
            "canonical functions of range types",
            ours("pg_type", "typnamespace", "p.oid IN (SELECT rngtypid FROM pg_range WHERE rngcanonical <> 0)"),
        ),
        ("extended statistics", ours("pg_statistic_ext", "stxnamespace", "true")),
        ("aggregates", ours("pg_proc", "pronamespace", "p.prokind = 'a'")),
        ("operators", ours("pg_operator", "oprnamespace", "true")),
        ("base types", ours("pg_type", "typnamespace", "(p.typtype = 'b' AND p.typelem = 0 OR NOT p.typisdefined)")),
        ("casts", casts),
        ("text search configurations", ours("pg_ts_config", "cfgnamespace", "true")),
        ("text search dictionaries", ours("pg_ts_dict", "dictnamespace", "true")),
        ("text search parsers", ours("pg_ts_parser", "prsnamespace", "true")),
        ("text search templates", ours("pg_ts_template", "tmplnamespace", "true")),
        ("operator classes", ours("pg_opclass", "opcnamespace", "true")),
        ("operator families", ours("pg_opfamily", "opfnamespace", "true")),
        ("conversions", ours("pg_conversion", "connamespace", "true")),
        ("access methods", count("pg_am", "p.oid >= 16384")),
        ("languages", count("pg_language", "p.oid >= 16384")),
        ("transforms", count("pg_transform", "true")),
        ("security labels", "(SELECT count(*) FROM pg_seclabel)".to_owned()),
        ("objects that go with an extension", "(SELECT count(*) FROM pg_depend WHERE deptype = 'x')".to_owned()),
        (
            "inherited columns, which become columns of their own",
            format!(
                "(SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE {} AND NOT c.relispartition AND a.attinhcount > 0 AND NOT a.attislocal AND NOT a.attisdropped)",
                is_table()
            ),
        ),
        (
            "comments on others than tables, columns and views",
            "(SELECT count(*) FROM pg_description d LEFT JOIN pg_class c ON d.classoid = 'pg_class'::regclass AND c.oid = d.objoid
              WHERE d.objoid >= 16384 AND d.classoid <> 'pg_extension'::regclass AND coalesce(c.relkind, 'i') NOT IN ('r', 'p', 'v', 'm') AND NOT EXISTS
              (SELECT 1 FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e'))".to_owned(),
        ),
    ];
    let values: Vec<String> = counts.iter().map(|(what, count)| format!("('{what}', {count})")).collect();
    let sql = format!("SELECT what, n::text FROM (VALUES {}) AS t(what, n) WHERE n > 0", values.join(", "));
    let rows = session.rows("count what a dump does not hold", &sql, 2)?;
    let mut lines: Vec<String> = rows.into_iter().map(|row| format!("{}: {}", row.text(0), row.text(1))).collect();
    lines.push("owners, privileges, tablespaces, settings of the database and of roles in it".to_owned());
    Ok(lines)
}
