//! `writers`.

use super::*;
use crate::args::WritersArgs;

fn listed(xml: Option<&str>) -> Result<Answer, CommandError> {
    let args = WritersArgs { xml: xml.map(str::to_owned) };
    block_on(super::super::writers::list(&World::new().ports(), &plan(&alone()), &args))
}

#[test]
fn writers_tell_what_they_own() {
    let answer = listed(None).expect("nothing is in the way");
    insta::assert_snapshot!(Printer::shown("writers", &answer), @"
    $ sitebackup writers
    SMS Writer
      id         03ba67dd-dc6d-4729-a038-251f7018463b
      frozen as  front-end
      files      Files of site P01
                 /site/inboxes and below
                 /site/data and below
      database   CM_P01 (memory 1)
                 CM_P01.db in /site/db
    Application
      id         00000000-0000-0000-0000-000000000007
      frozen as  front-end
    Site Database Writer
      id         6f0c6a5e-52c4-4b53-9d11-2c8f1d1a77b2
      frozen as  back-end
    [done]
    ");
    let shown = json("writers", &answer);
    assert!(shown.contains(r#""level": "front-end""#) && shown.contains("CM_P01.db in /site/db"), "{shown}");
}

#[test]
fn one_writers_document_is_printed() {
    let answer = listed(Some("sms writer")).expect("it is there");
    insta::assert_snapshot!(Printer::shown("writers --xml 'sms writer'", &answer), @r#"
    $ sitebackup writers --xml 'sms writer'
    <?xml version="1.0" encoding="UTF-8"?>
    <WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.2">
      <IDENTIFICATION writerId="03ba67dd-dc6d-4729-a038-251f7018463b" instanceId="00000000-0001-7000-8000-000000000000" friendlyName="SMS Writer" usage="USER_DATA" dataSource="OTHER" majorVersion="0" minorVersion="0"/>
      <RESTORE_METHOD method="RESTORE_IF_CAN_BE_REPLACED" writerRestore="never" rebootRequired="no"/>
      <BACKUP_LOCATIONS>
        <FILE_GROUP logicalPath="P01" componentName="SiteServer" caption="Files of site P01" restoreMetadata="no" notifyOnBackupComplete="no" selectable="yes" selectableForRestore="no" componentFlags="0">
          <FILE_LIST path="/site/inboxes" filespec="*" recursive="yes" filespecBackupType="3855"/>
          <FILE_LIST path="/site/data" filespec="*" recursive="yes" filespecBackupType="3855"/>
        </FILE_GROUP>
        <DATABASE logicalPath="P01" componentName="CM_P01" caption="CM_P01 (memory 1)" restoreMetadata="no" notifyOnBackupComplete="no" selectable="yes" selectableForRestore="no" componentFlags="0">
          <DATABASE_FILES path="/site/db" filespec="CM_P01.db" filespecBackupType="3855"/>
        </DATABASE>
      </BACKUP_LOCATIONS>
    </WRITER_METADATA>
    [done]
    "#);
    let error = listed(Some("SqlServerWriter")).expect_err("there is none");
    assert!(format!("{error:?}").contains("there is no writer `SqlServerWriter`"), "{error:?}");
}
