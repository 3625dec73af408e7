//! A tunnel whose both ends the test holds.

use super::client::Client;
use super::process::Beelance;
use super::raw::RawBackend;

/// Asks for `/tunnel` to go on as `chat`.
pub const ASK: &str = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n";
/// A backend that agrees.
pub const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
/// What a client gets of that.
pub const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\n";

/// Bytes there and back.
#[track_caller]
pub fn assert_open(client: &mut Client, server: &mut Client) {
    client.send("ping");
    server.expect("ping");
    server.send("pong");
    client.expect("pong");
}

/// The client's and the backend's end of a new tunnel.
#[track_caller]
pub fn open(beelance: &Beelance, backend: &RawBackend) -> (Client, Client) {
    agree(beelance.connect(), backend)
}

/// The same for this client.
#[track_caller]
pub fn agree(mut client: Client, backend: &RawBackend) -> (Client, Client) {
    client.send(ASK);
    let mut server = backend.accept();
    server.head_bytes();
    server.send(SWITCH);
    client.expect(SWITCHED);
    (client, server)
}
