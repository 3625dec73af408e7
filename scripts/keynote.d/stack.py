"""The same comparison on a real stack: PostgreSQL, and Python application servers by gunicorn, Debian's packages. Their work is
computing, and all share this machine's processors: as many servers as two cores carry, and rounds in turn, so that
whatever else the machine does is the same for all."""

import contextlib
import json
import os
import pathlib
import pwd
import signal
import socket
import statistics
import subprocess
import time

from answer import grid, plain
from parts import OUTPUT, PARAMETERS, PARTS, WAYS, Failed
from run import Process, Run, scratch, started

PACKAGES = {"gunicorn": "gunicorn", "postgresql": "/usr/lib/postgresql", "python3-psycopg2":
            "/usr/lib/python3/dist-packages/psycopg2"}
SERVERS, THREADS, USERS, SECONDS, ROUNDS = 4, 16, 150, 8, 3
# Short thinking, and time to settle for several visits: what counts are caches that are as full as they get.
USERS_DO = {"session.think": "100ms", "step.settle": "12000ms"}
MAXCONN = "2"
# What two runs of the same differ by: less than this says nothing.
NOISE = 0.05
FILE = OUTPUT / "stack.json"
STACK_WAYS = ("random", "haproxy", "affinity", "maxconn", "both")
TABLES = """
CREATE UNLOGGED TABLE sessions (id text PRIMARY KEY, customer int NOT NULL, used timestamptz NOT NULL);
CREATE TABLE orders (customer int NOT NULL, product int NOT NULL);
SELECT setseed(0.5);
INSERT INTO orders SELECT (random() * 999)::int, (random() * 999)::int FROM generate_series(1, 20000);
CREATE INDEX ON orders (customer);
CREATE INDEX ON orders (product);
ANALYZE;
"""


def run(tools, values):
    """All of it; the rounds, also written to a file."""
    install()
    values = {**values, "maxconn": MAXCONN}
    rounds = {name: [] for name in STACK_WAYS}
    with contextlib.ExitStack() as stack:
        database = Postgres(stack)
        for turn in range(ROUNDS):
            for name in STACK_WAYS[turn:] + STACK_WAYS[:turn]:
                rounds[name].append(OneRound(WAYS[name], database, turn + 1, tools, values).measure())
                step = rounds[name][-1]["steps"][0]
                print(f"round {turn + 1}, {WAYS[name].title}: {step['pages'] / step['seconds']:.0f} pages a second", flush=True)
    FILE.write_text(json.dumps(rounds) + "\n")
    return rounds


def kept():
    """The rounds of the last time."""
    if not FILE.exists():
        raise Failed("nothing was measured yet")
    return json.loads(FILE.read_text())


def text(rounds):
    """For the screen."""
    return "\n".join(["", *plain(table(rounds)), "", verdict(rounds)])


def section(rounds):
    """For the page."""
    return "\n".join([f"{USERS} users, {SERVERS} servers, maxconn {MAXCONN}: medians of {ROUNDS} rounds of {SECONDS} s, in which each way had "
                      "its turn with new servers; in parentheses the least and the most.", "", *table(rounds), "", verdict(rounds)])


def table(rounds):
    """Medians of the rounds."""
    rows = []
    for name, results in rounds.items():
        middle = lambda of: statistics.median(map(of, results))  # noqa: E731
        step = lambda result: result["steps"][0]  # noqa: E731
        least, median, most = ratios(rounds, name)
        rows.append([WAYS[name].title, f"{middle(lambda r: step(r)['pages'] / step(r)['seconds']):.0f}",
                     f"{median:.2f} ({least:.2f} to {most:.2f})", f"{middle(lambda r: step(r)['goal_ms']):.0f} ms",
                     f"{middle(lambda r: 100 * step(r)['hits'] / max(1, step(r)['pages'])):.0f} %",
                     f"{middle(lambda r: step(r)['misses'] / step(r)['seconds']):.0f}/s",
                     str(max(server["most_in_flight"] for result in results for server in result["each"]))])
    return grid(["", "pages/s", "of scattered", "95 % within", "hits", "sessions read", "most in flight"], rows)


def ratios(rounds, name):
    """Pages against the scattered ones of the same round: the least, the median and the most."""
    pages = lambda result: result["steps"][0]["pages"] / result["steps"][0]["seconds"]  # noqa: E731
    each = [pages(ours) / pages(theirs) for ours, theirs in zip(rounds[name], rounds["random"])]
    return min(each), statistics.median(each), max(each)


def verdict(rounds):
    """Whether it shows the same as the shop that waits."""
    least, median, _ = ratios(rounds, "both")
    if least > 1 + NOISE:
        same = "the same sign as the model's, in every round"
    elif median > 1 + NOISE:
        same = "the same sign as the model's in most rounds, not in all: measure it on a quiet machine"
    else:
        same = "not the model's sign"
    return f"With affinity and maxconn the same {SERVERS} servers serve {median:.2f} times the pages of scattering: {same}."


def install():
    """Debian's packages, where they are missing."""
    missing = [package for package, place in PACKAGES.items() if not any(
        os.path.exists(each) for each in (place, f"/usr/bin/{place}"))]
    if missing:
        print(f"installing {' '.join(missing)}")
        # It knows how to keep Debian from starting the services.
        subprocess.run([PARTS.parent / "setup"], check=True)


class OneRound(Run):
    """One way, in new servers, on the same database."""

    def __init__(self, way, database, seed, tools, values):
        plan = ["--users", str(USERS), "--seconds", str(SECONDS)]
        super().__init__(way, SERVERS, seed, plan, tools, values)
        self.database = database

    def measure(self):
        """Does it; the result."""
        with contextlib.ExitStack() as stack:
            folder = scratch(stack)
            servers = [Gunicorn(stack, folder / f"s{place}", f"s{place}", self.database.address) for place in range(SERVERS)]
            for server in servers:
                server.stats()
            balancer = self.balancer(stack, folder, [server.found for server in servers])
            load = Process(stack, folder / "load", [
                self.tools["shop"], "load", "--parameters", users_do(folder), "--seed", str(self.seed), "--target",
                balancer.address(), "--servers", str(SERVERS), *self.plan])
            steps, whole = self.follow(load)
            each = [server.stats() for server in servers]
        result = {"steps": steps, "whole": whole, "each": each,
                  "database": {"calls": sum(server["misses"] for server in each)}}
        self.check(result)
        return result


def users_do(folder):
    """The parameter file as it is for these users; its path."""
    lines = PARAMETERS.read_text().splitlines()
    kept = [line for line in lines if line.split("=")[0].strip() not in USERS_DO]
    file = folder / "parameters"
    file.write_text("\n".join([*kept, *(f"{key} = {value}" for key, value in USERS_DO.items()), ""]))
    return file


class Gunicorn(Process):
    """One application server: one process, its threads are the workers."""

    def __init__(self, stack, log, name, database):
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        self.found = "127.0.0.1:%d" % listener.getsockname()[1]
        environment = {**os.environ, "SHOP_NAME": name, "SHOP_DATABASE": database, "PYTHONDONTWRITEBYTECODE": "1"}
        super().__init__(stack, log, [
            "gunicorn", "--bind", f"fd://{listener.fileno()}", "--worker-class", "gthread", "--workers", "1", "--threads",
            str(THREADS), "--keep-alive", "65", "--chdir", PARTS / "stack", "app:application"], [listener.fileno()], environment)
        listener.close()

    def end(self):
        """The master ends its worker, too, when it is asked."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        super().end()


class Postgres:
    """A cluster of its own in a temporary folder, reached through a UNIX socket."""

    def __init__(self, stack):
        programs = sorted(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda path: int(path.name))[-1] / "bin"
        # It refuses to be root.
        user = pwd.getpwnam("postgres") if os.getuid() == 0 else None
        self.drop = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        folder = scratch(stack)
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        self.call([programs / "initdb", "-D", folder / "data", "-U", "shop", "--auth=trust", "--no-sync"], folder)
        server = subprocess.Popen([programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=",
                                   "-c", "max_connections=300"], cwd=folder, stdin=subprocess.DEVNULL,
                                  stdout=open(folder / "log", "wb"), stderr=subprocess.STDOUT, **self.drop)
        started.add(server)
        stack.callback(self.end, server)
        self.address = f"host={folder} user=shop dbname=postgres"
        end = time.monotonic() + 20
        while subprocess.run([programs / "pg_isready", "-q", "-h", folder], check=False).returncode != 0:
            if server.poll() is not None or time.monotonic() > end:
                raise Failed(f"PostgreSQL does not start:\n{(folder / 'log').read_text()}")
            time.sleep(0.05)
        self.call([programs / "psql", "-q", "-h", folder, "-U", "shop", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null",
                   "-c", TABLES], folder)

    def call(self, command, folder):
        """Runs one of its programs."""
        ran = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **self.drop)
        if ran.returncode != 0:
            raise Failed(f"{command[0]}: {ran.stdout}")

    @staticmethod
    def end(server):
        """Ends it at once: nothing in it is wanted."""
        server.send_signal(signal.SIGQUIT)
        server.wait()
        started.discard(server)
