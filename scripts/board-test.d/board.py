"""One emulated board that runs: its serial console as a shell, its monitor, its port 80."""

import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

import image
import machine
from common import Failed, end

# For whatever is awaited. The machine may be busy with other things: this is no measurement.
PATIENCE_S = 300


class Board:
    """Boots; as a context it ends with it. What the console says goes to `log`."""

    def __init__(self, log, disks, ports=(80,), append="", machine_options="", memory_mb=machine.MEMORY_MB):
        self.log, self.said, self.changed, self.commands = log, "", threading.Condition(), 0
        self.folder = tempfile.TemporaryDirectory(prefix="board-")
        monitor = pathlib.Path(self.folder.name) / "monitor"
        words = machine.command(image.kernel(), image.INITRD, disks, append, [("127.0.0.1:0", port) for port in ports],
                                memory_mb, "virt" + machine_options)
        # A nanosecond an instruction: the board's clock then runs as fast as it works, however busy this machine is.
        words += ["-icount", "shift=0", "-rtc", "base=1970-01-01,clock=vm", "-serial", "stdio",
                  "-qmp", f"unix:{monitor},server=on,wait=off"]
        self.started = time.monotonic()
        try:
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except FileNotFoundError:
            raise Failed("qemu-system-arm is missing: scripts/setup installs it") from None
        threading.Thread(target=self._listen, daemon=True).start()
        self.monitor = Monitor(monitor, self.process)
        found = re.findall(r"TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+\S+\s+(\d+)", self.monitor.human("info usernet"))
        self.ports = {int(inside): int(here) for here, inside in found}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        self.folder.cleanup()

    def _listen(self):
        with open(self.log, "wb") as log:
            while piece := os.read(self.process.stdout.fileno(), 4096):
                log.write(piece)
                log.flush()
                with self.changed:
                    self.said += piece.decode(errors="replace").replace("\r", "")
                    self.changed.notify_all()
        with self.changed:
            self.said += "\n(qemu has ended)\n"
            self.changed.notify_all()

    def wait_for(self, pattern, since=0):
        """Waits until the console has said something that matches; the match."""
        found = None

        def is_there():
            nonlocal found
            found = re.compile(pattern).search(self.said, since)
            return found or self.said.endswith("(qemu has ended)\n")

        with self.changed:
            self.changed.wait_for(is_there, PATIENCE_S)
        if not found:
            raise Failed(f"the board does not say {pattern!r}; it said last:\n{self.said[-3000:]}")
        return found

    def open_shell(self):
        """Presses Enter when asked to, and starts a shell that is not for people: it neither prompts nor edits lines."""
        self.wait_for("Please press Enter")
        self.type("\n")
        self.wait_for("# ")
        # One whose output goes elsewhere is none. What is typed before it reads, the other one would take.
        self.type("stty -echo; exec sh -c \"echo it reads from here | tr ' ' -; sh 2>&1 | cat\"\n")
        self.wait_for("it-reads-from-here")
        self.run("true")

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def try_run(self, command):
        """Runs a command in the board; its exit code and what it said."""
        self.commands += 1
        since, mark = len(self.said), f"command {self.commands} has ended with"
        # In two parts, so that an echo of the line is not the answer.
        self.type(f"{{ {command}\n}} 2>&1; echo \"command\" {self.commands} has ended with $?.\n")
        found = self.wait_for(rf"{mark} (\d+)\.\n", since)
        return int(found.group(1)), self.said[since:found.start()].strip("\n")

    def run(self, command):
        """Runs a command that must succeed; what it said."""
        status, said = self.try_run(command)
        if status:
            raise Failed(f"in the board, {command!r} ended with {status}:\n{said}")
        return said

    def until(self, command, what):
        """Runs a command until it succeeds; what it said."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status, said = self.try_run(command)
            if not status:
                return said
            if time.monotonic() > deadline:
                raise Failed(f"{what}: it is not so after {PATIENCE_S} s; {command!r}:\n{said}")
            self.run("usleep 100000")

    def wait_for_end(self):
        """Waits until the board has powered off or was reset."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failed("the board is still running") from None


class Monitor:
    """qemu's, in its own protocol."""

    def __init__(self, path, process):
        deadline = time.monotonic() + PATIENCE_S
        self.connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.connection.connect(str(path))
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"qemu does not start:\n{process.stdout.read().decode(errors='replace')}") from None
                time.sleep(0.01)
        self.answers = self.connection.makefile("r")
        self.answers.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.connection.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        for line in self.answers:
            answer = json.loads(line)
            if "error" in answer:
                raise Failed(f"qemu refuses {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise Failed("qemu has ended")

    def human(self, command):
        return self.ask("human-monitor-command", **{"command-line": command})
