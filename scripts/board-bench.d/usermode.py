"""User instructions and system calls of a request, counted by a plugin of qemu-arm: the same on any machine."""

import contextlib
import mmap
import os
import socket
import struct
import subprocess
import time

import packages
import peers
from common import Failed, end, is_newer, progress, run
from places import HERE, OUT
from workload import Workload, on_one_processor

WARM_UP = 192
ROUNDS = 7
REQUESTS = 480
START_S = 20
CALLS = {
    3: "read", 4: "write", 6: "close", 45: "brk", 54: "ioctl", 78: "gettimeofday", 91: "munmap", 125: "mprotect",
    142: "select", 145: "readv", 146: "writev", 168: "poll", 192: "mmap2", 220: "madvise", 221: "fcntl64",
    240: "futex", 251: "epoll_ctl", 252: "epoll_wait", 263: "clock_gettime", 281: "socket", 283: "connect",
    285: "accept", 286: "getsockname", 287: "getpeername", 289: "send", 290: "sendto", 291: "recv", 292: "recvfrom",
    293: "shutdown", 294: "setsockopt", 295: "getsockopt", 296: "sendmsg", 297: "recvmsg", 331: "pipe2",
    340: "splice", 346: "epoll_pwait", 359: "pipe2", 366: "accept4", 403: "clock_gettime",
}
SMALL = b"0123456789abcdef" * 8
LARGE = b"0123456789abcdef" * 1024


class Row:
    """One kind of request."""

    def __init__(self, name, title, connections=1, fresh=False, body=SMALL, logged=False):
        self.name, self.title, self.connections, self.fresh = name, title, connections, fresh
        self.body, self.logged = body, logged


ROWS = (
    Row("keep-alive-1", "keep-alive, 1 connection"),
    Row("keep-alive-16", "keep-alive, 16 connections in step", connections=16),
    Row("fresh", "a new connection for every request", fresh=True),
    Row("16k", "keep-alive, 1 connection, 16 kB responses", body=LARGE),
    Row("cookie-log", "keep-alive, 1 connection, affinity cookie, access log", logged=True),
)


class Counts:
    """What the plugin has counted so far."""

    WORDS = 512
    BLOCKS = 65536
    BYTES = 8 * (WORDS + 3 * BLOCKS)

    def __init__(self, stack, path):
        path.write_bytes(bytes(self.BYTES))
        file = stack.enter_context(open(path, "rb"))
        self.map = stack.enter_context(mmap.mmap(file.fileno(), self.BYTES, prot=mmap.PROT_READ))

    def read(self):
        return struct.unpack_from(f"<{self.WORDS}Q", self.map)

    def blocks(self):
        """Instructions so far by the address of the block that they are in."""
        numbers = struct.unpack_from(f"<{3 * self.BLOCKS}Q", self.map, 8 * self.WORDS)
        found = {}
        for address, length, runs in zip(numbers[::3], numbers[1::3], numbers[2::3]):
            found[address] = found.get(address, 0) + length * runs
        return found


def measure(peer=peers.BEELANCE):
    """Figures of each row: instructions, system calls, system calls by name."""
    plugin = build_plugin()
    found = {}
    for row in ROWS:
        if row.logged and peer is not peers.BEELANCE:
            continue
        with contextlib.ExitStack() as stack:
            stack.enter_context(on_one_processor())
            found[row.name] = measure_row(stack, plugin, peer, row)
        figures = found[row.name]
        progress(f"{peer.title}, {row.title}: {figures['instructions']:.0f} user instructions, "
                 f"{figures['calls']:.2f} system calls")
    return found


def build_plugin():
    source, plugin = HERE / "counting.c", OUT / "counting.so"
    OUT.mkdir(parents=True, exist_ok=True)
    if not is_newer(plugin, source):
        run("gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", plugin, source)
    return plugin


def measure_row(stack, plugin, peer, row):
    counts, requester = warmed_up(stack, plugin, peer, row)
    rounds = []
    for _ in range(ROUNDS):
        before = counts.read()
        requester.requests(REQUESTS)
        after = counts.read()
        rounds.append([(new - old) / REQUESTS for new, old in zip(after, before)])
    # What disturbs a round, such as a timer or a longer number in the log, adds to it.
    least = min(rounds)
    return {
        "instructions": least[0],
        "calls": sum(least[1:]),
        "by_call": {CALLS.get(number, f"call {number}"): count
                    for number, count in enumerate(least[1:]) if count >= 0.01},
    }


def warmed_up(stack, plugin, peer, row, program=None):
    """A proxy that has answered some requests of this row: its counts, and who sends more."""
    workload = Workload(stack)
    counts = Counts(stack, OUT / "counts")
    process, address = start(stack, plugin, peer, workload.addresses, row, program)
    workload.target(process.pid, address)
    requester = Requester(workload, row)
    requester.requests(WARM_UP)
    return counts, requester


class Requester:
    """The requests of a row, on connections that stay or not."""

    def __init__(self, workload, row):
        self.workload, self.row = workload, row
        self.response = (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(row.body)
                         + row.body)
        self.head = b"GET / HTTP/1.1\r\nHost: board\r\nUser-Agent: board-bench\r\nAccept: */*\r\n"
        self.connections = [] if row.fresh else [workload.connect() for _ in range(row.connections)]

    def requests(self, count):
        row, workload = self.row, self.workload
        for _ in range(count // row.connections):
            if not row.fresh:
                answer = workload.exchange(self.connections, self.head + b"\r\n", self.response, row.body)
                self.keep_cookie(answer)
                continue
            with workload.connect() as connection:
                workload.exchange(
                    [connection], self.head + b"Connection: close\r\n\r\n", self.response, row.body, closing=True)
            workload.settle()

    def keep_cookie(self, answer):
        """As a browser: the affinity cookie comes back with every later request."""
        for line in answer.split(b"\r\n"):
            name, _, value = line.partition(b": ")
            if name.lower() == b"set-cookie":
                self.head += b"Cookie: " + value.partition(b";")[0] + b"\r\n"


def start(stack, plugin, peer, backends, row, program):
    """Starts a proxy under qemu-arm; the process and where it listens."""
    # beelance says which port it got; the peers cannot, so theirs is one that was free just now.
    own = peer is peers.BEELANCE
    port = 0 if own else free_port()
    words, config = peer.fill({"LISTEN": f"127.0.0.1:{port}", "BACKEND_1": backends[0], "BACKEND_2": backends[1],
                               "FOLDER": str(OUT), "CONFIG": str(OUT / "user.conf")}, row.logged)
    (OUT / "user.conf").write_text(config or "")
    command = ["qemu-arm", "-cpu", "cortex-a7", "-plugin", f"{plugin},counts={OUT / 'counts'}"]
    command += [] if peer.is_static else ["-L", str(packages.peers()[0])]
    errors = OUT / "user-errors.log"
    with open(OUT / "user.log", "wb") as output, open(errors, "wb") as error_output:
        try:
            # The environment lies on the guest's stack and moves it: always the same one.
            process = subprocess.Popen([*command, program or peer.program(), *words[1:]], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=error_output, env={"PATH": os.environ["PATH"]})
        except FileNotFoundError:
            raise Failed("qemu-arm is missing: scripts/setup installs it (package qemu-user)") from None
    stack.callback(end, process)
    deadline = time.monotonic() + START_S
    while not (address := listening(OUT / "user.log") if own else answering(port)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"{peer.title} does not start under qemu-arm with the counting plugin, which takes version 1 of "
                         f"the plugin interface (qemu 4.2 to 8.2); this is {version()}:\n{errors.read_text()}")
        time.sleep(0.01)
    return process, address


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def listening(log):
    words = [line.split() for line in log.read_text().splitlines() if line.startswith("listening on ")]
    return words[0][2] if words else None


def answering(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return f"127.0.0.1:{port}"
    return None


def version():
    return run("qemu-arm", "--version").partition("\n")[0]
