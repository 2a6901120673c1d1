//! A control file to begin with.

use std::collections::BTreeMap;

/// A control file that covers what a site needs for its recovery.
///
/// A reconstruction: sections and verbs are the product's, the list of what is backed up is ours. The product's own
/// default file has never been published.
pub fn default_control_file() -> String {
    TEMPLATE.replace('\n', "\r\n")
}

/// Predefined tokens of a site that does not exist: for looking at a control file away from its site, and for tests.
pub fn example_site() -> BTreeMap<String, String> {
    [
        ("BACKUP_DEST_DIR", r"E:\Backup"),
        ("METERING_DB_SERVER", "SITESRV"),
        ("PROVIDER_SERVER", "SITESRV"),
        ("SITE_CODE", "ABC"),
        ("SITE_DB_NAME", "CM_ABC"),
        ("SITE_DB_SERVER", "SITESRV"),
        ("SITE_DB_SERVER_ROOT_DIR", r"D:\SQL"),
        ("SITE_SERVER", "SITESRV"),
        ("SITE_SERVER_ROOT_DIR", r"D:\SMS"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

const TEMPLATE: &str = r"# Backup control file.
# A reconstruction, not the file that the product installs: its sections and
# verbs are the product's, the list of files and registry keys is our own.
#
# Lines that begin with # are comments, except for #stop and #start, each alone
# in its line: what stands between them is skipped.

[Tokens]
# The product sets BACKUP_DEST_DIR, SITE_CODE, SITE_SERVER, SITE_DB_NAME and
# others like them. Do not indent definitions.

SITE_BACKUP_DESTINATION=BACKUP_DEST_DIR\SITE_CODEBackup
SITE_SERVER_DEST=SITE_BACKUP_DESTINATION\SiteServer
SITE_DB_SERVER_DEST=SITE_BACKUP_DESTINATION\SiteDBServer

[Stop]
service \\%SITE_SERVER%\SMS_SITE_COMPONENT_MANAGER
service \\%SITE_SERVER%\SMS_EXECUTIVE

[Tasks]
file %SITE_SERVER_ROOT_DIR%\inboxes   %SITE_SERVER_DEST%\SMSServer\inboxes
file %SITE_SERVER_ROOT_DIR%\Logs      %SITE_SERVER_DEST%\SMSServer\Logs
file %SITE_SERVER_ROOT_DIR%\data      %SITE_SERVER_DEST%\SMSServer\data
file %SITE_SERVER_ROOT_DIR%\srvacct   %SITE_SERVER_DEST%\SMSServer\srvacct
file %SITE_SERVER_ROOT_DIR%\CD.Latest %SITE_BACKUP_DESTINATION%\CD.Latest

reg \\%SITE_SERVER%\HKEY_LOCAL_MACHINE\Software\Microsoft\NAL %SITE_SERVER_DEST%\SMSbkSiteRegNAL.dat
reg \\%SITE_SERVER%\HKEY_LOCAL_MACHINE\Software\Microsoft\SMS %SITE_SERVER_DEST%\SMSbkSiteRegSMS.dat

sitedbdump %SITE_DB_NAME% %SITE_DB_SERVER_DEST%\SMSbkSQLDBsite.dat

# To keep a list of the network settings with each snapshot, remove the next
# line and the #start below it.
#stop
cmd `ipconfig /all` %SITE_SERVER_DEST%\SMSbkSiteConfigNTNetwork.txt
#start

[Start]
service \\%SITE_SERVER%\SMS_EXECUTIVE
service \\%SITE_SERVER%\SMS_SITE_COMPONENT_MANAGER
";
