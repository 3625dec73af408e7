//! Two files of docs/recipes.md with nginx behind: the shop with a static pool, and the CDN by redirect. The tests of
//! what the others are about run those.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::client::Response;
use common::nginx::Nginx;
use common::process::Beelance;
use common::{DEADLINE, output, recipe, tool};

/// nginx of these names, each with the file `FILES` that says who it is.
fn servers<const N: usize>(names: [&str; N]) -> [Nginx; N] {
    names.map(|name| {
        let server = Nginx::start(name);
        (0..FILES).for_each(|number| server.file(&format!("{number}.css"), name.as_bytes()));
        server
    })
}

/// Enough for both servers of a pool to have some.
const FILES: usize = 16;

/// The recipe as it stands, but for the addresses, and for where nginx has its files.
#[track_caller]
fn run(name: &str, replaced: &[(&str, &str)]) -> Beelance {
    Beelance::start(&recipe::with(
        recipe::block("beelance", name),
        &[&[("0.0.0.0:80", "127.0.0.1:0")], replaced].concat(),
    ))
}

fn get(beelance: &Beelance, target: &str, cookie: Option<&str>) -> Response {
    let mut client = beelance.connect();
    let cookie = cookie.map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"));
    client.ask("GET", target, &cookie);
    client.response()
}

#[test]
fn a_shop_with_a_static_pool() {
    let shops = servers(["shop1", "shop2"]);
    let statics = servers(["static1", "static2"]);
    let [shop1, shop2, static1, static2] =
        [&shops[0], &shops[1], &statics[0], &statics[1]].map(|server| server.address.to_string());
    let beelance = run(
        "shop",
        &[
            ("192.168.1.11:8080", &shop1),
            ("192.168.1.12:8080", &shop2),
            ("192.168.1.21:80", &static1),
            ("192.168.1.22:80", &static2),
        ],
    );
    let mut seen = Vec::new();
    for _ in 0..4 {
        let first = get(&beelance, "/", None);
        let cookie = first.header("set-cookie").unwrap();
        let (pair, _) = cookie.split_once(';').unwrap();
        assert_eq!(pair, format!("SRV={}", first.text().trim()), "{cookie}");
        for _ in 0..3 {
            let again = get(&beelance, "/", Some(pair));
            assert_eq!((again.text(), again.header("set-cookie")), (first.text(), None));
        }
        seen.push(first.text().trim().to_owned());
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ["shop1", "shop2"]);

    let file = |beelance: &Beelance, number: usize| {
        let response = get(beelance, &format!("/file/{number}.css"), None);
        assert_eq!((response.status, response.header("set-cookie")), (200, None));
        response.text().to_owned()
    };
    let mut by_file: Vec<String> = (0..FILES).map(|number| file(&beelance, number)).collect();
    assert_eq!(by_file, (0..FILES).map(|number| file(&beelance, number)).collect::<Vec<_>>(), "each where it was");
    by_file.sort_unstable();
    by_file.dedup();
    assert_eq!(by_file, ["static1", "static2"]);
    // No GET: not for the static servers.
    let mut client = beelance.connect();
    client.ask("OPTIONS", "/file/other.css", "");
    client.response();
    assert_eq!(beelance.access_to("/file/other.css").pool, "default");

    drop(statics);
    beelance.wait_change("static1", "down", 1);
    beelance.wait_change("static2", "down", 1);
    let response = get(&beelance, "/file/0.css", None);
    assert!(response.text().starts_with("shop") && response.header("set-cookie").is_some(), "{response:?}");
}

#[test]
fn a_cdn_by_redirect() {
    let shop = servers(["shop1"]);
    let [edge1, edge2] = servers(["edge1", "edge2"]);
    let (one, two) = (edge1.address.to_string(), edge2.address.to_string());
    let (to_one, to_two) = (format!("http://{one}"), format!("http://{two}"));
    let beelance = run(
        "cdn",
        &[
            ("192.168.1.11:8080", &shop[0].address.to_string()),
            ("203.0.113.1:80", &one),
            ("203.0.113.2:80", &two),
            ("http://edge1.example.com", &to_one),
            ("http://edge2.example.com", &to_two),
            ("/files/*", "/file/*"),
        ],
    );
    // What curl gets that follows the redirect, and where it got it.
    let follow = |number: usize| {
        let mut curl = tool("curl");
        curl.args(["-sSL", "-w", " %{num_redirects} %{url_effective}"]);
        curl.arg(format!("http://{}/file/{number}.css", beelance.address("web")));
        let output = output(&mut curl, DEADLINE);
        assert_eq!(output.code, Some(0), "{output:?}");
        output.stdout
    };
    let expected = |number: usize, name: &str, to: &str| format!("{name} 1 {to}/file/{number}.css");
    let mut counts = [0, 0];
    for number in 0..FILES {
        let got = follow(number);
        let [by_one, by_two] = [expected(number, "edge1", &to_one), expected(number, "edge2", &to_two)];
        assert!(got == by_one || got == by_two, "{got}");
        counts[usize::from(got == by_two)] += 1;
    }
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    let response = get(&beelance, "/file/0.css", None);
    assert_eq!((response.status, response.header("cache-control")), (302, Some("no-store")));

    drop(edge1);
    beelance.wait_change("edge1", "down", 1);
    assert_eq!(follow(0), expected(0, "edge2", &to_two));
    drop(edge2);
    beelance.wait_change("edge2", "down", 1);
    assert_eq!(follow(0), format!("shop1 0 http://{}/file/0.css", beelance.address("web")));
}
