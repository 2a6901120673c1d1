//! Functions, views and triggers of PostgreSQL, and comments.

use super::catalog::{OURS, Row, is_one_of, own, pairs};
use super::session::Asks;
use super::tables::{COLLATION, OPTIONS};
use crate::logical::LogicalError;

type Result<T> = std::result::Result<T, LogicalError>;

pub(super) fn routines(session: &mut dyn Asks) -> Result<Vec<Row>> {
    // The constructors of a range type come with it.
    let own = own("pg_proc", "p.oid").replace("= 'e'", "IN ('e', 'i')");
    pairs(
        session,
        "functions",
        &format!(
            "SELECT format('%I.%I', n.nspname, p.proname), pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE {OURS} AND {own} AND p.prokind IN ('f', 'p', 'w') ORDER BY p.oid"
        ),
    )
}

/// Views, each first without what it tells, for they may need one another and functions that need them, then materialized views.
pub(super) fn views(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let (is_view, is_materialized) = (is_one_of("'v'"), is_one_of("'m'"));
    let name = "SELECT format('%I.%I', n.nspname, c.relname)";
    let from = "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace";
    let empty = format!(
        "{name}, format('CREATE VIEW %I.%I AS SELECT %s', n.nspname, c.relname,
           (SELECT string_agg(format('NULL::%s', format_type(a.atttypid, a.atttypmod))
              || {COLLATION}
              || format(' AS %I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0))
         {from} WHERE {is_view} ORDER BY c.oid"
    );
    let views = format!(
        "{name}, format('CREATE OR REPLACE VIEW %I.%I%s AS %s', n.nspname, c.relname, {OPTIONS}, rtrim(pg_get_viewdef(c.oid), ';'))
         {from} WHERE {is_view} ORDER BY c.oid"
    );
    let materialized = format!(
        "{name}, format('CREATE MATERIALIZED VIEW %I.%I%s AS %s WITH NO DATA', n.nspname, c.relname, {OPTIONS}, rtrim(pg_get_viewdef(c.oid), ';'))
         {from} WHERE {is_materialized} ORDER BY c.oid"
    );
    let mut all = Vec::new();
    for sql in [empty, views, materialized] {
        all.extend(pairs(session, "views", &sql)?);
    }
    Ok(all)
}

/// Materialized views that are made from one without rows, as a common table expression; those without rows are among them.
pub(super) const STALE: &str =
    "WITH RECURSIVE stale (oid) AS (SELECT oid FROM pg_class WHERE relkind = 'm' AND NOT relispopulated
    UNION SELECT r.ev_class FROM stale s JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
      AND d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite r ON r.oid = d.objid)";

/// Rows of materialized views, and their indexes.
pub(super) fn materialized(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let is_materialized = is_one_of("'m'");
    pairs(
        session,
        "materialized views",
        &format!(
            "{STALE} SELECT a, b FROM (SELECT format('%I.%I', n.nspname, c.relname), format('REFRESH MATERIALIZED VIEW %I.%I', n.nspname, c.relname), c.oid, 0
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {is_materialized} AND c.oid NOT IN (SELECT oid FROM stale)
             UNION ALL SELECT format('%I.%I', n.nspname, x.relname), pg_get_indexdef(x.oid), c.oid, 1
             FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {is_materialized} AND i.indisvalid) AS all_of_them (a, b, o, p) ORDER BY o, p"
        ),
    )
}

pub(super) fn triggers(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    pairs(
        session,
        "triggers",
        &format!(
            "SELECT format('%I on %I.%I', t.tgname, n.nspname, c.relname), pg_get_triggerdef(t.oid)
             FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND c.relkind <> 'f' AND {OURS} AND {own} ORDER BY t.oid"
        ),
    )
}

/// Triggers that are off, or on for replicated changes as well; of parts of tables those that differ from the whole's.
pub(super) fn trigger_states(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    pairs(
        session,
        "states of triggers",
        &format!(
            "SELECT format('%I on %I.%I', t.tgname, n.nspname, c.relname), format('ALTER TABLE %I.%I %s TRIGGER %I', n.nspname, c.relname,
               CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END, t.tgname)
             FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_trigger w ON w.oid = t.tgparentid
             WHERE (NOT t.tgisinternal OR t.tgparentid <> 0 AND NOT w.tgisinternal) AND t.tgenabled <> coalesce(w.tgenabled, 'O')
             AND c.relkind <> 'f' AND {OURS} AND {own} ORDER BY t.tgparentid <> 0, t.oid"
        ),
    )
}

pub(super) fn comments(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    pairs(
        session,
        "comments",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), CASE WHEN d.objsubid = 0
               THEN format('COMMENT ON %s %I.%I IS %L', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
                 n.nspname, c.relname, d.description)
               ELSE format('COMMENT ON COLUMN %I.%I.%I IS %L', n.nspname, c.relname, a.attname, d.description) END
             FROM pg_description d JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid
             WHERE d.classoid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm') AND {OURS} AND {own} ORDER BY c.oid, d.objsubid"
        ),
    )
}
