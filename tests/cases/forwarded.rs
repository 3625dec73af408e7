//! X-Forwarded fields: no RFC defines them; RFC 7239 section 8.1 says of their heir why a client may not set them.

use super::table::{FORWARDED, Table, get};
use super::{Case, Kind, Passed, Setting};

pub fn cases() -> Vec<Case> {
    let mut t = Table::new("forwarded");

    t.group(
        "7239 8.1",
        Kind::Policy,
        "A server behind the proxy believes these fields: only the proxy, and whom it trusts, may say them.",
    );
    for name in [
        "X-Forwarded-For",
        "x-forwarded-for",
        "X-Forwarded-Proto",
        "X-FORWARDED-PROTO",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-By",
        "X_Forwarded_For",
        "X-Forwarded_Proto",
    ] {
        t.forward_without(name, get(format!("{name}: 192.0.2.1\r\nX: y\r\n")), &[name], "");
    }
    t.forward_without(
        "three of them",
        get("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\nX: y\r\nX-Forwarded-Proto: https\r\n"),
        &["X-Forwarded-For", "X-Forwarded-Proto"],
        "",
    );
    t.group(
        "9110 5.1",
        Kind::Valid,
        "Other fields of this kind are passed on as they came: this proxy does not speak for them.",
    );
    t.forward("Forwarded", get("Forwarded: for=192.0.2.1;proto=https\r\n"), "");
    t.forward("X-Real-IP", get("X-Real-IP: 192.0.2.1\r\n"), "");
    t.forward("Via", get("Via: 1.0 fred\r\n"), "");
    t.forward("a name that only begins so", get("X-Forwarded: 192.0.2.1\r\nX-ForwardedFor: x\r\n"), "");

    t.setting(Setting::Trusted);
    t.group(
        "7239 8.1",
        Kind::Policy,
        "A client in listen.N.trust speaks for the client behind it: its fields stay, one line is added.",
    );
    let head = |fields: &str, ours: &str| {
        vec![Passed { head: format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}{ours}\r\n").into_bytes(), body: Vec::new() }]
    };
    let address = "X-Forwarded-For: 127.0.0.1\r\n";
    for (name, fields, ours) in [
        ("X-Forwarded-For", "X-Forwarded-For: 192.0.2.1\r\n", FORWARDED),
        ("X-Forwarded-For twice", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2, x\r\n", FORWARDED),
        ("X-Forwarded-Proto", "X-Forwarded-Proto: https\r\n", address),
        ("both", "X-Forwarded-Proto: https\r\nX: y\r\nX-Forwarded-For: 192.0.2.1\r\n", address),
        ("X-Forwarded-Host", "X-Forwarded-Host: b\r\nX-Forwarded-Port: 443\r\n", FORWARDED),
        ("none", "", FORWARDED),
    ] {
        t.pipeline(format!("{name} of a trusted client"), get(fields), head(fields, ours));
    }
    t.setting(Setting::NoForwardFor);
    t.group(
        "9110 5.1",
        Kind::Policy,
        "With pool.N.forwardfor = no the proxy says nothing about the client and removes nothing.",
    );
    t.forward("nothing without forwardfor", get(""), "");
    t.forward(
        "X-Forwarded-For without forwardfor",
        get("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n"),
        "",
    );
    t.done()
}
