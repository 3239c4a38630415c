//! Where a stranger says that its artifact is.
//!
//! The `uri` of a submission is written by anybody, and every validator follows it. So it must not lead into the
//! validator's own network (server-side request forgery). What is checked is the address that a connection is made to:
//! names are resolved by our own resolver, which refuses forbidden addresses and whose answer is the one that is used,
//! so a name that changes its address between check and use gains nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use crate::{ContentHash, ParseHashError};

/// The longest location, in bytes.
pub const MAX_LOCATION_BYTES: usize = 2048;

/// The first port that a location may name, other than the one of HTTPS. Below are the services of a system.
const MIN_PORT: u16 = 1024;

/// Where the locations of strangers may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// By HTTPS to public addresses.
    #[default]
    Public,
    /// By HTTP or HTTPS to this machine and nowhere else. For tests only.
    Loopback,
}

impl Policy {
    /// Checks all of a URL that can be checked without resolving its name.
    ///
    /// # Errors
    /// The [`LocationError`] that says what is forbidden.
    pub(crate) fn check(self, url: &Url) -> Result<(), LocationError> {
        let scheme = url.scheme();
        if scheme != "https" && !(self == Self::Loopback && scheme == "http") {
            return Err(LocationError::Scheme { got: scheme.to_owned() });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(LocationError::Credentials);
        }
        if let Some(port) = url.port().filter(|port| *port < MIN_PORT) {
            return Err(LocationError::Port { got: port });
        }
        let host = url.host_str().unwrap_or_default();
        // The parser has turned every spelling of an IPv4 address (octal, one number, …) into the usual one.
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(address) => self.check_address(address),
            Err(_) => Ok(()),
        }
    }

    fn check_address(self, got: IpAddr) -> Result<(), LocationError> {
        let allowed = match self {
            Self::Public => is_public(got),
            Self::Loopback => got.is_loopback(),
        };
        if allowed { Ok(()) } else { Err(LocationError::Address { got }) }
    }
}

/// Where an artifact may be had, as a submission says it.
///
/// It is a hint only: what the artifact is follows from the hash that the submission commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In the stores that everybody has configured.
    Stores(ContentHash),
    /// At an address of the web.
    Web(Url),
}

impl Location {
    /// Reads `sha256:<64 digits>` or `https://…`.
    ///
    /// # Errors
    /// [`LocationError`] if the text is anything else or leads where `policy` forbids. A name is resolved only when it
    /// is connected to, so it may still be refused then.
    pub fn parse(text: &str, policy: Policy) -> Result<Self, LocationError> {
        if text.len() > MAX_LOCATION_BYTES {
            return Err(LocationError::TooLong { limit: MAX_LOCATION_BYTES, got: text.len() });
        }
        if text.starts_with("sha256:") {
            return Ok(Self::Stores(ContentHash::from_uri(text)?));
        }
        // The parser would drop these silently, and then two readers may see two locations.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(LocationError::Malformed);
        }
        let mut url = Url::parse(text).map_err(|_| LocationError::Malformed)?;
        url.set_fragment(None);
        policy.check(&url)?;
        Ok(Self::Web(url))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stores(hash) => f.write_str(&hash.uri()),
            Self::Web(url) => f.write_str(url.as_str()),
        }
    }
}

/// Why a location is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// It is longer than any location needs to be.
    #[error("a location of {got} bytes, the limit is {limit}")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
        /// The length, in bytes.
        got: usize,
    },
    /// It names a hash wrongly.
    #[error(transparent)]
    Hash(#[from] ParseHashError),
    /// It is no URL.
    #[error("neither sha256:<digits> nor a URL")]
    Malformed,
    /// Only HTTPS is followed.
    #[error("a location is https, got {got:?}")]
    Scheme {
        /// The scheme found.
        got: String,
    },
    /// It carries a user name or a password.
    #[error("a location carries no credentials")]
    Credentials,
    /// It names a port of a system's service.
    #[error("port {got}: a location uses the port of HTTPS or one from {MIN_PORT} on")]
    Port {
        /// The port found.
        got: u16,
    },
    /// It leads to an address that is not public.
    #[error("address {got} is not public")]
    Address {
        /// The address found.
        got: IpAddr,
    },
    /// It leads from one address to the next.
    #[error("more than {limit} redirects")]
    Redirects {
        /// How many are followed.
        limit: usize,
    },
}

/// True if the address can belong to a server of the public internet.
///
/// The IANA registries of special-purpose addresses say which cannot. An address that carries an IPv4 address for a
/// translator (RFC 6052) is as public as what it carries.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 88, 99)
            | (192, 168, _)
            | (192, 175, 48)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // 64:ff9b::/96, the translator's prefix.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Of 2000::/3, the only global unicast: 2001::/23 with Teredo, documentation, 6to4, AS112.
        [0x2001, 0..=0x1ff | 0xdb8, ..]
        | [0x2002, ..]
        | [0x3fff, 0..=0xfff, ..]
        | [0x2620, 0x4f, 0x8000, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// Resolves names, but gives no address that the policy forbids.
#[derive(Clone)]
pub(crate) struct Guard {
    policy: Policy,
    lookup: Arc<dyn Resolve>,
}

impl Guard {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, lookup: Arc::new(System) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { policy, lookup } = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup.resolve(name).await?.collect();
            // One forbidden address among others is no accident.
            for address in &found {
                policy.check_address(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The system's resolver.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        let forbidden = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in forbidden {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    /// Answers with a public address first, and with this machine from then on.
    #[derive(Default)]
    struct Rebinding(AtomicUsize);

    impl Resolve for Rebinding {
        fn resolve(&self, _: Name) -> Resolving {
            let text = if self.0.fetch_add(1, Ordering::SeqCst) == 0 { "1.1.1.1:0" } else { "127.0.0.1:0" };
            Box::pin(async move { Ok(Box::new([text.parse().unwrap()].into_iter()) as Addrs) })
        }
    }

    struct Fixed(Vec<SocketAddr>);

    impl Resolve for Fixed {
        fn resolve(&self, _: Name) -> Resolving {
            let found = self.0.clone();
            Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
        }
    }

    #[tokio::test]
    async fn every_answer_of_the_resolver_is_checked() {
        let guard = Guard { policy: Policy::Public, lookup: Arc::new(Rebinding::default()) };
        assert!(guard.resolve("rebinding.example".parse().unwrap()).await.is_ok());
        let Err(error) = guard.resolve("rebinding.example".parse().unwrap()).await else {
            panic!("resolved")
        };
        let got = "127.0.0.1".parse().unwrap();
        assert_eq!(error.downcast_ref(), Some(&LocationError::Address { got }));

        let mixed = Fixed(vec!["1.1.1.1:0".parse().unwrap(), "10.0.0.1:0".parse().unwrap()]);
        let guard = Guard { policy: Policy::Public, lookup: Arc::new(mixed) };
        assert!(guard.resolve("mixed.example".parse().unwrap()).await.is_err());
    }

    #[test]
    fn accepted() {
        let hash = ContentHash::of(b"x");
        assert_eq!(Location::parse(&hash.uri(), Policy::Public), Ok(Location::Stores(hash)));
        for text in [
            "https://example.org/models/1.safetensors",
            "https://example.org:8443/x?token=1",
            "HTTPS://EXAMPLE.org/",
            "https://1.1.1.1/x",
            "https://[2606:4700::1111]:1024/x",
            "https://bücher.example/x",
        ] {
            assert!(matches!(Location::parse(text, Policy::Public), Ok(Location::Web(_))), "{text}");
        }
        let parsed = Location::parse("https://example.org/x#part", Policy::Public).unwrap();
        assert_eq!(parsed.to_string(), "https://example.org/x");
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "x",
            "sha256:",
            "sha256:12",
            "https:",
            "https://",
            "//example.org/x",
            "/etc/passwd",
            "file:///etc/passwd",
            "http://example.org/x",
            "ftp://example.org/x",
            "gopher://example.org/x",
            "data:,x",
            "javascript:1",
            "s3://bucket/x",
            "unix:/var/run/docker.sock",
            "https://user@example.org/x",
            "https://user:secret@example.org/x",
            "https://:secret@example.org/x",
            "https://example.org:22/x",
            "https://example.org:80/x",
            "https://example.org:1023/x",
            "https://example.org:99999/x",
            "https://example.org:0/x",
            "https://127.0.0.1/x",
            "https://127.1/x",
            "https://2130706433/x",
            "https://0x7f000001/x",
            "https://0177.0.0.1/x",
            "https://127.0.0.1./x",
            "https://0/x",
            "https://①②⑦.0.0.1/x",
            "https://%31%32%37.0.0.1/x",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.1/x",
            "https://[::1]/x",
            "https://[::]/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://[::ffff:7f00:1]/x",
            "https://[fe80::1]/x",
            "https://[fe80::1%25eth0]/x",
            "https://[fd00::1]/x",
            "https://[64:ff9b::a00:1]/x",
            "https://[2002:a00:1::]/x",
            " https://example.org/x",
            "https://example.org/x\n",
            "https://exa\tmple.org/x",
            "https:\\\\example.org",
            "https://example.org\\@127.0.0.1/x",
            "https://example.org/\u{0}",
        ] {
            assert!(Location::parse(text, Policy::Public).is_err(), "{text:?}");
        }
        let long = format!("https://example.org/{}", "x".repeat(MAX_LOCATION_BYTES));
        assert!(matches!(Location::parse(&long, Policy::Public), Err(LocationError::TooLong { .. })));
    }

    #[test]
    fn the_policy_for_tests_leads_to_this_machine_only() {
        assert!(Location::parse("http://127.0.0.1:8080/x", Policy::Loopback).is_ok());
        assert!(Location::parse("http://[::1]:8080/x", Policy::Loopback).is_ok());
        for text in
            ["https://1.1.1.1/x", "http://10.0.0.1/x", "http://127.0.0.1:22/x", "ftp://127.0.0.1:8080/x"]
        {
            assert!(Location::parse(text, Policy::Loopback).is_err(), "{text}");
        }
    }

    proptest! {
        /// Whatever the text, what is accepted is HTTPS without credentials, and reads the same again.
        #[test]
        fn any_text_is_refused_or_safe(text in "(https?://)?[a-z0-9:@/\\\\.%\\[\\]#?-]{0,40}") {
            if let Ok(Location::Web(url)) = Location::parse(&text, Policy::Public) {
                prop_assert_eq!(url.scheme(), "https");
                prop_assert!(url.username().is_empty() && url.password().is_none());
                prop_assert_eq!(Location::parse(url.as_str(), Policy::Public), Ok(Location::Web(url)));
            }
        }

        #[test]
        fn private_addresses_are_refused_in_any_spelling(low in 0_u32..1 << 24, spelling in 0..4) {
            let address = 10 << 24 | low;
            let [a, b, c, d] = address.to_be_bytes();
            let host = match spelling {
                0 => format!("{a}.{b}.{c}.{d}"),
                1 => address.to_string(),
                2 => format!("{address:#x}"),
                _ => format!("0{a:o}.0x{b:x}.{}", u16::from_be_bytes([c, d])),
            };
            prop_assert!(Location::parse(&format!("https://{host}/x"), Policy::Public).is_err(), "{}", host);
        }
    }
}
