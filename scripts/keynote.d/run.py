"""One run: a database, n servers, a balancer and the users, a process each; what they counted, and whether it fits."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.request

from parts import PARAMETERS, ROOT, Failed, number

START_S = 20
# No run is so long.
LONGEST_S = 900
# What is there to be ended and removed when the whole is cut off.
started, folders = set(), set()
# Connections at once that the balancers are ready for.
CONNECTIONS = 8000


class Run:
    """Of one way to balance, so many servers, one seed. `plan` is what the users are told: a ramp or a number."""

    def __init__(self, way, servers, seed, plan, tools, values):
        self.way, self.servers, self.seed, self.plan, self.tools, self.values = way, servers, seed, plan, tools, values
        self.name = f"{way.name}-{servers}-{seed}"
        self.status = "starts"

    def measure(self):
        """Does it; the result."""
        with contextlib.ExitStack() as stack:
            folder = scratch(stack)
            shop = [self.tools["shop"]]
            common = ["--parameters", PARAMETERS]
            start = lambda name, command: Process(stack, folder / name, command)  # noqa: E731
            database = start("database", [*shop, "database", *common, "--seed", str(self.seed)])
            servers = [start(f"s{place}", [*shop, "server", *common, "--name", f"s{place}", "--seed",
                                           str(self.seed * 1000 + place), "--database", database.address()])
                       for place in range(self.servers)]
            for server in servers:
                server.ask("/ready")
            balancer = self.balancer(stack, folder, [server.address() for server in servers])
            load = start("load", [*shop, "load", *common, "--seed", str(self.seed), "--target", balancer.address(),
                                  "--servers", str(self.servers), *self.plan])
            before = balancer.cpu_s()
            steps, whole = self.follow(load)
            result = {"way": self.way.name, "servers": self.servers, "seed": self.seed, "plan": self.plan, "steps": steps,
                      "whole": whole, "balancer_cpu_s": balancer.cpu_s() - before,
                      "database": database.stats(), "each": [server.stats() for server in servers]}
            if not self.way.haproxy:
                result["report"] = self.report()
                balancer.end_well()
        self.check(result)
        return result

    def balancer(self, stack, folder, addresses):
        """Starts it."""
        if self.way.haproxy:
            return Haproxy(stack, folder / "haproxy", addresses)
        self.socket = folder / "beelance.sock"
        lines = ["listen.shop = 127.0.0.1:0", f"admin.socket = {self.socket}", f"limits.connections = {CONNECTIONS}", "limits.memory = 1g", "log.level = warn",
                 *(f"backend.s{place} = {address}" for place, address in enumerate(addresses)), *self.way.lines]
        text = "\n".join(lines) + "\n"
        for key in ("maxconn", "stick.wait"):
            text = text.replace(f"@{key}@", self.values[key])
        file = folder / "beelance.conf"
        file.write_text(text)
        binary = [ROOT / "cross" / "run", self.tools["arm"]] if self.way.arm else [self.tools["beelance"]]
        return Process(stack, folder / "beelance", [*binary, "run", "-c", file])

    def report(self):
        """What `beelance report` makes of it."""
        asked = subprocess.run([self.tools["beelance"], "report", "-s", self.socket], stdout=subprocess.PIPE, timeout=START_S,
                               text=True, check=False)
        if asked.returncode != 0:
            raise Failed(f"{self.name}: beelance report ended with {asked.returncode}")
        return asked.stdout

    def follow(self, load):
        """Reads what the users tell, step by step."""
        steps = []
        guard = threading.Timer(LONGEST_S, load.process.kill)
        guard.daemon = True
        guard.start()
        for line in load.lines():
            told = json.loads(line)
            if told.get("whole"):
                guard.cancel()
                return steps, told
            steps.append(told)
            self.status = f"{told['users']} users, {told['goal_ms'] / 1000:.1f} s"
        raise Failed(f"{self.name}: the users' process ended early\n{load.said()}")

    def check(self, result):
        """What must come out exactly, however busy the machine is."""
        whole, each = result["whole"], result["each"]
        count = lambda key: sum(server[key] for server in each)  # noqa: E731
        wrong = []
        if whole["errors"]:
            wrong.append(f"{whole['errors']} pages did not come")
        if count("misses") != whole["pairs"]:
            wrong.append(f"{count('misses')} misses, but {whole['pairs']} times somebody came to a server for the first time")
        if count("misses") != result["database"]["calls"]:
            wrong.append(f"{count('misses')} misses, but {result['database']['calls']} calls of the database")
        if count("hits") + count("misses") != whole["pages"] or count("requests") != whole["pages"]:
            wrong.append(f"{whole['pages']} pages, but {count('requests')} requests")
        # With the bounded wait a user goes to another server for once, where that has room that nobody of its own waits for.
        if self.way.bound and self.way.name != "wait" and whole["pairs"] != whole["users"]:
            wrong.append(f"{whole['pairs'] - whole['users']} of {whole['users']} users moved, and nobody told them to")
        most = max(server["most_in_flight"] for server in each)
        if self.way.limited and most > int(self.values["maxconn"]):
            wrong.append(f"{most} requests at once at a server with maxconn = {self.values['maxconn']}")
        if wrong:
            raise Failed(f"{self.name}: " + "; ".join(wrong))


class Process:
    """A process that says where it listens, and ends when `stack` does."""

    def __init__(self, stack, log, command, pass_fds=(), environment=None):
        self.log = log
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                            pass_fds=pass_fds, env=environment)
        started.add(self.process)
        stack.callback(self.end)

    def end(self):
        """Ends it now."""
        self.process.kill()
        self.process.wait()
        started.discard(self.process)
        self.process.stdin.close()
        self.process.stdout.close()

    def end_well(self):
        """Asks it to end, and insists that it does so well."""
        self.process.terminate()
        try:
            code = self.process.wait(timeout=2 * START_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.log.name} does not end") from None
        if code != 0:
            raise Failed(f"{self.log.name} ended with {code}\n{self.said()}")

    def address(self):
        """Where it listens."""
        if not hasattr(self, "found"):
            guard = threading.Timer(START_S, self.process.kill)
            guard.start()
            line = self.process.stdout.readline().decode()
            guard.cancel()
            if not line.startswith("listening on "):
                raise Failed(f"{self.log.name} does not start: {line}{self.said()}")
            self.found = line.split()[2]
        return self.found

    def lines(self):
        """What it says, line by line."""
        for line in self.process.stdout:
            yield line.decode()

    def said(self):
        """What it complained about."""
        return self.log.read_text()

    def ask(self, path):
        """Asks it over HTTP."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.address()}{path}", timeout=START_S) as answer:
            return answer.read()

    def stats(self):
        """Its own count."""
        return json.loads(self.ask("/stats"))

    def cpu_s(self):
        """CPU time of all its threads so far."""
        process = pathlib.Path("/proc", str(self.process.pid))
        if (process / "schedstat").exists():
            return sum(int(file.read_text().split()[0]) for file in process.glob("task/*/schedstat")) / 1e9
        # A kernel without it counts in ticks. The name in parentheses may hold blanks; behind it comes field 3.
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Haproxy(Process):
    """The network balancer: connections, given out at random."""

    def __init__(self, stack, log, addresses):
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        self.found = "127.0.0.1:%d" % listener.getsockname()[1]
        file = log.with_suffix(".cfg")
        file.write_text("\n".join([
            "global", " nbthread 1", f" maxconn {CONNECTIONS}", "defaults", " mode tcp", " balance random", " timeout connect 5s",
            " timeout client 60s", " timeout server 60s", "listen shop", f" bind fd@{listener.fileno()}",
            *(f" server s{place} {address}" for place, address in enumerate(addresses)), ""]))
        super().__init__(stack, log, ["haproxy", "-db", "-f", file], [listener.fileno()])
        listener.close()


def throughput(result, values):
    """Where the response times cross the goal: pages a second and users there, hits in a hundred, and the load's ends."""
    goal, steps = number(values, "goal"), result["steps"]
    rate = lambda step: step["pages"] / step["seconds"]  # noqa: E731
    good = [place for place, step in enumerate(steps) if step["goal_ms"] <= goal]
    if not good or good[-1] + 1 >= len(steps):
        raise Failed(f"{result['way']} with {result['servers']} servers: the load did not cross the goal")
    last, beyond = steps[good[-1]], steps[good[-1] + 1]
    part = (goal - last["goal_ms"]) / (beyond["goal_ms"] - last["goal_ms"])
    between = lambda of: of(last) + part * (of(beyond) - of(last))  # noqa: E731
    return {"pages_per_s": between(rate), "users": between(lambda step: step["users"]),
            "hits_percent": between(lambda step: 100 * step["hits"] / max(1, step["hits"] + step["misses"])),
            "calls_per_s": between(lambda step: step["misses"] / step["seconds"]),
            "median_ms": between(lambda step: step["median_ms"])}


def scratch(stack):
    """A temporary folder that goes with `stack`."""
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keynote-")))
    folders.add(folder)
    stack.callback(folders.discard, folder)
    return folder


def end_all():
    """Ends and removes what is there, whoever still waits for it."""
    for process in list(started):
        process.kill()
    for folder in list(folders):
        shutil.rmtree(folder, ignore_errors=True)
