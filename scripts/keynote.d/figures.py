"""What is kept of runs: a few figures for each way and number of servers, in scripts/keynote.d/measured.json, so that the page can
be written again, and gone on with, without the runs. Those of another shop do not count."""

import json
import statistics

from parts import PARTS, mark, number

FILE = PARTS / "measured.json"
# Whole runs' counts, which earlier figures do not have.
COUNTS = ("pages", "users", "pairs", "errors")


def summary(runs, values):
    """Of all seeds of one way with one number of servers."""
    goal_ms = number(values, "goal")
    mean = lambda of: statistics.mean(of(run) for run in runs)  # noqa: E731
    # The most at any load within the goal, not only at the heaviest.
    best = lambda run: max((step["pages"] / step["seconds"] for step in run["steps"] if step["goal_ms"] <= goal_ms), default=0)  # noqa: E731
    found = {key: round(mean(lambda run, key=key: run["at_goal"][key]), 4)
             for key in ("pages_per_s", "users", "hits_percent", "calls_per_s")}
    rates = [run["at_goal"]["pages_per_s"] for run in runs]
    return found | {
        "each": [round(rate, 4) for rate in rates], "best_per_s": round(mean(best), 4),
        "in_flight": max(server["most_in_flight"] for run in runs for server in run["each"]),
        "cpu_us": round(mean(lambda run: 1e6 * run["balancer_cpu_s"] / run["whole"]["pages"]), 1),
        "counted": {key: sum(run["whole"][key] for run in runs) for key in COUNTS}}


def summaries(results, values):
    """Of all: by way and number of servers."""
    return {way: {count: summary(runs, values) for count, runs in by_count.items()} for way, by_count in results.items()}


def kept():
    """What was kept of this shop."""
    if not FILE.exists():
        return {}
    found = json.loads(FILE.read_text())
    if found["shop"] != mark():
        return {}
    return {way: {int(count): figures for count, figures in by_count.items()} for way, by_count in found["ways"].items()}


def merged(new):
    """What was kept, and in its place what is new."""
    old = kept()
    both = {way: {**old.get(way, {}), **new.get(way, {})} for way in {**old, **new}}
    return {way: dict(sorted(by_count.items())) for way, by_count in both.items()}


def keep(figures):
    """Writes them, a line each."""
    line = lambda way, count: f"  {json.dumps(str(count))}: {json.dumps(figures[way][count])}"  # noqa: E731
    block = lambda way: f" {json.dumps(way)}: {{\n" + ",\n".join(line(way, count) for count in figures[way]) + "}"  # noqa: E731
    FILE.write_text(f'{{"shop": {json.dumps(mark())}, "ways": {{\n' + ",\n".join(map(block, figures)) + "}}\n")
