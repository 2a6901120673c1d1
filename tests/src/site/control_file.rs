//! The text of `smsbkup.ctl`: Windows paths, both kinds of token references, a disabled block.

const HEAD: &str = r"# Backup control file of the sample site
#
# Sections: Tokens, Stop, Tasks, Start. The order of the lines is the order of the work.

[Tokens]
SITE_BACKUP_DESTINATION=BACKUP_DEST_DIR\SITE_CODEBackup
SITE_SERVER_DEST=SITE_BACKUP_DESTINATION\SiteServer
SITE_DB_SERVER_DEST=SITE_BACKUP_DESTINATION\SiteDBServer

[Stop]
# The component manager restarts the executive, so it goes first.
service \\%SITE_SERVER%\SMS_SITE_COMPONENT_MANAGER
service \\%SITE_SERVER%\SMS_EXECUTIVE

[Tasks]
file %SITE_SERVER_ROOT_DIR%\inboxes %SITE_SERVER_DEST%\SMSServer\inboxes
file %SITE_SERVER_ROOT_DIR%\Logs %SITE_SERVER_DEST%\SMSServer\Logs
file %SITE_SERVER_ROOT_DIR%\data %SITE_SERVER_DEST%\SMSServer\data
file %SITE_SERVER_ROOT_DIR%\srvacct %SITE_SERVER_DEST%\SMSServer\srvacct
file %SITE_SERVER_ROOT_DIR%\CD.Latest %SITE_BACKUP_DESTINATION%\CD.Latest
reg \\%SITE_SERVER%\HKEY_LOCAL_MACHINE\Software\Microsoft\NAL %SITE_SERVER_DEST%\SMSbkSiteRegNAL.dat
reg \\%SITE_SERVER%\HKEY_LOCAL_MACHINE\Software\Microsoft\SMS %SITE_SERVER_DEST%\SMSbkSiteRegSMS.dat
sitedbdump %SITE_DB_NAME% %SITE_DB_SERVER_DEST%\SMSbkSQLDBsite.dat
#stop
# Off until both directives are removed.
cmd `echo SITE_CODE` %SystemDrive%\Sitecode.txt
#start

[Start]
";

/// The whole file, with CRLF line ends and a pause of `start_sleep` seconds after each started service.
pub(super) fn text(start_sleep: u32) -> String {
    let mut text = HEAD.to_owned();
    for service in ["SMS_SITE_COMPONENT_MANAGER", "SMS_EXECUTIVE"] {
        text.push_str(&format!("service \\\\%SITE_SERVER%\\{service}\n"));
        if start_sleep > 0 {
            text.push_str(&format!("sleep {start_sleep}\n"));
        }
    }
    text.replace('\n', "\r\n")
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn sleeps_only_when_asked() {
        assert!(!text(0).contains("sleep"));
        assert_eq!(text(2).matches("sleep 2\r\n").count(), 2);
        assert!(!text(2).replace("\r\n", "").contains('\n'));
    }
}
