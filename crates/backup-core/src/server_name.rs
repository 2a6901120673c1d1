//! The name of a SQL Server in a connection string: its machine and its instance.

/// A server as `Server=` names it, such as `tcp:sql1.example.com\SITE,1433`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName {
    /// The machine.
    pub host: String,
    /// The named instance; `None` for the default one, and where a port or a pipe leads to whatever listens there.
    pub instance: Option<String>,
}

/// How a name may begin that says which way leads there.
const PROTOCOLS: [&str; 4] = ["tcp", "np", "lpc", "admin"];

/// The default instance by its service's name.
const DEFAULT_INSTANCE: &str = "MSSQLSERVER";

/// What a machine calls itself.
const SELF: [&str; 6] = [".", "(local)", "localhost", "127.0.0.1", "::1", "[::1]"];

impl ServerName {
    /// Reads the value of `Server`.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let text = match text.split_once(':') {
            Some((protocol, rest)) if PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol)) => rest.trim(),
            _ => text,
        };
        if let Some(pipe) = text.strip_prefix(r"\\") {
            let host = pipe.split('\\').next().unwrap_or_default();
            return Self { host: host.to_owned(), instance: None };
        }
        let text = text.split(',').next().unwrap_or_default().trim();
        let (host, instance) = text.split_once('\\').unwrap_or((text, ""));
        let is_named = !instance.is_empty() && !instance.eq_ignore_ascii_case(DEFAULT_INSTANCE);
        Self { host: host.to_owned(), instance: is_named.then(|| instance.to_owned()) }
    }

    /// Whether the server runs on the machine of this name, as far as names tell.
    pub fn is_on(&self, machine: &str) -> bool {
        SELF.iter().any(|name| name.eq_ignore_ascii_case(&self.host)) || is_same_host(&self.host, machine)
    }
}

/// Whether two names may be those of one machine: a short name is any host's of that name.
pub(crate) fn is_same_host(a: &str, b: &str) -> bool {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    !a.is_empty() && (a == b || ((!a.contains('.') || !b.contains('.')) && short(&a) == short(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_and_instance_are_read_whatever_way_leads_there() {
        for (text, host, instance) in [
            ("sql1", "sql1", None),
            (r"sql1\SITE", "sql1", Some("SITE")),
            (r"tcp:sql1.example.com\SITE,1433", "sql1.example.com", Some("SITE")),
            ("TCP:sql1, 1433", "sql1", None),
            (r".\mssqlserver", ".", None),
            (r"np:\\sql1\pipe\MSSQL$SITE\sql\query", "sql1", None),
            ("::1", "::1", None),
            ("", "", None),
        ] {
            let expect = ServerName { host: host.to_owned(), instance: instance.map(str::to_owned) };
            assert_eq!(ServerName::parse(text), expect, "{text}");
        }
    }

    #[test]
    fn a_server_is_this_machines_by_its_name_or_by_none() {
        let is_on = |text: &str| ServerName::parse(text).is_on("SQL1");
        for here in
            ["sql1", "sql1.example.com", r".\SITE", "(LOCAL)", "localhost,1433", "lpc:.", "127.0.0.1", "tcp:[::1]"]
        {
            assert!(is_on(here), "{here}");
        }
        for there in ["sql2", "sql10", "10.0.0.1", r"sql1-listener\SITE", r"(localdb)\x", "", r"\\sql2\pipe\sql\query"]
        {
            assert!(!is_on(there), "{there}");
        }
        assert!(!ServerName::parse("").is_on(""));
    }
}
