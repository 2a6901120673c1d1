use insta::assert_snapshot;

use super::Scripted;
use crate::sqlserver::dialect::catalog::read;
use crate::sqlserver::dialect::columns::full_type;
use crate::sqlserver::dialect::target::CONTENTS;

/// A database with something of everything.
fn database() -> Scripted {
    Scripted::default()
        .on("SELECT N'procedures'", &["what=procedures;n=2", "what=triggers;n=0"])
        .on("FROM sys.schemas AS s WHERE", &["name=it's]"])
        .on("WHERE u.is_user_defined = 1", &["schema_name=dbo;name=Code;type=nvarchar;max_length=6;is_nullable=0"])
        .on(
            "FROM sys.sequences AS q",
            &[
                "schema_name=dbo;name=Up;type=bigint;start_value=1;increment=1;minimum_value=1;maximum_value=9;current_value=9;is_cycling=1;is_cached=1;cache_size=10",
                "schema_name=dbo;name=Used;type=decimal;precision=5;start_value=9;increment=-3;minimum_value=0;maximum_value=9;current_value=0;is_cycling=0;is_cached=0",
            ],
        )
        .on(
            "FROM sys.sql_expression_dependencies",
            &[
                "object_id=401;part=0;referenced_id=400;type=V",
                "object_id=400;part=0;referenced_id=500;type=FN",
                "object_id=1;part=5;referenced_id=500;type=FN",
                "object_id=902;part=0;referenced_id=500;type=FN",
                "object_id=911;part=0;referenced_id=500;type=FN",
                "object_id=403;part=0;referenced_id=402;type=V",
            ],
        )
        .on(
            "FROM sys.columns AS c JOIN sys.tables",
            &[
                "object_id=1;column_id=1;name=id;type=int;max_length=4;is_nullable=0;seed=-5;increment=-1;last_value=-9",
                "object_id=1;column_id=2;name=code;type=nvarchar;max_length=6;alias_schema=dbo;alias_name=Code;is_nullable=0;collation=Latin1_General_BIN2",
                "object_id=1;column_id=3;name=text;type=varchar;max_length=-1;is_nullable=1;collation=Latin1_General_100_CI_AS_SC_UTF8;default_id=901;default_name=DF_text;default_definition=('it''s')",
                "object_id=1;column_id=4;name=sum;type=int;max_length=4;computed=([id]+(1));is_persisted=1;is_nullable=0",
                "object_id=1;column_id=5;name=by code;type=int;max_length=4;computed=([dbo].[f]([id]));is_persisted=0;is_nullable=1",
                "object_id=1;column_id=6;name=ver;type=timestamp;max_length=8;is_nullable=0",
                "object_id=1;column_id=7;name=own;type=Point;is_user_clr=1;is_nullable=1",
                "object_id=1;column_id=8;name=secret;type=varbinary;max_length=99;encryption_type=2;is_nullable=1",
                "object_id=1;column_id=9;name=row;type=uniqueidentifier;max_length=16;is_nullable=0;is_rowguidcol=1;default_id=902;default_name=DF_row;default_definition=([dbo].[f2]())",
                "object_id=1;column_id=10;name=rare;type=decimal;max_length=9;precision=9;scale=2;is_nullable=1;is_sparse=1",
                "object_id=1;column_id=11;name=all rare;type=xml;max_length=-1;is_nullable=1;is_column_set=1",
                "object_id=2;column_id=1;name=ver;type=timestamp;max_length=8;is_nullable=0",
            ],
        )
        .on(
            "t.is_filetable = 0 ORDER BY",
            &["object_id=1;schema_name=it's];name=T];pages=3", "object_id=2;schema_name=dbo;name=Nothing;pages=0"],
        )
        .on(
            "FROM sys.indexes AS i JOIN sys.objects",
            &[
                "object_id=1;index_id=2;object_type=U ;table_schema=it's];table_name=T];name=IX;type=2;is_unique=1;is_disabled=1;filter_definition=([id]>(0));fill_factor=80;is_padded=1;ignore_dup_key=1;column_name=code;is_descending_key=1",
                "object_id=1;index_id=2;object_type=U ;table_schema=it's];table_name=T];name=IX;type=2;column_name=id",
                "object_id=1;index_id=2;object_type=U ;table_schema=it's];table_name=T];name=IX;type=2;column_name=text;is_included_column=1",
                "object_id=1;index_id=3;object_type=U ;table_schema=it's];table_name=T];name=IX lost;type=2;column_name=by code",
                "object_id=1;index_id=1;object_type=U ;table_schema=it's];table_name=T];name=PK;type=1;is_primary_key=1;is_unique=1;column_name=id",
                "object_id=1;index_id=4;object_type=U ;table_schema=it's];table_name=T];name=UQ;type=2;is_unique_constraint=1;is_unique=1;column_name=code",
                "object_id=1;index_id=5;object_type=U ;table_schema=it's];table_name=T];name=CS;type=6;column_name=code;is_included_column=1",
                "object_id=402;index_id=1;object_type=V ;table_schema=dbo;table_name=Seen;name=IX seen;type=1;is_unique=1;column_name=id",
                "object_id=401;index_id=1;object_type=V ;table_schema=dbo;table_name=By;name=IX by;type=1;is_unique=1;column_name=id",
            ],
        )
        .on(
            "FROM sys.check_constraints",
            &[
                "object_id=910;name=CK;table_schema=it's];table_name=T];definition=([id]<(0));is_not_trusted=0;is_disabled=0",
                "object_id=911;name=CK by code;table_schema=it's];table_name=T];definition=([dbo].[f]([id])>(0))",
                "object_id=912;name=CK off;table_schema=it's];table_name=T];definition=([id]<(9));is_not_trusted=1;is_disabled=1;is_not_for_replication=1",
            ],
        )
        .on(
            "FROM sys.foreign_keys",
            &[
                "object_id=920;name=FK;table_schema=it's];table_name=T];other_schema=dbo;other_name=O;column_name=id;other_column=a;on_delete=SET_NULL;on_update=NO_ACTION",
                "object_id=920;name=FK;table_schema=it's];table_name=T];other_schema=dbo;other_name=O;column_name=code;other_column=b]",
                "object_id=921;name=FK 2;table_schema=it's];table_name=T];other_schema=it's];other_name=T];column_name=id;other_column=id;on_delete=CASCADE;on_update=SET_DEFAULT;is_not_trusted=1",
            ],
        )
        .on(
            "FROM sys.views AS v",
            &[
                "object_id=400;schema_name=dbo;name=Coded;definition=CREATE VIEW x;uses_ansi_nulls=1;uses_quoted_identifier=1",
                "object_id=401;schema_name=dbo;name=By;definition=CREATE VIEW y;uses_ansi_nulls=1;uses_quoted_identifier=1",
                "object_id=402;schema_name=dbo;name=Seen;definition=CREATE VIEW dbo.Seen AS SELECT 1 AS id;uses_ansi_nulls=1;uses_quoted_identifier=1",
                "object_id=403;schema_name=dbo;name=Old;definition=CREATE VIEW dbo.Old AS SELECT \"a\" AS b;uses_ansi_nulls=0;uses_quoted_identifier=0",
                "object_id=404;schema_name=dbo;name=Hidden",
            ],
        )
}

#[test]
fn a_catalog_becomes_statements() {
    let catalog = read(&mut database()).expect("it is read");
    let script = |statements: &[crate::logical::catalog::Statement]| {
        let line = |statement: &crate::logical::catalog::Statement| {
            let setting = statement.setting.as_ref().map(|setting| format!("{setting};\n")).unwrap_or_default();
            format!("{:?} {}: {setting}{}", statement.kind, statement.name, statement.sql)
        };
        statements.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(script(&catalog.pre), @r#"
    Container it's]: CREATE SCHEMA [it's]]]
    Type dbo.Code: CREATE TYPE [dbo].[Code] FROM nvarchar(3) NOT NULL
    Sequence dbo.Up: CREATE SEQUENCE [dbo].[Up] AS bigint START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE 9 CYCLE CACHE 10
    Sequence dbo.Used: CREATE SEQUENCE [dbo].[Used] AS decimal(5,0) START WITH 9 INCREMENT BY -3 MINVALUE 0 MAXVALUE 9 NO CYCLE NO CACHE
    Table it's].T]: CREATE TABLE [it's]]].[T]]] (
      [id] int IDENTITY(-5,-1) NOT NULL,
      [code] [dbo].[Code] NOT NULL,
      [text] varchar(max) COLLATE Latin1_General_100_CI_AS_SC_UTF8 CONSTRAINT [DF_text] DEFAULT ('it''s') NULL,
      [sum] AS ([id]+(1)) PERSISTED NOT NULL,
      [ver] rowversion NOT NULL,
      [row] uniqueidentifier NOT NULL ROWGUIDCOL,
      [rare] decimal(9,2) SPARSE NULL,
      [all rare] xml COLUMN_SET FOR ALL_SPARSE_COLUMNS
    )
    Table dbo.Nothing: CREATE TABLE [dbo].[Nothing] (
      [ver] rowversion NOT NULL
    )
    "#);
    assert_snapshot!(script(&catalog.post), @r#"
    Value dbo.Up: ALTER SEQUENCE [dbo].[Up] RESTART WITH 1
    Value dbo.Used: ALTER SEQUENCE [dbo].[Used] RESTART WITH 0
    Value it's].T]: IF EXISTS (SELECT 1 FROM [it's]]].[T]]]) DBCC CHECKIDENT (N'[it''s]]].[T]]]', RESEED, -9) WITH NO_INFOMSGS ELSE DBCC CHECKIDENT (N'[it''s]]].[T]]]', RESEED, -10) WITH NO_INFOMSGS
    Constraint PK: ALTER TABLE [it's]]].[T]]] ADD CONSTRAINT [PK] PRIMARY KEY CLUSTERED ([id])
    Index IX: CREATE UNIQUE NONCLUSTERED INDEX [IX] ON [it's]]].[T]]] ([code] DESC, [id]) INCLUDE ([text]) WHERE ([id]>(0)) WITH (PAD_INDEX = ON, FILLFACTOR = 80, IGNORE_DUP_KEY = ON)
    Value IX: ALTER INDEX [IX] ON [it's]]].[T]]] DISABLE
    Constraint UQ: ALTER TABLE [it's]]].[T]]] ADD CONSTRAINT [UQ] UNIQUE NONCLUSTERED ([code])
    Index CS: CREATE NONCLUSTERED COLUMNSTORE INDEX [CS] ON [it's]]].[T]]] ([code])
    Constraint CK: ALTER TABLE [it's]]].[T]]] WITH CHECK ADD CONSTRAINT [CK] CHECK ([id]<(0))
    Constraint CK off: ALTER TABLE [it's]]].[T]]] WITH NOCHECK ADD CONSTRAINT [CK off] CHECK NOT FOR REPLICATION ([id]<(9))
    Value CK off: ALTER TABLE [it's]]].[T]]] NOCHECK CONSTRAINT [CK off]
    Constraint FK: ALTER TABLE [it's]]].[T]]] WITH CHECK ADD CONSTRAINT [FK] FOREIGN KEY ([id], [code]) REFERENCES [dbo].[O] ([a], [b]]]) ON DELETE SET NULL
    Constraint FK 2: ALTER TABLE [it's]]].[T]]] WITH NOCHECK ADD CONSTRAINT [FK 2] FOREIGN KEY ([id]) REFERENCES [it's]]].[T]]] ([id]) ON DELETE CASCADE ON UPDATE SET DEFAULT
    View dbo.Seen: CREATE VIEW dbo.Seen AS SELECT 1 AS id
    View dbo.Old: SET ANSI_NULLS OFF; SET QUOTED_IDENTIFIER OFF;
    CREATE VIEW dbo.Old AS SELECT "a" AS b
    View IX seen: CREATE UNIQUE CLUSTERED INDEX [IX seen] ON [dbo].[Seen] ([id])
    "#);
    assert_snapshot!(catalog.not_covered.join("\n"), @r#"
    procedures: 2
    owners, users, roles and permissions; options of the database
    sequence dbo.Used is used up: after a restore it gives its last value once more
    computed column it's].T].by code: it needs code that is not covered
    values of it's].T].ver: the server counts them anew
    column it's].T].own: its type is a CLR type of the database's own
    column it's].T].secret: it is encrypted by its clients
    the default of it's].T].row: it needs code that is not covered
    values of dbo.Nothing.ver: the server counts them anew
    rows of dbo.Nothing: none of its columns can be written
    index IX lost: a column of it is not covered
    check CK by code: it needs code that is not covered
    view dbo.Coded: it needs code that is not covered
    view dbo.By: it needs code that is not covered
    view dbo.Hidden: the server does not show its text
    "#);
    let table = &catalog.tables[0];
    let column = |column: &crate::logical::catalog::Column| format!("{} {}", column.name, column.declared);
    assert_eq!(
        table.columns.iter().map(column).collect::<Vec<_>>(),
        ["id int IDENTITY", "code nvarchar(3)", "text varchar(max)", "row uniqueidentifier", "rare decimal(9,2)"]
    );
    assert_eq!((table.title().as_str(), &*table.key, table.size), ("it's].T]", &[0][..], 3 * 8192));
    assert_eq!(catalog.tables.len(), 1, "a table of which no column can be written has no rows in a dump");
}

#[test]
fn types_have_their_lengths() {
    assert_eq!(full_type("nvarchar", 8000, "0", "0"), "nvarchar(4000)");
    assert_eq!(full_type("varbinary", -1, "0", "0"), "varbinary(max)");
    assert_eq!(full_type("datetimeoffset", 10, "34", "7"), "datetimeoffset(7)");
    assert_eq!(full_type("numeric", 17, "38", "0"), "numeric(38,0)");
    assert_eq!(full_type("geography", -1, "0", "0"), "geography");
}

/// The server refuses to join texts of two collations, and its own words have another one than names.
#[test]
fn no_texts_of_two_collations_are_joined() {
    let names = CONTENTS.matches("_desc").count()
        + CONTENTS.matches("SCHEMA_NAME(").count()
        + ["o.name C", "u.name C", "s.name C", "a.name C"].iter().filter(|name| CONTENTS.contains(**name)).count();
    assert_eq!(CONTENTS.matches("COLLATE DATABASE_DEFAULT").count(), names);
}
