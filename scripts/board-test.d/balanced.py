"""A balanced site on the board: beelance, two backends beside it, a third one far away; and what is asked of them."""

import re
import subprocess

from common import Failed

TEXT = """\
listen.web              = 0.0.0.0:80
backend.one             = 127.0.0.1:8001
backend.two             = 127.0.0.1:8002
backend.far             = 10.0.2.2:@FAR@
backend.far.pool        = far
route.far.path          = /far/*
route.far.pool          = far
pool.*.check.uri        = /healthz
pool.*.check.inter      = 200ms
pool.far.check.timeout  = 1s
pool.far.check.fall     = 2
pool.*.retry-on         = conn-failure,empty-response
pool.default.cookie     = SRV
user                    = beelance
group                   = beelance
chroot                  = /var/empty
"""
SERVICE = "/etc/init.d/S50beelance"


class Site:
    """The board that it is on, and the words in which a check speaks to it."""

    def __init__(self, board, far, config):
        self.board, self.far, self.config, self.backends = board, far, config, {}

    def set_up(self):
        """Takes the tools from their disk, starts the backends, writes the configuration, and starts anew."""
        run = self.board.run
        run("disk=$(grep -lx tools /sys/block/vd*/serial | cut -d/ -f4) && tar -xf /dev/$disk -C /tmp")
        self.start_backend("one")
        self.start_backend("two")
        for number, line in enumerate(TEXT.replace("@FAR@", str(self.far.port)).splitlines()):
            run(f"echo '{line}' {'>>' if number else '>'}{self.config}")
        self.restart()

    def start_backend(self, name):
        port = {"one": 8001, "two": 8002}[name]
        self.backends[name] = self.board.run(f"/tmp/server {port} & echo $!")
        self.board.until(f"/tmp/client fresh {port} 1", f"the backend {name} serves")

    def kill_backend(self, name):
        self.board.run(f"kill -9 {self.backends[name]}")

    def pid(self):
        return int(self.board.run("cat /run/beelance.pid"))

    def pages_kb(self, kind):
        """Resident memory, by a walk of the page tables: /proc/PID/status lags by up to 64 pages for each thread."""
        return int(self.board.run(f"sed -n 's/^{kind}:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/{self.pid()}/smaps_rollup"))

    def available_kb(self):
        return int(self.board.run("sed -n 's/^MemAvailable: *\\([0-9]*\\) .*/\\1/p' /proc/meminfo"))

    def restart(self):
        self.board.run(f"{SERVICE} restart")
        self.board.until("/tmp/client fresh 80 1", "it serves")

    def total_kb(self):
        return int(self.board.run("sed -n 's/^MemTotal: *\\([0-9]*\\) .*/\\1/p' /proc/meminfo"))

    def descriptors(self):
        return int(self.board.run(f"ls /proc/{self.pid()}/fd | wc -l"))

    def logged(self, pattern):
        """How many lines of the log match."""
        return int(self.board.try_run(f"logread | grep -c '{pattern}'")[1])

    def wait_for_log(self, pattern, before):
        """Waits until more lines match than before."""
        self.board.until(f"[ $(logread | grep -c '{pattern}') -gt {before} ]", f"a line about {pattern!r}")

    def state_changes(self, server, state, what):
        """Does `what`, and waits until the server is in that state by the log."""
        pattern = f"Server {server} is {state}"
        before = self.logged(pattern)
        what()
        self.wait_for_log(pattern, before)

    def curl(self, path="/", *options):
        """What curl, on this machine, says of the board: status, header fields, body."""
        command = ["curl", "-sS", "-i", "-m", "90", *options, f"http://127.0.0.1:{self.board.ports[80]}{path}"]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        found = re.match(r"HTTP/1\.1 (\d+) .*?\r?\n(.*?)\r?\n\r?\n(.*)", ended.stdout, re.DOTALL)
        if ended.returncode or not found:
            raise Failed(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr}{ended.stdout[:500]}")
        return int(found.group(1)), found.group(2), found.group(3)
