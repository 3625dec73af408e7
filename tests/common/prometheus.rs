//! A real Prometheus that scrapes beelance, and its promtool.

use super::port::Port;
use super::process::temporary;
use super::{DEADLINE, eventually, tool};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// What `promtool check metrics` says, and whether it accepts them.
pub fn promtool(metrics: &str) -> (String, bool) {
    let mut command = tool("promtool");
    let child = command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.success())
}

/// A running Prometheus; killed when dropped.
pub struct Prometheus {
    child: Child,
    folder: PathBuf,
    port: Port,
}

impl Prometheus {
    /// One that scrapes `target` each second.
    #[track_caller]
    pub fn scraping(target: SocketAddr) -> Self {
        let (folder, port) = (temporary("prometheus"), Port::take());
        std::fs::create_dir(&folder).unwrap();
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  - job_name: beelance\n    static_configs:\n      - targets: ['{target}']\n"
        );
        std::fs::write(&config, text).unwrap();
        let child = tool("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={}", port.address))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, folder, port }
    }

    /// The value of the only series that `query` finds, once there is one.
    #[track_caller]
    pub fn value(&self, query: &str) -> f64 {
        eventually(query, || {
            let text = self.get(&format!("/api/v1/query?query={}", escaped(query)))?;
            let (_, rest) = text.split_once("\"value\":[")?;
            rest.split_once(",\"")?.1.split_once('"')?.0.parse().ok()
        })
    }

    fn get(&self, target: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.port.address, DEADLINE).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        write!(stream, "GET {target} HTTP/1.0\r\nHost: p\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() || byte == b'_' { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
