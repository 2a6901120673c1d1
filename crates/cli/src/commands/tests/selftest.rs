use std::fs;
use std::path::PathBuf;

use vss::{VssOptions, VssProvider};

use super::*;

/// Where `cargo xtask windows` has put the library that stands in for Windows'.
const PLACE: &str = "SITEBACKUP_FAKE_VSSAPI";

/// What the program says of a library that does what a script tells it; its image of a folder on `C:` has a file in it.
async fn said(name: &str, script: &str) -> (Answer, String) {
    let place = std::env::var(PLACE).unwrap_or_else(|_| panic!("{PLACE} is not set: run `cargo xtask windows`"));
    let original = PathBuf::from(place.replace('/', "\\"));
    let beside = |end: &str| original.with_file_name(format!("cli-{name}.dll{end}"));
    let volume = tempfile::Builder::new().prefix("volume").tempdir_in("C:\\").expect("a folder on the volume");
    fs::write(volume.path().join("file"), "content").expect("written");
    let device = tempfile::tempdir().expect("a scratch folder");
    let image = format!("image {} {}\n", volume.path().display(), device.path().join("ShadowCopy").display());
    fs::copy(&original, beside("")).expect("the library is copied");
    fs::write(beside(".script"), image + script).expect("the script is written");
    let _log_of_an_earlier_run = fs::remove_file(beside(".log"));
    let provider = VssProvider::with_library(VssOptions::default(), beside(""));
    let answer = vss_selftest::judge(&provider, &session(), &["C:".into()]).await.expect("a volume");
    let log = fs::read_to_string(beside(".log")).expect("the library was called");
    (answer, log)
}

/// Times, versions and the names of scratch folders say nothing here.
fn masked() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d+\.\d{3} s\b", "[n] s");
    settings.add_filter(r"sitebackup \S+ on .*", "sitebackup [version] on [system]");
    settings.add_filter(r"`C:\\.*ShadowCopy1\\volume\w+\\file`", "`[device]\\[folder]\\file`");
    settings.bind_to_scope()
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.text).into_owned()
}

#[tokio::test]
async fn a_self_test_that_passes_names_every_call() {
    let (answer, log) = said("passes", "pending 2").await;
    assert_eq!(answer.exit, Exit::DONE, "{answer:?}");
    assert!(log.trim_end().ends_with("Release, 0 left"), "{log}");
    let _masked = masked();
    insta::assert_snapshot!(text(&answer), @r#"
    sitebackup [version] on [system]
    Self-test of the Volume Shadow Copy Service with `C:\`

      CoInitializeEx                                         0x00000000  S_OK                  done          [n] s
      CoInitializeSecurity                                   0x00000000  S_OK                  done          [n] s
      CreateVssBackupComponents                              0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::InitializeForBackup              0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::SetContext                       0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::SetBackupState                   0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GatherWriterMetadata             0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GatherWriterMetadata, its end    0x0004230A  VSS_S_ASYNC_FINISHED  it has ended  [n] s
      IVssBackupComponents::GetWriterMetadataCount           0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GetWriterMetadata, 2 times       0x00000000  S_OK                  done          [n] s
      IVssExamineWriterMetadata::GetIdentity, 2 times        0x00000000  S_OK                  done          [n] s
      IVssExamineWriterMetadata::GetFileCounts, 2 times      0x00000000  S_OK                  done          [n] s
      IVssExamineWriterMetadata::GetComponent, 6 times       0x00000000  S_OK                  done          [n] s
      IVssWMComponent::GetComponentInfo, 6 times             0x00000000  S_OK                  done          [n] s
      IVssWMComponent::FreeComponentInfo, 6 times            0x00000000  S_OK                  done          [n] s
      IVssExamineWriterMetadata::SaveAsXML, 2 times          0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::StartSnapshotSet                 0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::AddToSnapshotSet `C:\`           0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::AddComponent `\Site`             0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::AddComponent `SMS\CM_P01`        0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::PrepareForBackup                 0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::PrepareForBackup, its end        0x0004230A  VSS_S_ASYNC_FINISHED  it has ended  [n] s
      IVssBackupComponents::GatherWriterStatus               0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GatherWriterStatus, its end      0x0004230A  VSS_S_ASYNC_FINISHED  it has ended  [n] s
      IVssBackupComponents::GetWriterStatusCount             0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GetWriterStatus, 2 times         0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::FreeWriterStatus                 0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::DoSnapshotSet                    0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::DoSnapshotSet, its end           0x0004230A  VSS_S_ASYNC_FINISHED  it has ended  [n] s
      IVssBackupComponents::GatherWriterStatus               0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GatherWriterStatus, its end      0x0004230A  VSS_S_ASYNC_FINISHED  it has ended  [n] s
      IVssBackupComponents::GetWriterStatusCount             0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GetWriterStatus, 2 times         0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::FreeWriterStatus                 0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GetSnapshotProperties            0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::SaveAsXML                        0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::SetBackupSucceeded `\Site`       0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::SetBackupSucceeded `SMS\CM_P01`  0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::BackupComplete                   0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::BackupComplete, its end          0x0004230A  VSS_S_ASYNC_FINISHED  it has ended  [n] s
      IVssBackupComponents::GatherWriterStatus               0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GatherWriterStatus, its end      0x0004230A  VSS_S_ASYNC_FINISHED  it has ended  [n] s
      IVssBackupComponents::GetWriterStatusCount             0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::GetWriterStatus, 2 times         0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::FreeWriterStatus                 0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::DeleteSnapshots                  0x00000000  S_OK                  done          [n] s
      IVssBackupComponents::Release                          0x00000000  S_OK                  done          [n] s

    Writers, their components, and their states as they were asked for:
      SMS Writer: 3 components
        class 03ba67dd-dc6d-4729-a038-251f7018463b, instance aaaa0000-0001-0002-0102-030405060708
        [1] stable, [1] stable, [1] stable
      System Writer: 3 components
        class e8132975-6f93-4464-a53e-1050253ae220, instance bbbb0000-0001-0002-0102-030405060708
        [1] stable, [1] stable, [1] stable

    Read on the shadow copy:
      7 B of `[device]\[folder]\file`

    Verdict: passed. Every call and every writer succeeded, and no shadow copy is left.
    All of this can be pasted into an issue: it names volumes, writers and a file, and holds nothing of any.
    "#);
    let json = json("vss-selftest", &answer);
    assert!(json.contains(r#""verdict": "passed""#) && json.contains(r#""name": "VSS_S_ASYNC_FINISHED""#), "{json}");
}

#[tokio::test]
async fn a_failure_in_the_middle_is_the_end_of_the_list() {
    let (answer, log) = said("fails", "end DoSnapshotSet 8004231f").await;
    assert_eq!(answer.exit, Exit::SHADOW_COPY, "{answer:?}");
    assert!(log.contains("AbortBackup") && log.trim_end().ends_with("Release, 0 left"), "{log}");
    let text = text(&answer);
    let end = &text[text.find("IVssBackupComponents::DoSnapshotSet ").expect("the call")..];
    let _masked = masked();
    insta::assert_snapshot!(end, @r#"
    IVssBackupComponents::DoSnapshotSet                  0x00000000  S_OK                        done                                  [n] s
      IVssBackupComponents::DoSnapshotSet, its end         0x8004231F  VSS_E_INSUFFICIENT_STORAGE  there is no room for the shadow copy  [n] s
      IVssBackupComponents::AbortBackup                    0x00000000  S_OK                        done                                  [n] s
      IVssBackupComponents::Release                        0x00000000  S_OK                        done                                  [n] s

    Writers, their components, and their states as they were asked for:
      SMS Writer: 3 components
        class 03ba67dd-dc6d-4729-a038-251f7018463b, instance aaaa0000-0001-0002-0102-030405060708
        [1] stable
      System Writer: 3 components
        class e8132975-6f93-4464-a53e-1050253ae220, instance bbbb0000-0001-0002-0102-030405060708
        [1] stable

    Verdict: failed. provider `vss` failed to take the shadow copy: IVssBackupComponents::DoSnapshotSet returned VSS_E_INSUFFICIENT_STORAGE (0x8004231F).
    All of this can be pasted into an issue: it names volumes, writers and a file, and holds nothing of any.
    "#);
}

#[tokio::test]
async fn a_writer_that_fails_is_told_with_its_state() {
    let (answer, _) = said("weaker", "writer 1 9 800423f2 DoSnapshotSet").await;
    assert_eq!(answer.exit, Exit::INCOMPLETE, "{answer:?}");
    let text = text(&answer);
    let end = &text[text.find("System Writer").expect("the writer")..];
    let _masked = masked();
    insta::assert_snapshot!(end, @r#"
    System Writer: 3 components
        class e8132975-6f93-4464-a53e-1050253ae220, instance bbbb0000-0001-0002-0102-030405060708
        [1] stable, [9] failed at Freeze: VSS_E_WRITERERROR_TIMEOUT (0x800423F2), the writer was too slow, [9] failed at Freeze: VSS_E_WRITERERROR_TIMEOUT (0x800423F2), the writer was too slow

    Read on the shadow copy:
      7 B of `[device]\[folder]\file`

    Verdict: weaker. The shadow copy was good and is gone, but writer `System Writer` failed in Freeze: its state is [9]: VSS_E_WRITERERROR_TIMEOUT (0x800423F2).
    All of this can be pasted into an issue: it names volumes, writers and a file, and holds nothing of any.
    "#);
}

/// Wine has the library, and in it nothing. On Windows itself this would be a shadow copy.
#[tokio::test]
async fn a_system_without_the_service_is_told_so() {
    if std::env::var_os("WINEPREFIX").is_none() {
        return;
    }
    let provider = VssProvider::new(VssOptions::default());
    let answer = vss_selftest::judge(&provider, &session(), &[]).await.expect("the system's volume");
    assert_eq!(answer.exit, Exit::SHADOW_COPY, "{answer:?}");
    let _masked = masked();
    insta::assert_snapshot!(text(&answer), @r#"
    sitebackup [version] on [system]
    Self-test of the Volume Shadow Copy Service with `C:\`

      CoInitializeEx             0x00000000  S_OK       done                           [n] s
      CoInitializeSecurity       0x00000000  S_OK       done                           [n] s
      CreateVssBackupComponents  0x80004001  E_NOTIMPL  the system does not have this  [n] s

    Verdict: not available here. provider `vss` failed to begin a backup: CreateVssBackupComponents returned E_NOTIMPL (0x80004001): this system has no Volume Shadow Copy Service; shadow-copy = "pre-copy" does without one.
    All of this can be pasted into an issue: it names volumes, writers and a file, and holds nothing of any.
    "#);
    assert!(json("vss-selftest", &answer).contains(r#""verdict": "not-available""#));
}
