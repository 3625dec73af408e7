//! What accepted and connected sockets have, and how a wait on one ends.

use super::*;
use crate::runtime::{Bind, Listener, Loop, Seat};
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn accepted_sockets_inherit_the_options_and_a_fin_with_the_last_bytes_is_seen() {
    let reactor: &'static Reactor = Box::leak(Box::new(Reactor::new(8, 4).unwrap()));
    let event_loop: &'static Loop = Box::leak(Box::new(Loop::new(reactor)));
    let listener = bind(reactor);
    let mut client = TcpStream::connect(address(&listener)).unwrap();
    client.write_all(b"ping").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    event_loop
        .executor
        .spawn(async move {
            let seat = Seat::take(reactor).unwrap();
            listener.set_owner(seat.index());
            let soon = reactor.now_ms() + 20_000;
            let accept = || if listener.acceptable() { listener.accept().unwrap() } else { None };
            let (stream, peer) = seat.until(soon, accept).await.unwrap();
            assert!(peer.unwrap().ip().is_loopback());
            assert!(getsockopt(&stream.socket, sockopt::TcpNoDelay).unwrap());
            assert_eq!(bounds::of(&stream.socket), BOUNDS);
            stream.set_owner(seat.index());
            let mut space = [0; 64];
            let mut receive = |stream: &Stream| match stream.receive(&mut space).unwrap() {
                Received::Dry => None,
                received => Some(received),
            };
            assert_eq!(seat.until(soon, || receive(&stream)).await, Ok(Received::Bytes(4)));
            assert_eq!(seat.until(soon, || receive(&stream)).await, Ok(Received::End));
            assert_eq!(stream.send_slices(&[IoSlice::new(b"po"), IoSlice::new(b"ng")]).unwrap(), Some(4));
            drop((stream, seat, listener));
            assert_eq!(reactor.free_sources(), 8);
            event_loop.end(7);
        })
        .detach();
    assert_eq!(event_loop.run(|_| (), || ()).unwrap(), 7);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "pong");
}

const BOUNDS: Sockets = Sockets { send: Some(10_000), receive: Some(12_000), unsent: Some(9_000) };

fn bind(reactor: &'static Reactor) -> Listener {
    let how = Bind { only_v6: false, mode: 0o600, bounds: BOUNDS };
    Listener::bind(reactor, Endpoint::Inet("127.0.0.1:0".parse().unwrap()), &how).unwrap()
}

fn address(listener: &Listener) -> SocketAddr {
    match listener.endpoint() {
        Endpoint::Inet(address) => address,
        Endpoint::Unix(path) => panic!("{path}"),
    }
}

#[test]
fn a_connection_to_a_backend_has_its_bounds() {
    let reactor: &'static Reactor = Box::leak(Box::new(Reactor::new(4, 1).unwrap()));
    let listener = bind(reactor);
    let stream = Stream::connect(reactor, listener.endpoint(), &BOUNDS).unwrap();
    assert_eq!(bounds::of(&stream.socket), BOUNDS);
}

#[test]
fn a_system_without_memory_for_sockets_is_exhausted() {
    let is = |errno| is_exhaustion(&io::Error::from_raw_os_error(errno));
    assert!([libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].into_iter().all(is));
    assert!(![libc::ECONNABORTED, libc::EPROTO, libc::ECONNREFUSED].into_iter().any(is));
}

#[test]
fn a_deadline_ends_a_wait_and_another_thread_wakes_the_loop() {
    let reactor: &'static Reactor = Box::leak(Box::new(Reactor::new(2, 4).unwrap()));
    let event_loop: &'static Loop = Box::leak(Box::new(Loop::new(reactor)));
    let (task, runnable_wakers) = (event_loop.executor, std::sync::mpsc::channel());
    task.spawn(async move {
        let seat = Seat::take(reactor).unwrap();
        assert_eq!(seat.until(reactor.now_ms() + 50, || None::<()>).await, Err(crate::runtime::Elapsed));
        assert!(reactor.now_ms() >= 50);
        // Another thread wakes this task while the loop sleeps without a deadline.
        let mut asked = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut asked, true) {
                return std::task::Poll::Ready(());
            }
            runnable_wakers.0.send(cx.waker().clone()).unwrap();
            std::task::Poll::Pending
        })
        .await;
        event_loop.end(0);
    })
    .detach();
    let other = std::thread::spawn(move || runnable_wakers.1.recv().unwrap().wake());
    assert_eq!(event_loop.run(|_| (), || ()).unwrap(), 0);
    other.join().unwrap();
}

/// What the kernel says a UNIX socket may send before the peer takes it.
fn unix_bound(stream: &Stream) -> usize {
    getsockopt(&stream.socket, sockopt::SndBuf).unwrap()
}

#[test]
fn unix_sockets_hold_no_more_than_may_be_unsent() {
    let path = std::env::temp_dir().join(format!("beelance-bounds-{}", std::process::id()));
    let path: &'static str = Box::leak(path.to_str().unwrap().into());
    let reactor: &'static Reactor = Box::leak(Box::new(Reactor::new(8, 1).unwrap()));
    for (bounds, expected) in [
        (Sockets { send: None, receive: None, unsent: Some(16_384) }, 16_384),
        (Sockets { send: Some(10_000), receive: Some(12_000), unsent: Some(16_384) }, 20_000),
    ] {
        let how = Bind { only_v6: false, mode: 0o600, bounds };
        let listener = Listener::bind(reactor, Endpoint::Unix(path), &how).unwrap();
        let there = Stream::connect(reactor, Endpoint::Unix(path), &bounds).unwrap();
        assert!(matches!(there.connected(), Some(Ok(()))));
        let (here, peer) = listener.accept().unwrap().unwrap();
        assert_eq!((peer, here.local_address()), (None, None));
        assert_eq!((unix_bound(&here), unix_bound(&there)), (expected, expected));
        drop(listener);
        assert!(Stream::connect(reactor, Endpoint::Unix(path), &bounds).is_err());
    }
    assert_eq!(reactor.free_sources(), 8);
}
