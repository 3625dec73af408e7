//! The demo's processes: four shop servers and their database, forked before anything else is started.

use super::database::Database;
use super::http::{Site, serve};
use super::shop::Shop;
use crate::runtime::Child;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Their names, as the balancer's configuration has them.
const NAMES: [&str; 4] = ["shop1", "shop2", "shop3", "shop4"];

/// One process and where it listens.
pub(super) struct Server {
    pub name: &'static str,
    pub address: SocketAddr,
    pub child: Child,
}

/// All of them.
pub(super) struct Servers {
    pub shops: Vec<Server>,
    pub database: Server,
}

impl Servers {
    /// Starts them. Only while this process has one thread: see [`Child::fork`].
    ///
    /// # Errors
    /// The system's: no process or no socket for one of them.
    pub(super) fn start() -> io::Result<Self> {
        let database = start("database", Box::new(Database))?;
        let shops = NAMES.into_iter().map(|name| start(name, Box::new(Shop::new(name, database.address))));
        Ok(Self { shops: shops.collect::<io::Result<_>>()?, database })
    }

    /// Ends them all.
    pub(super) fn end(&self) {
        self.shops.iter().chain([&self.database]).for_each(|server| server.child.end());
    }
}

/// Binds a free port of loopback here and serves it in a process of its own.
fn start(name: &'static str, site: Box<dyn Site>) -> io::Result<Server> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    // The parent's copy is closed here, before the next server inherits it: when this one dies, its port is closed.
    let child = Child::fork(move || serve(listener, site))?;
    Ok(Server { name, address, child })
}
