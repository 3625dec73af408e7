"""A backend on this machine, which the board reaches through its network: it answers when it is told to."""

import http.server
import threading

PATIENCE_S = 300


class Far:
    """Serves until the end of its context. A request for a path that ends in "held" is held until it is let go."""

    def __init__(self):
        self.arrived, self.let_go = threading.Event(), threading.Event()
        far = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path.endswith("held"):
                    far.arrived.set()
                    far.let_go.wait(PATIENCE_S)
                body = b"from afar\n"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()
