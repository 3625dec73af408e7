"""The run: round by round, workload by workload, each system in turn, and the line that says how far it is."""

import contextlib
import pathlib
import sys
import tempfile
import time

import measure
from processes import start, start_backend, write_files
from workloads import IDLE, IDLE_SYSTEMS, SYSTEMS

# What comes to a measurement's own seconds: a warm-up, the checks, the client's start.
EXTRA_S = 0.35
START_S = 0.15
CALLS_S = 0.6
IDLE_S = 2.5
BUSY_S = 0.3
# From here on the figures deserve a word of doubt.
NOISY = 0.1
# The fixed rate, as a part of what the slowest proxy did when it had all it could take.
RATE = 0.5


class Progress:
    """Says on standard error what is being done, and how long the rest will take if it goes on like that."""

    def __init__(self, planned_s):
        self.planned_s, self.done_s, self.began = planned_s, 0, time.monotonic()
        self.transient = sys.stderr.isatty()

    def step(self, text, seconds):
        """Now comes what was planned with so many seconds."""
        if self.transient:
            print(f"\r\033[K{text}, {self.left()}", end="", file=sys.stderr, flush=True)
        self.done_s += seconds

    def note(self, text):
        """A line that stays."""
        clear = "\r\033[K" if self.transient else ""
        print(f"{clear}{text}; {self.left()}", file=sys.stderr, flush=True)

    def left(self):
        """The time left."""
        slower = (time.monotonic() - self.began) / self.done_s if self.done_s > 5 else 1
        left_s = max(0, round((self.planned_s - self.done_s) * max(slower, 0.5)))
        return f"{left_s // 60} min {left_s % 60:02} s left"


class Run:
    """All rounds."""

    def __init__(self, options, workloads, tools, idle_connections):
        self.options, self.workloads, self.tools = options, workloads, tools
        self.idle_connections = idle_connections
        self.rates, self.busy, self.idle = {}, [], {}
        # By workload, then by system, what each round brought.
        self.rounds = {workload.name: {name: [] for name in self.systems(workload)} for workload in workloads}
        self.progress = Progress(self.planned_s())

    def systems(self, workload):
        """Who is measured with it."""
        return [name for name in workload.systems if name in self.options.systems]

    def planned_s(self):
        """About how long all of it takes."""
        options, cells = self.options, sum(len(self.systems(workload)) for workload in self.workloads)
        passes = 2 if options.latency else 1
        each_round_s = BUSY_S + cells * (START_S + passes * (options.seconds + EXTRA_S))
        counted = sum(len(self.systems(workload)) for workload in self.workloads if self.counts_calls(workload))
        idle_s = len(IDLE_SYSTEMS) * IDLE_S if options.idle else 0
        return options.rounds * each_round_s + counted * (CALLS_S + EXTRA_S) + idle_s

    def counts_calls(self, workload):
        """Whether its system calls are counted."""
        return self.options.calls == "all" or self.options.calls == workload.name

    def all(self):
        """Does everything."""
        with contextlib.ExitStack() as stack:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="beelance-bench-")))
            write_files(folder)
            self.backends = [start_backend(stack, folder, number) for number in (1, 2)]
            for number in range(self.options.rounds):
                self.progress.step(f"round {number + 1} of {self.options.rounds}", BUSY_S)
                self.busy.append(busy())
                if self.busy[-1] > NOISY:
                    self.progress.note(f"round {number + 1}: other processes take {self.busy[-1] * 100:.0f} % of the machine")
                for workload in self.workloads:
                    self.workload(number, workload)
            if self.options.idle:
                self.idle_memory()

    def workload(self, number, workload):
        """One round of one workload, in new processes."""
        where = f"round {number + 1} of {self.options.rounds}, {workload.title}"
        load = self.tools / "load"
        names = self.systems(workload)
        turn = number % len(names)
        names = names[turn:] + names[:turn]
        with contextlib.ExitStack() as stack:
            folder, running = self.start(stack, names)
            results = {}
            for name, system in running.items():
                self.progress.step(f"{where}: {SYSTEMS[name][0]}, all it can take", self.options.seconds + EXTRA_S + START_S)
                results[name] = {"full": measure.run(load, system, workload, "closed", self.options.seconds)}
            slowest = min(result["full"]["per_s"] for name, result in results.items() if name != "floor")
            rate = self.rates.setdefault(workload.name, round_down(slowest * RATE))
            for name, system in running.items() if self.options.latency else ():
                self.progress.step(f"{where}: {SYSTEMS[name][0]}, {rate:,} a second", self.options.seconds + EXTRA_S)
                results[name]["rate"] = measure.run(load, system, workload, "rate", self.options.seconds, rate)
            for name, system in running.items():
                results[name]["memory_kb"] = system.memory_kb("VmHWM")
                if number == self.options.rounds - 1 and self.counts_calls(workload):
                    self.progress.step(f"{where}: {SYSTEMS[name][0]}, system calls", CALLS_S + EXTRA_S)
                    results[name]["calls"] = measure.calls(load, system, workload, CALLS_S, folder)
        for name, result in results.items():
            self.rounds[workload.name][name].append(result)
        shown = ", ".join(f"{SYSTEMS[name][0]} {results[name]['full']['cpu_us']:.1f}" for name in self.systems(workload))
        self.progress.note(f"{where}: {shown} us")

    def idle_memory(self):
        """The memory of new processes with idle connections."""
        for name in IDLE_SYSTEMS:
            self.progress.step(f"{self.idle_connections:,} idle connections: {SYSTEMS[name][0]}", IDLE_S)
            with contextlib.ExitStack() as stack:
                system = self.start(stack, [name])[1][name]
                self.idle[name] = measure.idle(self.tools / "load", system, self.idle_connections)
        shown = ", ".join(f"{SYSTEMS[name][0]} {sizes['with_kb'] / 1024:.1f}" for name, sizes in self.idle.items())
        self.progress.note(f"{IDLE}, {self.idle_connections:,} connections: {shown} MB")

    def start(self, stack, names):
        """New processes of these systems, in a folder of their own."""
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="beelance-bench-")))
        return folder, {name: start(stack, name, folder, self.tools, self.backends) for name in names}


def round_down(rate):
    """To two digits."""
    unit = 10 ** max(0, len(str(int(rate))) - 2)
    return max(1, int(rate) // unit * unit)


def busy():
    """The part of all processors' time that goes to others: sampled while nothing of ours is at work."""
    def read():
        numbers = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]
    total, idle = read()
    time.sleep(BUSY_S)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / max(1, total_after - total)
