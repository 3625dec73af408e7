//! A beelance whose loop can be asked whether it has done all it was given.

use super::backend::Backend;
use super::client::Client;
use super::process::{Beelance, listener_and};

/// It has a second listener, `ping`, before a pool and a backend of its own.
pub struct Fixture {
    pub beelance: Beelance,
    ping: Client,
    _ping_backend: Backend,
}

impl Fixture {
    /// [`Beelance::before`] with that listener.
    #[track_caller]
    pub fn new(backends: &[&Backend], more: &str) -> Self {
        let ping = Backend::named("pong");
        let config = listener_and(backends)
            + &format!("listen.ping = 127.0.0.1:0\nlisten.ping.pool = ping\nbackend.ping = {}\n", ping.address())
            + "backend.ping.pool = ping\n"
            + more;
        let beelance = Beelance::start(&config);
        let client = Client::connect(beelance.address("ping"));
        Self { beelance, ping: client, _ping_backend: ping }
    }

    /// Returns when beelance has seen all that it was sent before.
    #[track_caller]
    pub fn settle(&mut self) {
        // The loop is one thread: what was ready before this exchange has been seen when it is over.
        for _ in 0..2 {
            assert_eq!(self.ping.get("/ping").text(), "pong");
        }
    }

    /// A client that has sent a GET, and beelance has read it.
    #[track_caller]
    pub fn sent(&mut self, target: &str, headers: &str) -> Client {
        let mut client = self.beelance.connect();
        client.ask("GET", target, headers);
        self.settle();
        client
    }
}
