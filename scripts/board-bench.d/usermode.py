"""User instructions and system calls of a request, counted by a plugin of qemu-arm: the same on any machine."""

import contextlib
import mmap
import os
import struct
import subprocess
import time

from common import BINARY, HERE, OUT, Failed, end, is_newer, progress, run
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

    def __init__(self, stack, path):
        path.write_bytes(bytes(8 * self.WORDS))
        file = stack.enter_context(open(path, "rb"))
        self.map = stack.enter_context(mmap.mmap(file.fileno(), 8 * self.WORDS, prot=mmap.PROT_READ))

    def read(self):
        return struct.unpack(f"<{self.WORDS}Q", self.map[:])


def measure(binary=BINARY, rows=ROWS):
    """Figures by row: instructions, calls, calls by name."""
    if not binary.exists():
        raise Failed(f"{binary} is not there: scripts/build-arm builds it")
    plugin = build_plugin()
    found = {}
    for row in rows:
        with contextlib.ExitStack() as stack:
            stack.enter_context(on_one_processor())
            found[row.name] = measure_row(stack, plugin, binary, row)
        figures = found[row.name]
        progress(f"{row.title}: {figures['instructions']:.1f} instructions, {figures['calls']:.2f} system calls")
    return found


def build_plugin():
    source, plugin = HERE / "counting.c", OUT / "counting.so"
    OUT.mkdir(parents=True, exist_ok=True)
    if not is_newer(plugin, source):
        run("gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", plugin, source)
    return plugin


def measure_row(stack, plugin, binary, row):
    workload = Workload(stack)
    counts = Counts(stack, OUT / "counts")
    process, address = start(stack, plugin, binary, workload.addresses, row)
    workload.target(process.pid, address)
    requester = Requester(workload, row)
    requester.requests(WARM_UP)
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


def start(stack, plugin, binary, backends, row):
    """Starts beelance under qemu-arm; the process and where it listens."""
    config = OUT / "user.conf"
    text = (HERE / "conf" / ("user-logged.conf" if row.logged else "user.conf")).read_text()
    config.write_text(text.replace("@BACKEND_1@", backends[0]).replace("@BACKEND_2@", backends[1]))
    log = OUT / "user.log"
    command = ["qemu-arm", "-cpu", "cortex-a7", "-plugin", f"{plugin},counts={OUT / 'counts'}",
               str(binary), "run", "-c", str(config)]
    # The environment lies on the guest's stack and moves it: always the same one.
    environment = {"PATH": os.environ["PATH"]}
    errors = stack.enter_context(open(OUT / "user-errors.log", "wb"))
    with open(log, "wb") as output:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                       env=environment)
        except FileNotFoundError:
            raise Failed("qemu-arm is missing: scripts/setup installs it (package qemu-user)") from None
    stack.callback(end, process)
    deadline = time.monotonic() + START_S
    while True:
        words = [line.split() for line in log.read_text().splitlines() if line.startswith("listening on ")]
        if words:
            return process, words[0][2]
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed("beelance does not start under qemu-arm with the counting plugin; it takes a qemu-arm with "
                         f"version 1 of the plugin interface (4.2 to 8.2), this is {version()}:\n"
                         + (OUT / "user-errors.log").read_text())
        time.sleep(0.01)


def version():
    return run("qemu-arm", "--version").partition("\n")[0]
