//! The site's registry keys as `.reg` text: every value type, UTF-16LE with a byte order mark, CRLF.

use std::fmt::Write;
use std::io;
use std::path::Path;

use super::fill::write_content;
use super::{SITE_CODE, SITE_SERVER, VERSION, WINDOWS_INSTALL_DIR};
use crate::prng::Prng;

const SMS: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS";
const NAL: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\NAL";
const COMPONENTS: [&str; 12] = [
    "SMS_EXECUTIVE",
    "SMS_SITE_COMPONENT_MANAGER",
    "SMS_HIERARCHY_MANAGER",
    "SMS_DISTRIBUTION_MANAGER",
    "SMS_INVENTORY_DATA_LOADER",
    "SMS_STATUS_MANAGER",
    "SMS_POLICY_PROVIDER",
    "SMS_SITE_BACKUP",
    "SMS_SITE_VSS_WRITER",
    "SMS_STATE_SYSTEM",
    "SMS_WSUS_SYNC_MANAGER",
    "SMS_COLLECTION_EVALUATOR",
];

/// Writes the registry file.
pub(super) fn build(path: &Path, prng: &Prng) -> io::Result<()> {
    let mut prng = prng.fork("registry");
    let text = text(&mut prng);
    write_content(path, &encode(&text), &mut prng)
}

/// UTF-16LE with a byte order mark.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    [0xfeff_u16].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn text(prng: &mut Prng) -> String {
    let mut text = String::from("Windows Registry Editor Version 5.00\n\n");
    push_site_keys(&mut text);
    push_components(&mut text, prng);
    push_all_types(&mut text, prng);
    push_nal_keys(&mut text);
    text.replace('\n', "\r\n")
}

fn push_site_keys(text: &mut String) {
    let install_dir = quoted(WINDOWS_INSTALL_DIR);
    push_key(text, SMS, &["\"Counter\"=hex(b):00,00,00,00,00,00,00,00".to_owned()]);
    push_key(
        text,
        &format!(r"{SMS}\Identification"),
        &[
            format!("\"Site Code\"=\"{SITE_CODE}\""),
            format!("\"Site Server\"=\"{SITE_SERVER}\""),
            "\"Site Name\"=\"Musterstandort Z\u{fc}rich\"".to_owned(),
            format!("\"Installation Directory\"={install_dir}"),
        ],
    );
    push_key(
        text,
        &format!(r"{SMS}\Setup"),
        &[
            format!("\"Full Version\"=\"{VERSION}\""),
            format!("\"Installation Directory\"={install_dir}"),
            "\"Type\"=dword:00000001".to_owned(),
        ],
    );
    push_key(
        text,
        &format!(r"{SMS}\SQL Server"),
        &[format!("\"Database Name\"=\"CM_{SITE_CODE}\""), format!("\"Server\"=\"{SITE_SERVER}\"")],
    );
}

fn push_components(text: &mut String, prng: &mut Prng) {
    for component in COMPONENTS {
        let log = format!(r"{WINDOWS_INSTALL_DIR}\Logs\{}.log", component.to_lowercase());
        let guid = binary("hex", &prng.bytes(16));
        push_key(
            text,
            &format!(r"{SMS}\Components\{component}"),
            &["@=\"\"".to_owned(), format!("\"Startup Type\"=dword:{:08x}", prng.below(4)), format!("\"GUID\"={guid}")],
        );
        push_key(
            text,
            &format!(r"{SMS}\Tracing\{component}"),
            &[
                "\"Enabled\"=dword:00000001".to_owned(),
                "\"MaxFileSize\"=dword:00280000".to_owned(),
                format!("\"TraceFilename\"={}", quoted(&log)),
            ],
        );
    }
}

/// Every value type and the awkward ones: an empty value, a nameless type, a lone surrogate, quotes in a name.
fn push_all_types(text: &mut String, prng: &mut Prng) {
    let expand = wide("%ProgramFiles%\\Microsoft Configuration Manager\0");
    let multi = wide("policypv.box\0objmgr.box\0\0");
    push_key(
        text,
        &format!(r"{SMS}\Inbox Source\Inbox Definitions"),
        &[
            "@=\"default\"".to_owned(),
            "\"none\"=hex(0):".to_owned(),
            format!("\"expand\"={}", binary("hex(2)", &expand)),
            format!("\"binary\"={}", binary("hex", &prng.bytes(100))),
            "\"big endian\"=hex(5):00,00,00,2a".to_owned(),
            format!("\"multi\"={}", binary("hex(7)", &multi)),
            "\"multi empty\"=hex(7):00,00".to_owned(),
            "\"quad\"=hex(b):ff,ff,ff,ff,ff,ff,ff,7f".to_owned(),
            "\"lone surrogate\"=hex(1):00,d8,00,00".to_owned(),
            "\"type 100\"=hex(64):01,02,03".to_owned(),
            "\"with \\\"quotes\\\" and \\\\\"=\"back\\\\slash \\\"quoted\\\"\"".to_owned(),
            "\"\u{540d}\u{524d}\"=\"\u{1f600}\"".to_owned(),
        ],
    );
    push_key(text, &format!(r"{SMS}\Empty Key"), &[]);
}

fn push_nal_keys(text: &mut String) {
    push_key(text, NAL, &["\"Version\"=dword:00000005".to_owned()]);
    push_key(text, &format!(r"{NAL}\Client\Current User"), &["\"Providers\"=\"MSWNET\"".to_owned()]);
    let display = format!("[\"Display=\\\\{SITE_SERVER}\\\"]MSWNET:[\"SMS_SITE={SITE_CODE}\"]\\\\{SITE_SERVER}\\");
    push_key(text, &format!(r"{NAL}\Server\Site System"), &[format!("\"Path\"={}", quoted(&display))]);
}

fn push_key(text: &mut String, key: &str, values: &[String]) {
    writeln!(text, "[{key}]").expect("a string takes all");
    for value in values {
        writeln!(text, "{value}").expect("a string takes all");
    }
    text.push('\n');
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn wide(value: &str) -> Vec<u8> {
    value.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Bytes as the registry editor writes them, continued on the next line after 25.
fn binary(kind: &str, bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes
        .chunks(25)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(","))
        .collect();
    format!("{kind}:{}", lines.join(",\\\n  "))
}
