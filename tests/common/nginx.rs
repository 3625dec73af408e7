//! A real nginx that works 20 ms on each request and refuses more than 20 at once.

use super::port::Port;
use super::process::temporary;
use super::{DEADLINE, eventually, tool};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// Requests it takes at once; what is beyond is answered with 503.
pub const LIMIT: usize = 20;

/// A running nginx; killed when dropped.
///
/// `/` is slow (20 ms) and limited, `/slow` slower (1 s) and limited as well, `/file/NAME` are files, `/upload` takes bodies, `/healthz` is always well,
/// `/who` tells whom a PROXY header names, `/seen/NAME?cc=VALUE` what was said of the request, with that Cache-Control.
pub struct Nginx {
    child: Child,
    folder: PathBuf,
    pub address: SocketAddr,
    _port: Port,
}

impl Nginx {
    /// Starts one that answers `/` with `name`; its files are what [`Self::file`] writes.
    #[track_caller]
    pub fn start(name: &str) -> Self {
        Self::listening(name, "")
    }

    /// The same, requiring a PROXY header on every connection.
    #[track_caller]
    pub fn behind_proxy(name: &str) -> Self {
        Self::listening(name, " proxy_protocol")
    }

    #[track_caller]
    fn listening(name: &str, option: &str) -> Self {
        let folder = temporary(&format!("nginx-{name}"));
        std::fs::create_dir_all(folder.join("file")).unwrap();
        let port = Port::take();
        let address = port.address;
        std::fs::write(folder.join("nginx.conf"), config(name, &folder, &address.to_string(), option)).unwrap();
        let child = tool("nginx")
            .arg("-p")
            .arg(&folder)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut nginx = Self { child, folder, address, _port: port };
        eventually("nginx listens", || {
            if nginx.child.try_wait().unwrap().is_some() {
                let log = std::fs::read_to_string(nginx.folder.join("error.log")).unwrap_or_default();
                panic!("nginx ended (nginx-light and libnginx-mod-http-echo must be installed): {log}");
            }
            TcpStream::connect_timeout(&address, DEADLINE).ok()
        });
        nginx
    }

    /// Where it listens beside its port, as a file names it.
    pub fn socket(&self) -> String {
        format!("unix:{}/socket", self.folder.display())
    }

    /// Writes `/file/NAME`.
    pub fn file(&self, name: &str, content: &[u8]) {
        std::fs::write(self.folder.join("file").join(name), content).unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// One process, no daemon: killing it leaves nothing behind.
fn config(name: &str, folder: &Path, address: &str, option: &str) -> String {
    let folder = folder.display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_rlimit_nofile 4096;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_max_body_size 64m;
    client_body_buffer_size 2m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    limit_conn_zone $server_name zone=all:1m;
    limit_conn_status 503;
    limit_conn_log_level info;
    server {{
        listen {address}{option} backlog=1024;
        listen unix:{folder}/socket{option} backlog=1024;
        server_name {name};
        location / {{
            limit_conn all {LIMIT};
            echo_sleep 0.02;
            echo {name};
        }}
        location /slow {{
            limit_conn all {LIMIT};
            echo_sleep 1;
            echo {name};
        }}
        location /file/ {{ root {folder}; }}
        location /upload {{
            echo_read_request_body;
            echo_request_body;
        }}
        location = /healthz {{ return 200 well; }}
        location /seen/ {{
            add_header Cache-Control $arg_cc;
            return 200 '$http_x_request_id|$http_x_forwarded_for|$http_x_forwarded_proto|$host';
        }}
        location = /who {{ return 200 $proxy_protocol_addr,$proxy_protocol_port; }}
    }}
}}
"
    )
}
