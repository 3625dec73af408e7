//! An agent beside a backend: says one line to everybody who connects, until it is told another.

use super::port::Port;
use super::{DEADLINE, eventually};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// It lives as long as the test's process; its port is free again when it is silent.
pub struct Agent {
    port: u16,
    line: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Agent {
    pub fn saying(line: &str) -> Self {
        let port = Port::take();
        let listener = port.listener();
        let agent = Self {
            port: port.address.port(),
            line: Arc::new(Mutex::new(Some(line.to_owned()))),
            asked: Arc::default(),
        };
        let (said, asked) = (Arc::clone(&agent.line), Arc::clone(&agent.asked));
        std::thread::spawn(move || {
            let _port = port;
            for stream in listener.incoming() {
                let line = said.lock().unwrap().clone();
                if let (Ok(mut stream), Some(line)) = (stream, line) {
                    let _ = stream.write_all(line.as_bytes());
                }
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        agent
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Says this from now on, to who begins to ask.
    pub fn will_say(&self, line: &str) {
        *self.line.lock().unwrap() = Some(line.to_owned());
    }

    /// Says this from now on, and waits until it was heard; `None` is to close without a word.
    #[track_caller]
    pub fn says(&self, line: Option<&str>) {
        *self.line.lock().unwrap() = line.map(str::to_owned);
        // One may be on its way that heard the last line; the one behind it was asked later, and when the third is, what
        // the second heard has been taken.
        let before = self.asked.load(Ordering::Relaxed);
        eventually(&format!("the agent is asked within {DEADLINE:?}"), || {
            (self.asked.load(Ordering::Relaxed) >= before + 3).then_some(())
        });
    }
}
