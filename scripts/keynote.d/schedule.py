"""Which runs there are, what is measured already, and how several go on at once. A result is a file, so a run that was cut
off goes on where it was."""

import concurrent.futures
import json
import sys
import time

from parts import COUNTS, OBSERVED, OUTPUT, WAYS, Failed, mark, number
from run import Run, throughput

# Few servers make few pages: several seeds then, and their mean; more of them for what the shop was fitted to.
SEEDS, SEEDS_FITTED = {1: 2}, {1: 3, 2: 2, 3: 2, 4: 2, 5: 2, 20: 3}
# And for those that the question of the half compares.
SEEDS_OURS, SEEDS_TURN = {1: 2, 10: 3}, {1: 2, 20: 3}
# Pages a second, in those of one server, that go on at once.
AT_ONCE = 60
# What a page through the armv7 binary counts for: it is emulated.
ARM_COST = 3
# A run's time at most, where it has to fit into what is left.
RUN_S = 200


class Job:
    """A run to be made."""

    def __init__(self, way, servers, seed, tools, values):
        # Well below what is expected. Where all are full the bounded wait keeps who belongs there, but how many pages that makes was
        # not measured yet, so its runs begin as those without a limit do.
        limited = way.limited and way.name != "wait"
        least = 16 if way.bound and limited else 10 if way.bound or servers <= 5 else 4
        self.run = Run(way, servers, seed, ["--ramp", str(least * servers)], tools, values)
        expected = servers if way.limited and way.bound else 0.75 * servers if way.bound else OBSERVED(servers) * (
            1.3 if way.limited else 1)
        self.cost = expected * (ARM_COST if way.arm else 1)
        self.file = OUTPUT / "runs" / mark() / f"{self.run.name}.json"


def jobs(ways, counts, tools, values):
    """All that were asked for, in the order of the ways."""
    found = []
    for name in ways:
        way = WAYS[name]
        found += [Job(way, count, seed, tools, values) for count in COUNTS if count in way.counts and count in counts
                  for seed in range(1, {"random": SEEDS_FITTED, "roundrobin": SEEDS_TURN, "both": SEEDS_OURS}.get(name, SEEDS).get(count, 1) + 1)]
    return found


def measure(todo, minutes, at_once):
    """Makes the runs that have no result yet; as many as fit into the minutes, where there is a limit. How many are missing."""
    todo = [job for job in todo if not job.file.exists()]
    end = time.monotonic() + 60 * minutes if minutes else None
    running, failed = {}, []
    with concurrent.futures.ThreadPoolExecutor(max_workers=200) as pool:
        while todo or running:
            late = end and time.monotonic() + RUN_S > end
            if not failed and not late:
                for job in list(todo):
                    load = sum(other.cost for other in running.values())
                    if not running or load + job.cost <= at_once:
                        todo.remove(job)
                        running[pool.submit(job.run.measure)] = job
            if not running:
                break
            done, _ = concurrent.futures.wait(running, timeout=2, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                try:
                    keep(job, future.result())
                except Failed as error:
                    failed.append(str(error))
            tell(running.values(), len(todo))
    if failed:
        raise Failed("\n".join(failed))
    return len(todo)


def keep(job, result):
    """Writes a result."""
    result["at_goal"] = throughput(result, job.run.values)
    job.file.parent.mkdir(parents=True, exist_ok=True)
    job.file.write_text(json.dumps(result) + "\n")
    rate = result["at_goal"]["pages_per_s"] / number(job.run.values, "unit")
    note(f"{job.run.way.title}, {job.run.servers} servers: {rate:.2f} at {result['at_goal']['users']:.0f} users, "
         f"{result['at_goal']['hits_percent']:.0f} % hits")


def note(line):
    """A line that stays."""
    print("\r\x1b[K" + line if sys.stderr.isatty() else line, file=sys.stderr, flush=True)


def tell(running, waiting):
    """A line that is written over, where somebody looks."""
    if sys.stderr.isatty():
        each = "; ".join(f"{job.run.name}: {job.run.status}" for job in running)
        print(f"\r\x1b[K{len(running)} run, {waiting} wait: {each}"[:160], end="", file=sys.stderr, flush=True)


def results(todo):
    """What is there, by way and number of servers: a list of results, one for each seed."""
    found = {}
    for job in todo:
        if job.file.exists():
            found.setdefault(job.run.way.name, {}).setdefault(job.run.servers, []).append(json.loads(job.file.read_text()))
    return found
