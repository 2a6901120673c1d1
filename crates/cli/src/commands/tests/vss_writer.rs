//! `vss-writer`, beside the product's writer and without it. Sessions are in `tests/it/vss_writer.rs`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::product_writer;

/// Where `cargo xtask windows` has put the library that stands in for Windows'.
const PLACE: &str = "SITEBACKUP_FAKE_VSSAPI";

/// A service of the product's name, which nobody starts.
struct ProductWriter;

fn sc(args: &[&str]) {
    let status = Command::new("sc").args(args).status().expect("Windows has it");
    assert!(status.success(), "sc {args:?}");
}

impl ProductWriter {
    fn install() -> Self {
        sc(&["create", product_writer::SERVICE, "binpath=", r"C:\not\there.exe"]);
        Self
    }
}

impl Drop for ProductWriter {
    fn drop(&mut self) {
        sc(&["delete", product_writer::SERVICE]);
    }
}

/// The only test that has such a service.
#[tokio::test]
async fn beside_the_products_writer_ours_is_refused() {
    assert!(product_writer::finding().message.contains("is not installed"), "{:?}", product_writer::finding());
    let installed = ProductWriter::install();
    let error = super::super::vss_writer::run(&session()).await.expect_err("there is one already");
    assert_eq!(error.kind, Exit::USAGE);
    let said = error.messages().concat();
    assert!(said.contains("the product's SMS Writer is installed (service SMS_SITE_VSS_WRITER)"), "{said}");
    let finding = product_writer::finding();
    assert!(finding.message.contains("`sitebackup vss-writer` is refused"), "{finding:?}");
    assert_eq!(finding.gravity, Gravity::Note);
    drop(installed);
    assert!(product_writer::finding().message.contains("is not installed"), "{:?}", product_writer::finding());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_is_registered_until_the_command_is_interrupted() {
    let place = std::env::var(PLACE).unwrap_or_else(|_| panic!("{PLACE} is not set: run `cargo xtask windows`"));
    let original = PathBuf::from(place.replace('/', "\\"));
    let beside = |end: &str| original.with_file_name(format!("cli-writer.dll{end}"));
    fs::copy(&original, beside("")).expect("the library is copied");
    fs::write(beside(".script"), "play Identify").expect("the script is written");
    let _log_of_an_earlier_run = fs::remove_file(beside(".log"));
    let folder = tempfile::tempdir().expect("a scratch folder");
    for name in ["data", "backup"] {
        fs::create_dir(folder.path().join(name)).expect("made");
    }
    let file = folder.path().join("site.toml");
    let text = "version = 1\n[site]\ncode = \"P01\"\n[files]\ninclude = [\"data\"]\n[task]\ndestination = { local = \"backup\" }\nsession-lock = \"session.lock\"\n";
    fs::write(&file, text).expect("written");
    let session = Session { global: Global { site: Some(file), ..Global::default() }, ..session() };
    let log = || fs::read_to_string(beside(".log")).unwrap_or_default();
    let answer = async {
        let hosted = super::super::vss_writer::host(&session, Some(beside("")));
        let interrupt = async {
            while !log().contains("played") {
                tokio::task::yield_now().await;
            }
            session.cancel.cancel();
        };
        tokio::join!(hosted, interrupt).0
    };
    let answer = answer.await.expect("it registers");
    assert_eq!(answer.exit, Exit::DONE);
    assert!(log().trim_end().ends_with("Writer released"), "{}", log());
    insta::assert_snapshot!(json("vss-writer", &answer), @r#"
    {
      "components": [
        "P01\\SiteServer"
      ],
      "id": "03ba67dd-dc6d-4729-a038-251f7018463b",
      "name": "SMS Writer (sitebackup)"
    }
    "#);
}
