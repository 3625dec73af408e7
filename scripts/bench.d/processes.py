"""Starts the backends and the systems under measurement; whatever is started ends with the `stack` it was given."""

import contextlib
import http.client
import os
import pathlib
import socket
import subprocess
import time

from workloads import SMALL, WORKLOADS, body

CONFIGS = pathlib.Path(__file__).resolve().parent
# A proxy has this processor to itself, and no other; the client and the backends have the rest. None where there is one only.
OWN = max(os.sched_getaffinity(0)) if len(os.sched_getaffinity(0)) > 1 else None
START_S = 10
TRIES = 5


class Failed(Exception):
    """Nothing can be measured, or what was measured is worth nothing."""


def leave_a_processor():
    """Leaves the proxies' processor to them: for this process and all that it starts."""
    if OWN is not None:
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {OWN})


class System:
    """A running proxy, on its own processor."""

    def __init__(self, name, process, port):
        self.name, self.process, self.port = name, process, port
        if OWN is not None:
            os.sched_setaffinity(process.pid, {OWN})

    def file(self, name):
        """The text of a file about the process."""
        if self.process.poll() is not None:
            raise Failed(f"{self.name} has ended")
        return pathlib.Path(f"/proc/{self.process.pid}/{name}").read_text()

    def memory_kb(self, key):
        """VmRSS or VmHWM."""
        return next(int(line.split()[1]) for line in self.file("status").splitlines() if line.startswith(key + ":"))

    def cpu(self):
        """CPU time of all threads so far: the total in nanoseconds; user and system time in ticks."""
        tasks = os.listdir(f"/proc/{self.process.pid}/task") if self.process.poll() is None else []
        total_ns = sum(int(self.file(f"task/{task}/schedstat").split()[0]) for task in tasks)
        # The name in parentheses may hold blanks; behind it comes field 3.
        fields = self.file("stat").rpartition(")")[2].split()
        return total_ns, int(fields[11]), int(fields[12])


def write_files(folder):
    """What the backends serve."""
    files = folder / "files"
    files.mkdir()
    for workload in WORKLOADS:
        if workload.body != len(SMALL):
            (files / workload.path[1:]).write_bytes(body(workload.body))


def start_backend(stack, folder, number):
    """One nginx; its port."""
    return nginx(stack, folder / f"backend{number}", "backend.conf", {})[1]


def start(stack, name, folder, tools, backends):
    """Starts one of the systems; `tools` is where beelance and the floor are."""
    folder = folder / name
    folder.mkdir()
    addresses = {f"BACKEND_{number}": f"127.0.0.1:{port}" for number, port in enumerate(backends, 1)}
    if name == "nginx":
        return System(name, *nginx(stack, folder / "prefix", "nginx.conf", addresses))
    log = folder / "log"
    if name in ("haproxy", "splice"):
        listener, port = bound(stack)
        environment = {**os.environ, "LISTEN_FD": str(listener.fileno()), **addresses}
        environment |= {"SPLICE": "yes"} if name == "splice" else {}
        process = spawn(stack, ["haproxy", "-db", "-f", CONFIGS / "haproxy.cfg"], log, environment, listener)
    elif name == "floor":
        process = spawn(stack, [tools / "floor", *map(str, backends)], log, os.environ)
        port = announced(process, log)
    else:
        config = fill("beelance.conf", addresses, folder)
        process = spawn(stack, [tools / "beelance", "run", "-c", config], log, os.environ)
        port = announced(process, log)
    wait_until_right(process, port, log)
    return System(name, process, port)


def nginx(stack, folder, template, words):
    """An nginx and its port."""
    folder.mkdir()
    log = folder / "error.log"
    # nginx without a master cannot inherit a socket: the port is free when asked for and may be taken when nginx comes.
    for _ in range(TRIES):
        listener, port = bound(stack)
        listener.close()
        config = fill(template, {"ADDRESS": f"127.0.0.1:{port}", "FOLDER": folder, **words}, folder)
        process = spawn(stack, ["nginx", "-p", folder, "-c", config, "-e", log], folder / "output", os.environ)
        with contextlib.suppress(Failed):
            wait_until_right(process, port, log)
            return process, port
        end(process)
    raise Failed(f"nginx does not start:\n{(folder / 'output').read_text()}{log.read_text()}")


def bound(stack):
    """A socket bound to a free port, to be handed over, and its port."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    return listener, listener.getsockname()[1]


def announced(process, log):
    """The port of the first line `listening on ADDRESS:PORT`."""
    deadline = time.monotonic() + START_S
    while True:
        for line in log.read_text().splitlines():
            if line.startswith("listening on "):
                return int(line.split()[2].rpartition(":")[2])
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"{process.args[0]} does not start:\n{log.read_text()}")
        time.sleep(0.01)


def fill(name, values, folder):
    """Writes the configuration `name` with its @WORDS@ replaced; its path."""
    text = (CONFIGS / name).read_text()
    for word, value in values.items():
        text = text.replace(f"@{word}@", str(value))
    path = folder / name
    path.write_text(text)
    return path


def spawn(stack, command, log, environment, listener=None):
    """Starts a process that ends with `stack`. What it says goes to `log`."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment,
            pass_fds=[listener.fileno()] if listener else [])
    stack.callback(end, process)
    if listener:
        # From now on it is the process that holds the port; if it dies, connecting fails instead of hanging.
        listener.close()
    return process


def end(process):
    """Ends what was started here."""
    process.kill()
    process.wait()


def ask(port, workload):
    """Asks once what the client will ask, and compares the body byte for byte."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST" if workload.post else "GET", workload.path, b"x" * workload.post or None,
                           {"Connection": "close"} if workload.closing else {})
        answer = connection.getresponse()
        chunked = answer.getheader("Transfer-Encoding") == "chunked"
        return answer.status == 200 and answer.read() == body(workload.body) and chunked == (workload.name == "chunked")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_right(process, port, log):
    """Waits until the process answers as it should."""
    deadline = time.monotonic() + START_S
    while not ask(port, WORKLOADS[0]):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"{process.args[0]} does not start:\n{log.read_text() if log.exists() else ''}")
        time.sleep(0.01)
