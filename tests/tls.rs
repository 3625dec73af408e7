//! A terminator of TLS in front, as `docs/tls.md` has it: HAProxy, with a certificate of the test's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::{Beelance, temporary};
use common::{output, recipe, tool};
use std::path::PathBuf;
use std::time::Duration;

/// A file with a certificate and its key, which goes with its value.
struct Certificate(PathBuf);

impl Certificate {
    fn new() -> Self {
        let (pem, key) = (temporary("shop.pem"), temporary("shop.key"));
        let mut openssl = tool("openssl");
        openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '));
        openssl.args(["-subj", "/CN=shop.example", "-out"]).arg(&pem).arg("-keyout").arg(&key);
        let made = output(&mut openssl, Duration::ZERO);
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        let both = [&pem, &key].map(|file| std::fs::read_to_string(file).unwrap()).concat();
        std::fs::write(&pem, both).unwrap();
        std::fs::remove_file(key).unwrap();
        Self(pem)
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_terminator_in_front_says_who_the_client_is_and_that_it_came_by_tls() {
    let backend = Backend::named("shop");
    let (inner, server) = (Port::take(), backend.address().to_string());
    let inside = inner.address.to_string();
    let config = recipe::with(
        recipe::block_of("docs/tls.md", "beelance", "tls"),
        &[
            ("0.0.0.0:80", "127.0.0.1:0"),
            ("127.0.0.1:8443", &inside),
            ("192.168.1.11:8080", &server),
            ("192.168.1.12:8080", &server),
        ],
    );
    let beelance = Beelance::start(&format!("{config}log.access = stderr\n"));
    let certificate = Certificate::new();
    let terminator = Haproxy::start(Port::take(), |address| {
        let outside = format!("bind {address} ssl");
        recipe::with(
            recipe::block_of("docs/tls.md", "haproxy", "tls"),
            &[
                ("bind :443 ssl", &outside),
                ("127.0.0.1:8443", &inside),
                ("/etc/haproxy/shop.pem", certificate.0.to_str().unwrap()),
            ],
        )
    });
    let ask = |url: &str| {
        // An address that only the header can tell.
        let words = ["-sik", "--max-time", "20", "--noproxy", "*", "--interface", "127.0.0.9", url];
        let asked = output(tool("curl").args(words), Duration::ZERO);
        assert_eq!(asked.code, Some(0), "{url}: {}", asked.stderr);
        asked.stdout
    };
    let said = ask(&format!("https://{}/cart", terminator.address()));
    assert!(
        said.starts_with("HTTP/1.1 200") && said.contains("\r\nSet-Cookie: SRV=shop") && said.contains("; Secure"),
        "{said}"
    );
    let seen = backend.only().head.to_ascii_lowercase();
    for line in ["\r\nx-forwarded-proto: https\r\n", "\r\nx-forwarded-for: 127.0.0.9\r\n"] {
        assert_eq!(seen.matches(line).count(), 1, "{line:?} in {seen}");
    }
    let line = beelance.access_to("/cart");
    assert!(line.client.starts_with("127.0.0.9:") && line.listener == "tls", "{line:?}");

    let plain = beelance.address("plain");
    let said = ask(&format!("http://{plain}/cart"));
    assert!(said.starts_with("HTTP/1.1 301") && said.contains("\r\nLocation: https://127.0.0.1"), "{said}");
}
