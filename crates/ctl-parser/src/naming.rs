//! The names of output files: `SMSbk`, the type of the server, the type of the data, the source, `.dat` or `.txt`.

use std::fmt;

/// Whose data an output file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerType {
    /// The site server.
    Site,
    /// The server of the SMS Provider.
    Provider,
    /// The database server.
    Sql,
    /// The metering server of SMS 2.0.
    Metering,
}

/// What an output file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// A registry key.
    Registry,
    /// A database.
    Database,
    /// The configuration of Windows.
    ConfigNt,
    /// The configuration of SQL Server.
    ConfigSql,
}

const SERVERS: [(ServerType, &str); 4] = [
    (ServerType::Site, "Site"),
    (ServerType::Provider, "Prov"),
    (ServerType::Sql, "SQL"),
    (ServerType::Metering, "Meter"),
];

const DATA: [(DataType, &str); 4] = [
    (DataType::Registry, "Reg"),
    (DataType::Database, "DB"),
    (DataType::ConfigNt, "ConfigNT"),
    (DataType::ConfigSql, "ConfigSQL"),
];

/// The name of an output file, such as `SMSbkSiteRegNAL.dat`.
///
/// `Display` writes the name in the product's spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OutputName {
    /// Whose data it is.
    pub server: ServerType,
    /// What kind of data it is.
    pub data: DataType,
    /// Where it comes from: `master`, `NAL`, …
    pub source: String,
}

impl OutputName {
    /// Reads a file name, in any case. `None` when it does not follow the convention.
    pub fn parse(name: &str) -> Option<OutputName> {
        let rest = strip_prefix_ignoring_case(name, "SMSbk")?;
        let (server, rest) = strip_any(rest, &SERVERS)?;
        let (data, rest) = strip_any(rest, &DATA)?;
        let (source, extension) = rest.rsplit_once('.')?;
        (!source.is_empty() && extension.eq_ignore_ascii_case(data.extension())).then(|| OutputName {
            server,
            data,
            source: source.to_owned(),
        })
    }
}

impl DataType {
    fn extension(self) -> &'static str {
        match self {
            DataType::Registry | DataType::Database => "dat",
            DataType::ConfigNt | DataType::ConfigSql => "txt",
        }
    }
}

impl fmt::Display for OutputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (server, data) = (spelling(self.server, &SERVERS), spelling(self.data, &DATA));
        write!(f, "SMSbk{server}{data}{}.{}", self.source, self.data.extension())
    }
}

fn spelling<T: PartialEq>(value: T, table: &[(T, &'static str)]) -> &'static str {
    table.iter().find(|(known, _)| *known == value).expect("the tables list every variant").1
}

fn strip_any<'a, T: Copy>(text: &'a str, table: &[(T, &str)]) -> Option<(T, &'a str)> {
    table.iter().find_map(|(value, name)| Some((*value, strip_prefix_ignoring_case(text, name)?)))
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_product_are_read_and_written() {
        for name in [
            "SMSbkSiteRegNAL.dat",
            "SMSbkSiteRegSMS.dat",
            "SMSbkSQLDBmaster.dat",
            "SMSbkSQLDBsite.dat",
            "SMSbkProvRegSMS.dat",
            "SMSbkMeterDBmeter.dat",
            "SMSbkSiteConfigNTData.txt",
            "SMSbkSQLConfigSQLhelpdb.txt",
        ] {
            assert_eq!(OutputName::parse(name).unwrap().to_string(), name);
        }
        let name = OutputName::parse("smsbksitEREGnal.DAT").unwrap();
        assert_eq!((name.server, name.data, name.source.as_str()), (ServerType::Site, DataType::Registry, "nal"));
    }

    #[test]
    fn other_names_are_not() {
        for name in [
            "",
            "SMSbk",
            "SMSbkSite.dat",
            "SMSbkSiteReg.dat",
            "SMSbkSiteRegNAL",
            "SMSbkSiteRegNAL.txt",
            "nal.dat",
            "SMSbké",
        ] {
            assert_eq!(OutputName::parse(name), None, "{name}");
        }
    }
}
