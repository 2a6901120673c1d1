//! What a PostgreSQL database consists of. The server writes the statements itself, by its `pg_get_…` functions, wherever it has one.

use super::code::{comments, materialized, routines, trigger_states, triggers, views};
use super::not_covered::{lost, not_covered};
use super::session::Asks;
use super::tables::{
    COLLATION, clusters, constraints, defaults, index_settings, indexes, replica_identities, storage, table_statements,
    tables,
};
use crate::logical::LogicalError;
use crate::logical::catalog::{Catalog, Kind, Statement};

type Result<T> = std::result::Result<T, LogicalError>;

/// Schemas that belong to the user, in a condition on a `pg_namespace` named `n`.
pub(super) const OURS: &str = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";

/// Not a part of an extension, in a condition on a catalog's row. `class` is the catalog, `oid` the column.
pub(super) fn own(class: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = '{class}'::regclass AND e.objid = {oid} AND e.deptype = 'e')"
    )
}

/// Reads all of it as of the snapshot of `session`.
pub(super) fn read(session: &mut dyn Asks) -> Result<Catalog> {
    let mut catalog = Catalog { not_covered: not_covered(session)?, lost: lost(session)?, ..Catalog::default() };
    let mut pre =
        |kind, rows: Vec<Row>| catalog.pre.extend(rows.into_iter().map(|(name, sql)| Statement::new(kind, name, sql)));
    pre(Kind::Container, containers(session)?);
    pre(Kind::Type, collations(session)?);
    pre(Kind::Type, types(session)?);
    pre(Kind::Sequence, sequences(session)?);
    pre(Kind::Routine, routines(session)?);
    pre(Kind::Table, table_statements(session)?);
    pre(Kind::Sequence, owned_sequences(session)?);
    pre(Kind::Value, storage(session, "'r', 'p'")?);
    pre(Kind::View, views(session)?);
    let mut post =
        |kind, rows: Vec<Row>| catalog.post.extend(rows.into_iter().map(|(name, sql)| Statement::new(kind, name, sql)));
    post(Kind::Constraint, constraints(session, "p u x")?);
    post(Kind::Index, indexes(session)?);
    post(Kind::Constraint, unjudged_domains(session)?);
    post(Kind::Constraint, constraints(session, "c")?);
    post(Kind::Constraint, constraints(session, "f")?);
    post(Kind::Value, storage(session, "'m'")?);
    post(Kind::View, materialized(session)?);
    post(Kind::Value, defaults(session)?);
    post(Kind::Value, index_settings(session)?);
    post(Kind::Value, replica_identities(session)?);
    post(Kind::Value, clusters(session)?);
    post(Kind::Trigger, triggers(session)?);
    post(Kind::Value, trigger_states(session)?);
    post(Kind::Value, sequence_values(session)?);
    post(Kind::Comment, comments(session)?);
    catalog.tables = tables(session)?;
    Ok(catalog)
}

/// A name for messages and a statement.
pub(super) type Row = (String, String);

/// Rows of a query with two columns.
pub(super) fn pairs(session: &mut dyn Asks, what: &str, sql: &str) -> Result<Vec<Row>> {
    let rows = session.rows(&format!("read {what}"), sql, 2)?;
    Ok(rows.into_iter().map(|row| (row.text(0), row.text(1))).collect())
}

fn containers(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_namespace", "n.oid");
    let schemas = format!(
        "SELECT nspname, format('CREATE SCHEMA IF NOT EXISTS %I', nspname) FROM pg_namespace n WHERE {OURS} AND {own} ORDER BY n.oid"
    );
    // One that another needs was made before it.
    let extensions = "SELECT extname, format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I', extname, n.nspname)
        FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE extname <> 'plpgsql' ORDER BY x.oid";
    Ok([pairs(session, "schemas", &schemas)?, pairs(session, "extensions", extensions)?].concat())
}

/// Columns by which versions differ are asked for by name in the row as JSON.
fn collations(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_collation", "c.oid");
    pairs(
        session,
        "collations",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.collname), format('CREATE COLLATION %I.%I (%s%s%s)', n.nspname, c.collname,
               CASE c.collprovider WHEN 'c' THEN format('PROVIDER = libc, LC_COLLATE = %L, LC_CTYPE = %L', c.collcollate, c.collctype)
                 ELSE format('PROVIDER = %s, LOCALE = %L', CASE c.collprovider WHEN 'i' THEN 'icu' ELSE 'builtin' END,
                   coalesce(j ->> 'colllocale', j ->> 'colliculocale', c.collcollate)) END,
               CASE j ->> 'collisdeterministic' WHEN 'false' THEN ', DETERMINISTIC = false' ELSE '' END,
               coalesce(', RULES = ' || quote_literal(j ->> 'collicurules'), ''))
             FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace CROSS JOIN LATERAL to_jsonb(c) AS j
             WHERE {OURS} AND {own} AND c.collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))
             AND c.collprovider IN ('b', 'c', 'i') ORDER BY c.oid"
        ),
    )
}

fn types(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_type", "t.oid");
    pairs(
        session,
        "types",
        &format!(
            "SELECT format('%I.%I', n.nspname, t.typname), CASE t.typtype
               WHEN 'e' THEN format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname,
                 (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
               WHEN 'd' THEN format('CREATE DOMAIN %I.%I AS %s', n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod))
                 || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, c.collname) FROM pg_collation c
                      JOIN pg_namespace cn ON cn.oid = c.collnamespace JOIN pg_type b ON b.oid = t.typbasetype
                      WHERE c.oid = t.typcollation AND t.typcollation <> b.typcollation), '')
                 || coalesce(' DEFAULT ' || pg_get_expr(t.typdefaultbin, 0), '')
                 || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
                 || coalesce((SELECT string_agg(format(' CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)), '' ORDER BY conname)
                      FROM pg_constraint WHERE contypid = t.oid AND contype = 'c' AND convalidated), '')
               WHEN 'c' THEN format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname,
                 (SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod))
                    || {COLLATION}, ', ' ORDER BY attnum)
                  FROM pg_attribute a WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped))
               ELSE (SELECT format('CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s', n.nspname, t.typname, format_type(rngsubtype, NULL))
                   || coalesce((SELECT format(', SUBTYPE_OPCLASS = %I.%I', pn.nspname, p.opcname) FROM pg_opclass p
                        JOIN pg_namespace pn ON pn.oid = p.opcnamespace WHERE p.oid = r.rngsubopc AND NOT p.opcdefault), '')
                   || coalesce((SELECT format(', COLLATION = %I.%I', cn.nspname, c.collname) FROM pg_collation c
                        JOIN pg_namespace cn ON cn.oid = c.collnamespace JOIN pg_type y ON y.oid = r.rngsubtype
                        WHERE c.oid = r.rngcollation AND r.rngcollation <> y.typcollation), '')
                   || CASE WHEN r.rngsubdiff <> 0 THEN ', SUBTYPE_DIFF = ' || r.rngsubdiff::regproc ELSE '' END
                   || coalesce((SELECT format(', MULTIRANGE_TYPE_NAME = %I.%I', mn.nspname, m.typname) FROM pg_type m
                        JOIN pg_namespace mn ON mn.oid = m.typnamespace WHERE m.oid = (to_jsonb(r) ->> 'rngmultitypid')::oid), '') || ')'
                 FROM pg_range r WHERE rngtypid = t.oid)
             END
             FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class r ON r.oid = t.typrelid
             WHERE {OURS} AND {own} AND (t.typtype IN ('e', 'd', 'r') OR r.relkind = 'c') ORDER BY t.oid"
        ),
    )
}

/// Checks of domains that the values that are there need not pass.
fn unjudged_domains(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_type", "t.oid");
    pairs(
        session,
        "checks of domains",
        &format!(
            "SELECT format('%I on %I.%I', k.conname, n.nspname, t.typname),
               format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname, t.typname, k.conname, pg_get_constraintdef(k.oid))
             FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
             WHERE {OURS} AND {own} AND NOT k.convalidated ORDER BY k.oid"
        ),
    )
}

fn sequences(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    pairs(
        session,
        "sequences",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname), format('CREATE %sSEQUENCE %I.%I AS %s INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s%s',
               CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, n.nspname, c.relname, format_type(seqtypid, NULL), seqincrement, seqmin, seqmax, seqstart, seqcache,
               CASE WHEN seqcycle THEN ' CYCLE' ELSE '' END)
             FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE {OURS} AND {own} AND c.relpersistence <> 't'
             AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')
             ORDER BY c.oid"
        ),
    )
}

/// Sequences that go with a column (`serial`): after the tables.
fn owned_sequences(session: &mut dyn Asks) -> Result<Vec<Row>> {
    pairs(
        session,
        "owners of sequences",
        &format!(
            "SELECT format('%I.%I', n.nspname, c.relname),
               format('ALTER SEQUENCE %I.%I OWNED BY %I.%I.%I', n.nspname, c.relname, tn.nspname, t.relname, a.attname)
             FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
             WHERE {OURS} AND t.relkind <> 'f' AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'
             ORDER BY c.oid"
        ),
    )
}

fn sequence_values(session: &mut dyn Asks) -> Result<Vec<Row>> {
    let own = own("pg_class", "c.oid");
    let sql = format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'S' AND {OURS} AND {own} AND c.relpersistence <> 't' ORDER BY c.oid"
    );
    let names = session.rows("read sequences", &sql, 1)?;
    let mut values = Vec::new();
    for name in names.into_iter().map(|row| row.text(0)) {
        let sql = format!(
            "SELECT format('SELECT setval(%L::regclass, %s, %L)', {}, last_value, is_called) FROM {name}",
            literal(&name)
        );
        let found = session.rows("read the value of a sequence", &sql, 1)?;
        values.extend(found.into_iter().map(|row| (name.clone(), row.text(0))));
    }
    Ok(values)
}

/// Relations of some kinds, in a condition on a `pg_class` named `c` with its namespace `n`.
pub(super) fn is_one_of(kinds: &str) -> String {
    format!("c.relkind IN ({kinds}) AND c.relpersistence <> 't' AND {OURS} AND {}", own("pg_class", "c.oid"))
}

/// Tables that have rows or parts with rows.
pub(super) fn is_table() -> String {
    is_one_of("'r', 'p'")
}

/// A string literal.
pub(super) fn literal(text: &str) -> String {
    let escaped = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", escaped.replace('\\', "\\\\")) } else { format!("'{escaped}'") }
}

/// A name in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
