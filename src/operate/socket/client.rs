//! One client of the runtime socket: its lines, taken apart, and the answers.

use super::serve::{Desk, Room};
use super::{Call, ERROR, Next, Session, Severity, find, unknown};
use crate::limits::{CLI_IDLE_MS, CLI_OUTPUT};
use crate::operate::text::Text;
use crate::runtime::{Received, Seat, Stream};

/// Words of a command at most.
const WORDS: usize = 32;
/// Bytes of a piece of an answer.
const PIECE: usize = 2048;

/// The client left, takes nothing, or says nothing.
struct Gone;

/// Serves it until it leaves.
pub(super) async fn serve(desk: &'static Desk, room: Room, seat: Seat, stream: Stream) {
    let session = Session {
        level: desk.level,
        prompt: false,
        severity: Severity::None,
        idle_ms: CLI_IDLE_MS,
        explained: None,
        log_place: 0,
    };
    let mut client = Client { desk, room, seat, stream, session, filled: 0 };
    let _ = client.lines().await;
    client.stream.finish_sending();
    desk.leave(client.room);
}

struct Client {
    desk: &'static Desk,
    room: Room,
    seat: Seat,
    stream: Stream,
    session: Session,
    /// Bytes of input that are not done with.
    filled: usize,
}

impl Client {
    async fn lines(&mut self) -> Result<(), Gone> {
        loop {
            let end = loop {
                let filled = &self.room.input[..self.filled];
                if let Some(end) = filled.iter().position(|&byte| byte == b'\n') {
                    break end;
                }
                if self.filled == self.room.input.len() || !self.receive().await? {
                    return Ok(());
                }
            };
            // Taken out, so that a command can be told while its words lie here.
            let input = std::mem::take(&mut self.room.input);
            let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
            let result = match std::str::from_utf8(line) {
                Ok(line) => self.line(line).await,
                Err(_) => self.line("?").await,
            };
            self.room.input = input;
            self.room.input.copy_within(end + 1..self.filled, 0);
            self.filled -= end + 1;
            if !result? || !self.stays() {
                return Ok(());
            }
            // Others come between the lines of who sends them without end.
            self.seat.next_turn().await;
        }
    }

    /// Whether it has another line: it asked to stay, or sent more than one, all of which HAProxy answers, too.
    fn stays(&mut self) -> bool {
        if !self.session.prompt
            && self.filled == 0
            && let Ok(Received::Bytes(count)) = self.stream.receive(&mut self.room.input)
        {
            self.filled = count;
        }
        self.session.prompt || self.filled > 0
    }

    /// Whether something came.
    async fn receive(&mut self) -> Result<bool, Gone> {
        let deadline_ms = self.desk.proxy.reactor.now_ms() + self.session.idle_ms;
        loop {
            match self.stream.receive(&mut self.room.input[self.filled..]) {
                Ok(Received::Bytes(count)) => {
                    self.filled += count;
                    return Ok(true);
                }
                Ok(Received::End) => return Ok(false),
                Err(_) => return Err(Gone),
                Ok(Received::Dry) => {
                    let ready = || self.stream.readable().then_some(());
                    self.seat.until(deadline_ms, ready).await.map_err(|_| Gone)?;
                }
            }
        }
    }

    /// Does what a line says; whether the client stays.
    async fn line(&mut self, line: &str) -> Result<bool, Gone> {
        for command in line.split(';') {
            let mut words = heapless::Vec::<&str, WORDS>::new();
            for word in command.split([' ', '\t']).filter(|word| !word.is_empty()) {
                // What is too much is wrong anyhow.
                let _ = words.push(word);
            }
            if words.is_empty() && self.session.prompt {
                self.end().await?;
                continue;
            }
            if !self.command(&words).await? {
                return Ok(false);
            }
            self.end().await?;
        }
        self.flush().await?;
        Ok(true)
    }

    /// Ends the answer to a command.
    async fn end(&mut self) -> Result<(), Gone> {
        let end: &[u8] = if self.session.prompt { b"\n> " } else { b"\n" };
        self.make_room().await?;
        self.room.output.extend_from_slice(end);
        Ok(())
    }

    async fn command(&mut self, words: &[&str]) -> Result<bool, Gone> {
        let (run, level, words) = match find(words) {
            Some((command, rest)) => (command.run, command.level, rest),
            None => (unknown as super::Run, super::Level::User, words),
        };
        let began_ms = self.desk.proxy.reactor.now_ms();
        let mut step = 0;
        loop {
            self.make_room().await?;
            let before = self.room.output.len();
            let next = {
                let out = &mut Text::new(&mut self.room.output, PIECE);
                let (service, proxy) = (self.desk.service, self.desk.proxy);
                let mut call = Call { service, proxy, session: &mut self.session, words, step, began_ms };
                if level > call.session.level { Next::Error("Permission denied\n") } else { run(&mut call, out) }
            };
            match next {
                Next::More => step += 1,
                Next::Skip(to) => {
                    step = to;
                    if self.room.output.len() == before {
                        // It looked at many and found nobody: others come between.
                        self.seat.next_turn().await;
                    }
                }
                Next::Done => return Ok(true),
                Next::Later(at_ms) => {
                    self.flush().await?;
                    // Who left waits for nothing.
                    let gone = || self.stream.broken().then_some(());
                    if self.seat.until(at_ms, gone).await.is_ok() {
                        return Err(Gone);
                    }
                }
                Next::Told(told) => {
                    self.flush().await?;
                    let told = told.await;
                    self.tell(&told).await?;
                    return Ok(true);
                }
                Next::Error(message) => {
                    self.room.output.truncate(before);
                    let out = &mut Text::new(&mut self.room.output, PIECE);
                    self.session.severity.begin(ERROR, out);
                    out.bytes(message.as_bytes());
                    return Ok(true);
                }
                Next::Quit => {
                    self.flush().await?;
                    return Ok(false);
                }
            }
        }
    }

    /// Says whether it went well, and then what is known of it, line by line.
    async fn tell(&mut self, told: &Result<String, String>) -> Result<(), Gone> {
        let (first, rest) = match told {
            Ok(rest) => ("Success=1\n--", rest),
            Err(rest) => ("Success=0\n--", rest),
        };
        if told.is_err() {
            self.session.severity.begin(ERROR, &mut Text::new(&mut self.room.output, PIECE));
        }
        // An empty line would be the end of the answer.
        for line in std::iter::once(first).chain(rest.lines().filter(|line| !line.is_empty())) {
            let out = &mut Text::new(&mut self.room.output, PIECE - 1);
            out.bytes(line.as_bytes());
            self.room.output.push(b'\n');
            self.make_room().await?;
        }
        Ok(())
    }

    /// Sends what there is where another piece might not fit. A dump of everything is long: others come between.
    async fn make_room(&mut self) -> Result<(), Gone> {
        if self.room.output.len() + PIECE > CLI_OUTPUT {
            self.flush().await?;
            self.seat.next_turn().await;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        let deadline_ms = self.desk.proxy.reactor.now_ms() + CLI_IDLE_MS;
        let mut rest = &self.room.output[..];
        while !rest.is_empty() {
            match self.seat.until(deadline_ms, || self.stream.send(rest).transpose()).await {
                Ok(Ok(count)) => rest = &rest[count..],
                Ok(Err(_)) | Err(_) => return Err(Gone),
            }
        }
        self.room.output.clear();
        Ok(())
    }
}
