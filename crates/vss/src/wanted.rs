//! A component that is asked for by name, among what the writers offer, and its files. Nothing that a writer says is trusted.

use std::collections::HashMap;

use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::{FileSpec, ShadowCopyError, WantedComponent};
use uuid::Uuid;

/// Files of a component, at most: as many as a database of SQL Server can have.
pub(crate) const MOST_FILES: usize = 32_767;

/// Components that are named one by one where the one that is asked for is not among them.
const NAMED: usize = 10;

/// A component that a writer offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer<'a> {
    pub(crate) writer: Uuid,
    pub(crate) logical_path: &'a str,
    pub(crate) name: &'a str,
    pub(crate) selectable: bool,
}

/// Why the component is not backed up.
pub(crate) fn refusal(wanted: &WantedComponent, reason: impl Into<String>) -> ShadowCopyError {
    let (component, remedy) = (wanted.to_string(), wanted.remedy.clone());
    ShadowCopyError::Component { component, reason: reason.into(), remedy }
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// The place among `offers` of the one component that is meant. `writers` are the names of all writers, those too that offer nothing.
pub(crate) fn find(
    wanted: &WantedComponent,
    writers: &[(Uuid, &str)],
    offers: &[Offer<'_>],
) -> Result<usize, ShadowCopyError> {
    let WantedComponent { writer, writer_name, logical_path, name, .. } = wanted;
    if !writers.iter().any(|(id, _)| id == writer) {
        let others = listed(writers.iter().map(|(_, name)| (*name).to_owned()));
        let reason = format!("writer `{writer_name}` {{{writer}}} did not answer; these did: {others}");
        return Err(refusal(wanted, reason));
    }
    let is_it = |offer: &&(usize, &Offer<'_>)| same(offer.1.logical_path, logical_path) && same(offer.1.name, name);
    let of_writer: Vec<(usize, &Offer<'_>)> =
        offers.iter().enumerate().filter(|(_, offer)| offer.writer == *writer).collect();
    match of_writer.iter().filter(is_it).collect::<Vec<_>>()[..] {
        [(index, offer)] if offer.selectable => Ok(*index),
        [_] => Err(refusal(wanted, format!("writer `{writer_name}` does not let it be selected"))),
        [] => {
            let offered = listed(of_writer.iter().map(|(_, offer)| format!("{}\\{}", offer.logical_path, offer.name)));
            Err(refusal(wanted, format!("writer `{writer_name}` does not offer it; it offers: {offered}")))
        }
        _ => Err(refusal(wanted, format!("writer `{writer_name}` offers it more than once"))),
    }
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "nothing".to_owned(),
        count if count > NAMED => format!("{}, and {} more", names[..NAMED].join(", "), count - NAMED),
        _ => names.join(", "),
    }
}

/// The files that the component consists of: each one named, on a drive of this machine, and each under a name of its own, for they come to
/// lie in one folder.
pub(crate) fn files(wanted: &WantedComponent, specs: &[FileSpec]) -> Result<Vec<SitePath>, ShadowCopyError> {
    if specs.is_empty() {
        return Err(refusal(wanted, "its writer names no file of it"));
    }
    if specs.len() > MOST_FILES {
        return Err(too_many(wanted, specs.len()));
    }
    let mut names: HashMap<String, SitePath> = HashMap::new();
    let mut files = Vec::new();
    for spec in specs {
        let file = file(wanted, spec)?;
        let name = String::from_utf8_lossy(file.name().unwrap_or_default()).to_lowercase();
        if let Some(other) = names.insert(name, file.clone()) {
            let reason = format!("`{other}` and `{file}` have one name, and are to lie in one folder of the snapshot");
            return Err(refusal(wanted, reason));
        }
        files.push(file);
    }
    let named = |known: &&SitePath| files.iter().any(|file| same(&file.to_string(), &known.to_string()));
    match wanted.known.iter().find(|known| !named(known)) {
        Some(known) => Err(refusal(wanted, format!("`{known}` belongs to it, and its writer does not name it"))),
        None => Ok(files),
    }
}

/// That a component is none of a database.
pub(crate) fn too_many(wanted: &WantedComponent, count: usize) -> ShadowCopyError {
    refusal(
        wanted,
        format!("its writer names {count} files of it, more than the {MOST_FILES} that a database can have"),
    )
}

fn file(
    wanted: &WantedComponent,
    FileSpec { path, spec, recursive, alternate }: &FileSpec,
) -> Result<SitePath, ShadowCopyError> {
    let refuse = |why: &str| Err(refusal(wanted, format!("its writer names `{spec}` in `{path}`, {why}")));
    if *recursive || spec.contains(['*', '?']) {
        return refuse(
            "a pattern and no file: FILESTREAM, memory-optimised tables and full-text catalogs of old are not read so",
        );
    }
    if spec.is_empty() || spec.contains(['\\', '/', ':', '"', '<', '>', '|', '\0']) {
        return refuse("which is no name of a file");
    }
    if let Some(alternate) = alternate.as_deref().filter(|alternate| !alternate.is_empty()) {
        return refuse(&format!("to be read in `{alternate}` instead"));
    }
    match SitePath::parse(format!("{}\\{spec}", path.trim_end_matches('\\'))) {
        Ok(file) if matches!(file.to_bytes()[..], [_, b':', ..]) => Ok(file),
        Ok(_) => refuse("which is on no drive of this machine: only its own volumes can be imaged"),
        Err(_) => refuse("which is no whole path"),
    }
}

#[cfg(test)]
mod tests {
    use backup_core::ports::shadow_copies::SQL_SERVER_WRITER;

    use super::*;
    use crate::documents::WriterDocument;

    /// As SQL Server's writer describes an instance with two databases and a named one with a third, written for this test.
    const SQL_SERVER: &str = r#"<WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.2" backupSchema="881">
  <IDENTIFICATION writerId="a65faa63-5ea8-4ebc-9dbd-a0c4db26912a" instanceId="6a1ba5c2-0d4a-4f0c-9b57-3f2f9f0a1c11"
    instanceName="SQL Server:SQLWriter" friendlyName="SqlServerWriter" usage="USER_DATA" dataSource="TRANSACTION_DB"
    majorVersion="16" minorVersion="0"/>
  <RESTORE_METHOD method="RESTORE_IF_CAN_BE_REPLACED" writerRestore="always" rebootRequired="no"/>
  <BACKUP_LOCATIONS>
    <FILE_GROUP logicalPath="SITE1" componentName="master" restoreMetadata="no" notifyOnBackupComplete="yes"
      selectable="yes" selectableForRestore="yes" componentFlags="6">
      <FILE_LIST path="C:\SQL\DATA" filespec="master.mdf" filespecBackupType="3855"/>
      <FILE_LIST path="C:\SQL\DATA" filespec="mastlog.ldf" filespecBackupType="3855"/>
    </FILE_GROUP>
    <FILE_GROUP logicalPath="SITE1" componentName="CM_P01" restoreMetadata="no" notifyOnBackupComplete="yes"
      selectable="yes" selectableForRestore="yes" componentFlags="6">
      <FILE_LIST path="D:\Data &amp; more\" filespec="CM_P01.mdf" filespecBackupType="3855"/>
      <FILE_LIST path="E:\Logs" filespec="CM_P01_log.ldf" filespecBackupType="3855"/>
    </FILE_GROUP>
    <FILE_GROUP logicalPath="SITE1\REPORTS" componentName="CM_P01" restoreMetadata="no" notifyOnBackupComplete="yes"
      selectable="no" selectableForRestore="yes" componentFlags="6">
      <FILE_LIST path="F:\Data" filespec="other.mdf" filespecBackupType="3855"/>
    </FILE_GROUP>
  </BACKUP_LOCATIONS>
</WRITER_METADATA>"#;

    fn wanted(logical_path: &str, name: &str) -> WantedComponent {
        WantedComponent {
            writer: SQL_SERVER_WRITER,
            writer_name: "SqlServerWriter".to_owned(),
            logical_path: logical_path.to_owned(),
            name: name.to_owned(),
            known: Vec::new(),
            remedy: "start SQLWriter".to_owned(),
        }
    }

    fn chosen(wanted: &WantedComponent, documents: &[WriterDocument]) -> Result<Vec<String>, String> {
        let writers: Vec<(Uuid, &str)> =
            documents.iter().map(|document| (document.metadata.id, document.metadata.name.as_str())).collect();
        let components = documents.iter().flat_map(|document| {
            document.metadata.components.iter().map(move |component| (&document.metadata, component))
        });
        let components: Vec<_> = components.collect();
        let offers: Vec<Offer<'_>> = components
            .iter()
            .map(|(writer, component)| Offer {
                writer: writer.id,
                logical_path: &component.logical_path,
                name: &component.name,
                selectable: component.selectable,
            })
            .collect();
        let found = find(wanted, &writers, &offers).and_then(|index| files(wanted, &components[index].1.files));
        found.map(|files| files.iter().map(ToString::to_string).collect()).map_err(|error| error.to_string())
    }

    fn of(document: &str) -> Vec<WriterDocument> {
        let system = r#"<WRITER_METADATA><IDENTIFICATION writerId="e8132975-6f93-4464-a53e-1050253ae220" friendlyName="System Writer"/></WRITER_METADATA>"#;
        [system, document].map(|text| WriterDocument::parse(text.as_bytes()).expect("a document")).to_vec()
    }

    /// What is said of a component that names these files.
    fn files_of(specs: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let spec = |(path, spec): &(&str, &str)| FileSpec {
            path: (*path).to_owned(),
            spec: (*spec).to_owned(),
            ..FileSpec::default()
        };
        let specs: Vec<FileSpec> = specs.iter().map(spec).collect();
        let files = files(&wanted("SITE1", "CM_P01"), &specs);
        files.map(|files| files.iter().map(ToString::to_string).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_component_of_the_database_and_the_instance_is_found() {
        let found = chosen(&wanted("site1", "cm_p01"), &of(SQL_SERVER));
        assert_eq!(found, Ok(vec![r"D:\Data & more\CM_P01.mdf".to_owned(), r"E:\Logs\CM_P01_log.ldf".to_owned()]));
    }

    #[test]
    fn a_file_that_is_known_and_not_named_tears_it() {
        let path = |text: &str| SitePath::parse(text).expect("absolute");
        let known = |known| chosen(&WantedComponent { known, ..wanted("SITE1", "CM_P01") }, &of(SQL_SERVER));
        let torn =
            known(vec![path(r"d:\data & MORE\cm_p01.mdf"), path(r"F:\more.ndf")]).expect_err("the writer forgot it");
        assert!(torn.ends_with(r"`F:\more.ndf` belongs to it, and its writer does not name it"), "{torn}");
        assert_eq!(known(vec![path(r"e:\logs\CM_P01_LOG.ldf")]).map(|files| files.len()), Ok(2));
    }

    #[test]
    fn a_component_that_is_not_offered_is_an_error_that_lists_what_is() {
        assert_eq!(
            chosen(&wanted("SITE1", "CM_P02"), &of(SQL_SERVER)),
            Err(r"component `SITE1\CM_P02` cannot be backed up: writer `SqlServerWriter` does not offer it; it offers: `SITE1\master`, `SITE1\CM_P01`, `SITE1\REPORTS\CM_P01`".to_owned())
        );
        let hidden = chosen(&wanted(r"SITE1\REPORTS", "CM_P01"), &of(SQL_SERVER)).expect_err("it cannot be selected");
        assert!(hidden.ends_with("writer `SqlServerWriter` does not let it be selected"), "{hidden}");
        let twice = SQL_SERVER.replace("componentName=\"master\"", "componentName=\"cm_p01\"");
        let twice = chosen(&wanted("SITE1", "CM_P01"), &of(&twice)).expect_err("there are two");
        assert!(twice.ends_with("offers it more than once"), "{twice}");
    }

    #[test]
    fn a_writer_that_does_not_answer_is_named_beside_those_that_do() {
        let alone = &of(SQL_SERVER)[..1];
        assert_eq!(
            chosen(&wanted("SITE1", "CM_P01"), alone),
            Err(r"component `SITE1\CM_P01` cannot be backed up: writer `SqlServerWriter` {a65faa63-5ea8-4ebc-9dbd-a0c4db26912a} did not answer; these did: `System Writer`".to_owned())
        );
    }

    #[test]
    fn what_a_writer_must_not_say_of_its_files_is_refused() {
        let said = |specs: &[(&str, &str)]| files_of(specs).expect_err("it is refused");
        for (specs, reason) in [
            (&[][..], "its writer names no file of it"),
            (&[(r"D:\FS", "*")], "a pattern and no file"),
            (&[(r"D:\FS", "a?.mdf")], "a pattern and no file"),
            (&[(r"D:\FS", "")], "no name of a file"),
            (&[(r"D:\FS", r"..\x.mdf")], "no name of a file"),
            (&[(r"D:\FS", "x.mdf:stream")], "no name of a file"),
            (&[(r"D:\FS", "..")], "no whole path"),
            (&[(r"D:\FS\..\..", "x.mdf")], "no whole path"),
            (&[(r"%SystemRoot%", "x.mdf")], "no whole path"),
            (&[("DATA", "x.mdf")], "no whole path"),
            (&[("", "x.mdf")], "no whole path"),
            (&[(r"\\server\share", "x.mdf")], "on no drive of this machine"),
            (&[("/srv", "x.mdf")], "on no drive of this machine"),
            (&[(r"\\?\GLOBALROOT\Device\X", "x.mdf")], "on no drive of this machine"),
            (&[(r"D:\A", "x.ndf"), (r"E:\B", "X.NDF")], "have one name"),
        ] {
            assert!(said(specs).contains(reason), "{specs:?}: {}", said(specs));
        }
        let many = vec![FileSpec::default(); MOST_FILES + 1];
        let error = files(&wanted("SITE1", "CM_P01"), &many).expect_err("nothing has so many");
        assert!(error.to_string().contains("32768 files"), "{error}");
        let elsewhere = FileSpec {
            alternate: Some(r"Z:\".to_owned()),
            ..FileSpec { path: r"D:\".to_owned(), spec: "x.mdf".to_owned(), ..FileSpec::default() }
        };
        let error = files(&wanted("SITE1", "CM_P01"), &[elsewhere]).expect_err("it lies elsewhere");
        assert!(error.to_string().contains(r"to be read in `Z:\` instead"), "{error}");
        assert_eq!(
            files_of(&[("D:", "x.mdf"), (r"D:\a", "y.mdf")]),
            Ok(vec![r"D:\x.mdf".to_owned(), r"D:\a\y.mdf".to_owned()])
        );
    }
}
