//! Web addresses: taking them apart, percent-encoding, and where a redirect leads. No I/O.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::error::{Error, Result};

/// Who is spoken to: scheme, host and port. Secrets meant for one never go to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of `url`, if it is an absolute `http:` or `https:` address without a user name.
    pub(super) fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        Some(Self {
            scheme,
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(default_port),
        })
    }

    /// Host and port, for messages.
    pub(super) fn host(&self) -> String {
        match (self.scheme.as_str(), self.port) {
            ("https", 443) | ("http", 80) => self.host.clone(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether it is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// Whether nobody on the way can read or change what is sent: TLS, or no way at all.
    pub(super) fn is_confidential(&self) -> bool {
        self.scheme == "https" || self.is_loopback()
    }
}

/// Refuses what is not a complete address that bytes may be fetched from.
pub(super) fn check(url: &str) -> Result<Origin> {
    if url.contains(char::is_whitespace) {
        return Err(
            Error::usage(format!("there is a blank in the address `{url}`"))
                .help("write a blank in an address as %20"),
        );
    }
    let authority = url.split('/').nth(2).unwrap_or_default();
    if authority.contains('@') {
        return Err(
            Error::usage("a user name or password does not belong in an address")
                .help("pipeline files are shared; take it out of the address"),
        );
    }
    let origin = Origin::of(url).ok_or_else(|| {
        Error::usage(format!("`{url}` is not a web address"))
            .help("an address looks like https://example.org/data.csv")
    })?;
    if !origin.is_confidential() {
        return Err(
            Error::usage(format!("`{url}` would be fetched without encryption")).help(
                "write https: instead; plain http: is accepted for addresses of this machine only",
            ),
        );
    }
    Ok(origin)
}

/// Percent-encodes one segment of a path, or with `keep_slashes` a whole path.
pub(super) fn encode(text: &str, keep_slashes: bool) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (byte == b'/' && keep_slashes)
        {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            let digits =
                [byte >> 4, byte & 15].map(|digit| b"0123456789ABCDEF"[usize::from(digit)]);
            encoded.extend(digits.map(char::from));
        }
        encoded
    })
}

/// The path of `url`, without query.
pub(super) fn path(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let start = url[after_scheme..]
        .find(['/', '?'])
        .map_or(url.len(), |at| after_scheme + at);
    let path = &url[start..];
    &path[..path.find('?').unwrap_or(path.len())]
}

/// `url` with `file` (not yet percent-encoded) added to its path; a query stays behind the path.
pub(super) fn join(url: &str, file: &str) -> String {
    let (base, query) = match url.split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (url, String::new()),
    };
    format!(
        "{}/{}{query}",
        base.trim_end_matches('/'),
        encode(file, true)
    )
}

/// Where `location`, the answer of `url`, leads (RFC 3986, section 5.2, without dot segments).
pub(super) fn redirect(url: &str, location: &str) -> String {
    let scheme_end = url.find("://").map_or(0, |at| at + 3);
    let authority_end = url[scheme_end..]
        .find(['/', '?'])
        .map_or(url.len(), |at| scheme_end + at);
    let location = location.split('#').next().unwrap_or(location);
    if location.contains("://") && !location.starts_with('/') {
        location.into()
    } else if location.starts_with("//") {
        format!("{}{location}", &url[..scheme_end - 2])
    } else if location.starts_with('/') {
        format!("{}{location}", &url[..authority_end])
    } else {
        let folder = path(url).rfind('/').map_or(0, |at| at + 1);
        let base = &url[..authority_end + folder];
        let slash = if folder == 0 { "/" } else { "" };
        format!("{base}{slash}{location}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_compare_scheme_host_and_port() {
        let origin = Origin::of("https://Example.org/a").expect("an address");
        assert_eq!(
            Some(&origin),
            Origin::of("https://example.org:443/b").as_ref()
        );
        for other in [
            "http://example.org/",
            "https://example.org:444/",
            "https://cdn.example.org/",
        ] {
            assert_ne!(Some(&origin), Origin::of(other).as_ref(), "{other}");
        }
        assert_eq!(Origin::of("https://user@example.org/"), None);
        assert_eq!(Origin::of("file:///etc/passwd"), None);
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for fine in [
            "http://127.0.0.1:8000/a",
            "http://localhost/a",
            "http://[::1]:80/a",
            "https://example.org/",
        ] {
            assert!(check(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "http://example.org/a",
            "http://127.0.0.1.example.org/",
            "https://a:b@example.org/",
            "https:/a",
            "https://exa mple.org",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_are_encoded_and_stand_before_the_query() {
        assert_eq!(
            join("https://a.org/x/?sig=1", "b c/ü.txt"),
            "https://a.org/x/b%20c/%C3%BC.txt?sig=1"
        );
        assert_eq!(encode("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(path("https://a.org/x/y.zip?z"), "/x/y.zip");
        assert_eq!(path("https://a.org"), "");
    }

    #[test]
    fn redirects_are_absolute_or_relative() {
        let url = "https://a.org/x/y?z=1";
        for (location, target) in [
            ("https://b.org/c", "https://b.org/c"),
            ("//b.org/c", "https://b.org/c"),
            ("/c?u=https://d", "https://a.org/c?u=https://d"),
            ("c", "https://a.org/x/c"),
            ("c#part", "https://a.org/x/c"),
        ] {
            assert_eq!(redirect(url, location), target);
        }
        assert_eq!(redirect("https://a.org", "c"), "https://a.org/c");
    }
}
