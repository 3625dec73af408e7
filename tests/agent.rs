//! Agents tell the state, the weight and the limit of their backend; what one said, only it takes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::agent::Agent;
use common::backend::{Backend, Port};
use common::client::Client;
use common::ctl::{Place, ask, value};
use common::eventually;
use common::process::{Beelance, listener_and};

/// `s1`, whose agent this is, and `s2`, where none listens: it is at another address.
fn before(agent: &Agent, more: &str) -> (Beelance, Backend, Backend) {
    let elsewhere = Port::at("127.9.9.9:0".parse().unwrap()).unwrap();
    let (one, two) = (Backend::named("one"), Backend::named_on("two", elsewhere));
    let port = agent.port();
    let config = listener_and(&[&one, &two])
        + &format!("pool.*.check.inter = 30ms\npool.*.check.timeout = 5s\npool.*.check.agent-port = {port}\n{more}");
    (Beelance::start(&config), one, two)
}

/// How many of ten requests `one` answers.
fn share(client: &mut Client) -> usize {
    (0..10).filter(|_| client.get("/").text() == "one").count()
}

#[test]
fn it_sets_the_weight() {
    let agent = Agent::saying("up\n");
    let (beelance, _one, _two) = before(&agent, "backend.*.weight = 20\npool.*.check = none\n");
    let mut client = beelance.connect();
    assert_eq!(share(&mut client), 5);
    for (line, wanted) in [("25%\n", 2), ("weight:180\n", 9), ("0%\n", 0), ("up 100%\n", 5)] {
        agent.says(Some(line));
        // What was chosen before the change has its turn first.
        eventually(&format!("{line:?}: {wanted} of ten"), || (share(&mut client) == wanted).then_some(()));
    }
    // Silence and refusal change nothing, here or at the other.
    agent.says(Some("weight:180\n"));
    eventually("nine of ten", || (share(&mut client) == 9).then_some(()));
    agent.says(None);
    assert_eq!(share(&mut client), 9);
    assert_eq!(beelance.changes("s1", "down") + beelance.changes("s2", "down"), 0);
}

#[test]
fn it_drains_rests_and_comes_back() {
    let agent = Agent::saying("ready\n");
    let (beelance, one, two) = before(&agent, "pool.*.cookie = SRV\npool.*.check.uri = /healthz\n");
    const BOUND: &str = "Cookie: SRV=s1\r\n";
    let mut client = beelance.connect();
    agent.says(Some("drain\n"));
    beelance.wait_log("s1 drains", |lines| lines.iter().any(|line| line.contains("s1 enters DRAIN")).then_some(()));
    assert_eq!(share(&mut client), 0, "no new users");
    assert_eq!(client.get_with("/", BOUND).text(), "one", "but those it has");
    one.wait_more_probes(2);
    agent.says(Some("maint\n"));
    beelance.wait_log("s1 rests", |lines| lines.iter().any(|line| line.contains("s1 goes into MAINT")).then_some(()));
    assert_eq!(client.get_with("/", BOUND).text(), "two", "nobody");
    one.wait_open(0);
    // One probe may be under way; then there are none.
    let probes = one.probes();
    two.wait_more_probes(5);
    assert!(one.probes() <= probes + 1, "it is probed");
    agent.says(Some("ready\n"));
    beelance.wait_log("s1 is back", |lines| lines.iter().any(|line| line.contains("s1 is READY")).then_some(()));
    one.wait_more_probes(1);
    eventually("its share", || (share(&mut client) == 5).then_some(()));
    assert_eq!(client.get_with("/", BOUND).text(), "one");
}

#[test]
fn down_is_down_until_the_agent_says_up() {
    let agent = Agent::saying("up\n");
    let (beelance, one, _two) = before(&agent, "pool.*.check.uri = /healthz\n");
    let mut client = beelance.connect();
    for (number, word) in ["down # disk full", "fail", "failed", "stopped"].into_iter().enumerate() {
        agent.says(Some(&format!("{word}\n")));
        beelance.wait_change("s1", "down", number + 1);
        one.wait_more_probes(3);
        assert_eq!(share(&mut client), 0, "probes that succeed do not undo it");
        agent.says(Some("maxconn:5\n"));
        assert_eq!(share(&mut client), 0, "nor does saying nothing about it");
        agent.says(Some("up\n"));
        beelance.wait_change("s1", "up", number + 1);
        assert!(share(&mut client) > 0);
    }
    assert!(beelance.log().iter().any(|line| line.contains(
        "s1 is DOWN, reason: Layer7 wrong status, code: 0, info: \"via agent : down (disk full)\", check duration: "
    )));
    // The agent's up does not undo what the probes say.
    one.set_health(500);
    beelance.wait_change("s1", "down", 5);
    agent.says(Some("up\n"));
    assert_eq!((share(&mut client), beelance.changes("s1", "up")), (0, 4));
}

#[test]
fn what_an_agent_said_that_left_is_not_told_of_the_next() {
    let (agent, one, two, socket) =
        (Agent::saying("down\n"), Backend::named("one"), Backend::named("two"), Place::new());
    let without = listener_and(&[&one, &two]) + &format!("admin.socket = {}\n", socket.0.display());
    let with = |inter| {
        format!(
            "{without}pool.*.check.agent-port = {}\npool.*.check.inter = {inter}\npool.*.check.timeout = 5s\n",
            agent.port()
        )
    };
    let beelance = Beelance::start(&with("30ms"));
    let told = |column: &str| value(&socket.0, "default", "s2", column);
    eventually("it is down", || (told("status") == "DOWN (agent)").then_some(()));
    beelance.reload(&without).unwrap();
    assert_eq!((told("status").as_str(), told("agent_status").as_str()), ("no check", ""));
    // Whose silence that is, is said.
    beelance.wait_log("why it is up", |lines| {
        lines.iter().any(|line| line.contains("s2 is UP, reason: agent says nothing any more.")).then_some(())
    });
    // The second of two waits half an hour for its first word.
    beelance.reload(&with("1h")).unwrap();
    assert_eq!(
        (told("agent_status").as_str(), told("last_agt").as_str(), told("agent_health").as_str()),
        ("INI", "", "1")
    );
}

#[test]
fn it_limits_and_lifts_the_limit_for_who_waits() {
    let agent = Agent::saying("maxconn:1\n");
    let (beelance, one, two) = before(&agent, "backend.s2.backup = yes\npool.*.check = none\n");
    agent.says(Some("maxconn:1\n"));
    one.hold();
    let mut clients: Vec<Client> = (0..4).map(|_| beelance.connect()).collect();
    for client in &mut clients {
        client.ask("GET", "/", "");
    }
    one.wait_requests(1);
    agent.says(Some("maxconn:1\n"));
    assert_eq!(one.count(), 1, "the rest waits");
    agent.says(Some("maxconn:3\n"));
    one.wait_requests(3);
    agent.says(Some("maxconn:0\n"));
    one.wait_requests(4);
    one.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "one");
    }
    assert_eq!((one.most_in_flight(), two.count()), (4, 0));
}

#[test]
fn an_agent_that_leaves_takes_back_what_it_set_and_nothing_else() {
    let (agent, one, two, socket) = (Agent::saying("up\n"), Backend::named("one"), Backend::named("two"), Place::new());
    let without = listener_and(&[&one, &two])
        + &format!("admin.socket = {}\nbackend.*.weight = 20\nbackend.*.maxconn = 50\n", socket.0.display());
    let with = format!("{without}pool.*.check.agent-port = {}\npool.*.check.inter = 30ms\n", agent.port());
    let beelance = Beelance::start(&with);
    let weight = |server| value(&socket.0, "default", server, "weight");
    let limit = |server| value(&socket.0, "default", server, "slim");
    let all = || [weight("s1"), limit("s1"), weight("s2"), limit("s2")];
    // Of s1 the operator changes the weight, after an agent that says nothing of it; the limit is the agent's.
    agent.says(Some("up maxconn:7\n"));
    ask(&socket.0, "set server default/s1 weight 5");
    assert_eq!(all(), ["5", "7", "20", "7"]);
    beelance.reload(&without).unwrap();
    assert_eq!(all(), ["5", "50", "20", "50"], "the operator's weight stays, the agent's limit goes");
    agent.will_say("up 50%\n");
    beelance.reload(&with).unwrap();
    eventually("half", || (all() == ["10", "50", "10", "50"]).then_some(()));
    ask(&socket.0, "disable agent default/s1");
    ask(&socket.0, "set server default/s1 weight 6");
    beelance.reload(&without).unwrap();
    assert_eq!(all(), ["6", "50", "20", "50"]);
}
