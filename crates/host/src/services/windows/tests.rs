#![expect(unsafe_code, reason = "what the manager writes is written here in its place")]

use std::error::Error;

use windows_sys::Win32::System::Services::{ENUM_SERVICE_STATUSW, SERVICE_STATUS};

use super::*;

fn services(names: &[&str]) -> WindowsServices {
    let config =
        |name: &&str| ServiceConfig { name: (*name).to_owned(), commands: None, timeout: Duration::from_secs(20) };
    WindowsServices::new(names.iter().map(config).collect())
}

fn order_of(needs: &[(&str, &[&str])]) -> Vec<String> {
    let mut ask = |name: &str| {
        let found = needs.iter().find(|(needed, _)| *needed == name).map_or(&[][..], |(_, dependents)| *dependents);
        Ok(found.iter().map(|name| (*name).to_owned()).collect())
    };
    let mut found = Vec::new();
    in_order("A", &mut ask, &mut found).expect("nothing fails");
    found
}

#[test]
fn what_needs_a_service_stops_before_what_that_needs() {
    assert_eq!(order_of(&[]), [""; 0]);
    assert_eq!(order_of(&[("A", &["B"]), ("B", &["C", "D"])]), ["C", "D", "B"], "the manager tells the next ones only");
    assert_eq!(order_of(&[("A", &["C", "B"]), ("B", &["C"])]), ["C", "B"], "or all of them");
    assert_eq!(order_of(&[("A", &["B", "C"]), ("B", &["C"]), ("C", &["D"])]), ["D", "C", "B"], "each once");
}

#[test]
fn names_are_read_from_what_the_manager_writes() {
    let texts = ["SMS_EXECUTIVE", "dépendant"].map(|text| text.encode_utf16().chain([0]).collect::<Vec<u16>>());
    let entry = |text: &[u16]| ENUM_SERVICE_STATUSW {
        lpServiceName: text.as_ptr().cast_mut(),
        lpDisplayName: std::ptr::null_mut(),
        ServiceStatus: SERVICE_STATUS::default(),
    };
    let entries = [entry(&texts[0]), entry(&texts[1])];
    let mut room = vec![0_u64; size_of_val(&entries).div_ceil(8)];
    // SAFETY: the room is as long as the entries, and aligned as they are.
    unsafe { std::ptr::copy_nonoverlapping(entries.as_ptr(), room.as_mut_ptr().cast(), entries.len()) };
    // SAFETY: the entries are there, and their names live until the end of this test.
    let names = unsafe { manager::names(&room, 2) };
    assert_eq!(names, ["SMS_EXECUTIVE", "dépendant"]);
}

#[test]
fn a_refusal_says_what_to_do() {
    let said = |code: u32| reason(&io::Error::from_raw_os_error(code.cast_signed()), "SMS_EXECUTIVE");
    let denied = said(code::ERROR_ACCESS_DENIED);
    let account = manager::account();
    assert!(!account.is_empty() && account != "this one", "{account}");
    assert!(denied.contains(&format!("`{account}` needs the rights to query, stop and start it")), "{denied}");
    assert!(denied.contains("sc sdset SMS_EXECUTIVE"), "{denied}");
    assert!(said(code::ERROR_SERVICE_DISABLED).contains("sc config SMS_EXECUTIVE start= demand"));
    assert!(said(code::ERROR_DEPENDENT_SERVICES_RUNNING).contains("must stop first"));
}

/// Those of this machine that nobody named are left alone, also by a configuration that controls others through the manager.
#[tokio::test]
async fn only_what_it_was_given_is_stopped() {
    let services = services(&["SITEBACKUP_NOT_INSTALLED"]);
    let unknown =
        |error: ServiceError, expect: &str| assert_eq!(error.to_string(), format!("no service is named `{expect}`"));
    unknown(services.stop("RpcSs").await.expect_err("not given"), "RpcSs");
    unknown(services.dependents("RpcSs").await.expect_err("not given"), "RpcSs");
    assert_eq!(services.state("rpcss").await.expect("a part of Windows"), ServiceState::Running);
    unknown(services.stop("SITEBACKUP_NOT_INSTALLED").await.expect_err("missing"), "SITEBACKUP_NOT_INSTALLED");
}

#[tokio::test]
async fn without_a_service_of_the_manager_none_is_known() {
    let error = services(&[]).state("RpcSs").await.expect_err("nobody gave any");
    assert!(matches!(error, ServiceError::Unknown(_)) && error.source().is_none(), "{error}");
}

#[test]
fn what_is_installed_is_known_whether_it_runs_or_not() {
    assert!(is_installed("RpcSs").expect("the manager answers"));
    assert!(!is_installed("SITEBACKUP_NOT_INSTALLED").expect("the manager answers"));
}
