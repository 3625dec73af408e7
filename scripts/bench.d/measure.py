"""One measurement of one system: the client runs against it, and what the kernel accounts to it is read."""

import contextlib
import json
import select
import signal
import subprocess
import time

from processes import Failed, ask
from workloads import WORKLOADS

# What a client may need beyond its time.
GRACE_S = 20
# From the last idle connection to the reading of the memory.
SETTLE_S = 1


class Client:
    """A running client; it talks in lines."""

    def __init__(self, stack, load, system, workload, *words):
        more = (["close"] if workload.closing else []) + (["post", str(workload.post)] if workload.post else [])
        command = [load, str(system.port), workload.path, str(workload.body), *map(str, words), *more]
        self.who = f"{system.name}, {workload.title}"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(self.end)

    def line(self, seconds):
        """The next line; the client fails if it takes longer or reports an error."""
        if not select.select([self.process.stdout], [], [], seconds + GRACE_S)[0]:
            raise Failed(f"{self.who}: the client does not end")
        line = self.process.stdout.readline().strip()
        if not line or "error" in line:
            raise Failed(f"{self.who}: {line or 'the client has ended'}")
        return line

    def go(self):
        """Lets the part begin that counts."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        """Ends it, and with it its connections."""
        self.process.kill()
        self.process.communicate()


def run(load, system, workload, mode, seconds, *more):
    """Runs the client; what it counted and what it cost the system."""
    check(system, workload)
    with contextlib.ExitStack() as stack:
        client = Client(stack, load, system, workload, mode, workload.connections, seconds, *more)
        client.line(0)
        before = system.cpu()
        client.go()
        counted = json.loads(client.line(seconds))
        after = system.cpu()
    check(system, workload)
    return {**counted, **cost(before, after, counted["requests"]), "per_s": counted["requests"] / counted["seconds"]}


def cost(before, after, requests):
    """CPU time of each request. The total is exact; the kernel splits it by samples, one each tick."""
    total_us = (after[0] - before[0]) / 1000 / requests
    user, system = after[1] - before[1], after[2] - before[2]
    share = user / max(1, user + system)
    return {"cpu_us": total_us, "user_us": total_us * share, "system_us": total_us * (1 - share)}


def check(system, workload):
    """Fails unless the right answer comes."""
    if not ask(system.port, workload):
        raise Failed(f"wrong answer from {system.name} ({workload.title})")


def calls(load, system, workload, seconds, folder):
    """System calls of each request by name, under strace; None where strace is not allowed to."""
    counts = folder / f"{system.name}.calls"
    command = ["strace", "-f", "-c", "-U", "calls,name", "-o", counts, "-p", str(system.process.pid)]
    with contextlib.ExitStack() as stack:
        client = Client(stack, load, system, workload, "closed", workload.connections, seconds)
        client.line(0)
        strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            if "attached" not in strace.stderr.readline():
                return None
            client.go()
            requests = json.loads(client.line(seconds))["requests"]
        finally:
            strace.send_signal(signal.SIGINT)
            strace.communicate(timeout=GRACE_S)
    rows = [line.split() for line in counts.read_text().splitlines()]
    counted = {words[1]: int(words[0]) / requests for words in rows if len(words) == 2 and words[0].isdigit()}
    counted.pop("total", None)
    return counted


def idle(load, system, connections):
    """Resident memory in kB before and with idle connections."""
    workload = WORKLOADS[0]
    check(system, workload)
    before_kb = system.memory_kb("VmRSS")
    with contextlib.ExitStack() as stack:
        client = Client(stack, load, system, workload, "idle", connections)
        client.line(0)
        time.sleep(SETTLE_S)
        with_kb = system.memory_kb("VmRSS")
        client.process.stdin.close()
        # It looks whether all connections are still open.
        client.line(0)
        client.process.stdin = None
    return {"before_kb": before_kb, "with_kb": with_kb}
