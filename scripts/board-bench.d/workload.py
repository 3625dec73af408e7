"""The client and both backends of the user-mode measurement in one thread, so that what the proxy finds when it wakes
does not depend on the machine: nothing moves before the proxy sleeps again, and a burst is sent while it cannot run.
"""

import contextlib
import os
import select
import socket
import time

from common import Failed

WAIT_S = 20
SLEEPS_S = 0.0001


class Workload:
    """Two listening backends, and requests through a proxy before them."""

    def __init__(self, stack):
        self.stack = stack
        self.poll = select.epoll()
        stack.callback(self.poll.close)
        self.listeners = {}
        self.served = {}
        for _ in range(2):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
            self.listeners[listener.fileno()] = listener
            self.poll.register(listener, select.EPOLLIN)
        self.addresses = ["127.0.0.1:%d" % listener.getsockname()[1] for listener in self.listeners.values()]

    def target(self, pid, address):
        """Sends to this proxy from now on."""
        self.pid = pid
        host, _, port = address.rpartition(":")
        self.address = host, int(port)

    def connect(self):
        connection = socket.create_connection(self.address, timeout=WAIT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def exchange(self, connections, request, response, body, closing=False):
        """One request on each connection, all answered once all have come; the last answer's head."""
        for connection in connections:
            connection.sendall(request)
        waiting = self.requests(len(connections))
        self.settle()
        for backend, head in waiting:
            backend.sendall(response)
            if b"\r\nConnection: close\r\n" in head:
                self.forget(backend)
        for connection in connections:
            head = receive(connection, body, closing)
        self.settle()
        return head

    def requests(self, count):
        """The backends' connections on which `count` requests have come, and the requests."""
        come = []
        heads = {}
        deadline = time.monotonic() + WAIT_S
        while len(come) < count:
            for number, _events in self.poll.poll(1):
                if number in self.listeners:
                    connection, _peer = self.listeners[number].accept()
                    connection.settimeout(WAIT_S)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.served[connection.fileno()] = connection
                    self.poll.register(connection, select.EPOLLIN)
                    continue
                received = self.served[number].recv(65536)
                if not received:
                    self.forget(self.served[number])
                    continue
                heads[number] = heads.get(number, b"") + received
                if heads[number].endswith(b"\r\n\r\n"):
                    come.append((self.served[number], heads.pop(number)))
            if time.monotonic() > deadline:
                raise Failed(f"{len(come)} of {count} requests came through the proxy")
        return come

    def settle(self):
        """Waits until the proxy sleeps."""
        deadline = time.monotonic() + WAIT_S
        while state_of(self.pid) != "S":
            time.sleep(SLEEPS_S)
            if time.monotonic() > deadline:
                raise Failed("the proxy does not go to sleep")

    def forget(self, backend):
        self.poll.unregister(backend)
        del self.served[backend.fileno()]
        backend.close()


def receive(connection, body, closing):
    """The head of one right answer; to its end when the connection closes with it."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
        head, separator, rest = received.partition(b"\r\n\r\n")
        if not closing and separator and len(rest) >= len(body):
            break
    head, _separator, rest = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or rest != body:
        raise Failed(f"not the right answer: {received[:500]!r}")
    return head


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(") ")[2][0]
    except OSError:
        raise Failed("the proxy has ended") from None


@contextlib.contextmanager
def on_one_processor():
    """Until the end, this process and those that it starts share one processor, and none takes its turn from another
    because it woke: the kernel's batch policy. No privilege is needed, other work on the machine does no harm.
    """
    processors, policy = os.sched_getaffinity(0), os.sched_getscheduler(0)
    os.sched_setaffinity(0, {min(processors)})
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, os.sched_getparam(0))
        os.sched_setaffinity(0, processors)
