"""The figures that the gate keeps: their names, the committed baseline, what is worse than it."""

import re

from common import Failed, binary, replace
from places import HERE

BASELINE = HERE / "baseline"
TOLERANCE = 0.02
# For a binary of another compiler than the baseline's: what it makes of the same source differs.
TOLERANCE_OTHERWISE = 0.10
# What may never be exceeded, whatever the baseline says.
LIMITS = {"binary.bytes": 921_600, "board.first-byte.us": 50_000, "board.rss-idle.kB": 1024, "board.wakeups": 0}
# The client tries again every 20 us until the proxy listens: a small change can cost or save such a step or two.
LOOSE = {"board.first-byte.us": 0.05}
BOARD_UNITS = {"keep-alive-1": "instructions", "keep-alive-16": "instructions", "fresh": "instructions",
               "first-byte": "us", "rss-idle": "kB", "anon-idle": "kB", "rss-after": "kB", "anon-after": "kB"}
HEADER = """\
# Figures of beelance that scripts/test keeps: 2 % more is a failure. Written by scripts/board-bench --write-baseline.
"""


def of_user(measured):
    """What user mode's rows and the binary itself add to the figures."""
    figures = {"binary.bytes": binary().stat().st_size}
    for name, row in measured.items():
        figures[f"user.{name}.instructions"] = round(row["instructions"], 1)
        figures[f"user.{name}.calls"] = round(row["calls"], 2)
    return figures


def of_board(measured):
    """What the board adds."""
    figures = {f"board.{name}.{unit}": measured[name] for name, unit in BOARD_UNITS.items()}
    return figures | {"board.wakeups": measured["wakeups"]}


def compiler():
    """What built the binary, as it says in its section .comment, which is no part of what is stripped."""
    found = re.search(rb"rustc version [^\0]*", binary().read_bytes())
    return found.group().decode() if found else "unknown"


def write(figures, kernel):
    lines = [f"{name} = {value}\n" for name, value in sorted(figures.items())]
    replace(BASELINE, "".join([HEADER, f"compiler = {compiler()}\n", f"kernel = {kernel}\n", *lines]))


def read():
    try:
        lines = BASELINE.read_text().splitlines()
    except FileNotFoundError:
        raise Failed(f"{BASELINE} is missing: scripts/board-bench --write-baseline") from None
    return dict(line.split(" = ", 1) for line in lines if line and not line.startswith("#"))


def gate(figures, sections, built):
    """Compares with the baseline, a line each; whether all are good enough. `sections` are first words of names; `built`
    is the compiler, and the kernel where there is one.
    """
    baseline = read()
    others = [f"{what} {value}, the baseline {baseline.get(what)}"
              for what, value in built.items() if value != baseline.get(what)]
    tolerance = TOLERANCE_OTHERWISE if others else TOLERANCE
    if others:
        print(f"This is {'; '.join(others)}: {tolerance:.0%} allowed")
    expected = {name: float(value) for name, value in baseline.items() if name.partition(".")[0] in sections}
    verdicts = []
    for name in sorted(expected.keys() | figures.keys()):
        if name not in expected or name not in figures:
            verdicts.append("WORSE")
            print(f"{name}: {'not in the baseline' if name in figures else 'not measured'}")
            continue
        old, new = expected[name], figures[name]
        change = new / old - 1 if old else float(new > 0)
        allowed = max(tolerance, LOOSE.get(name, 0))
        if new > LIMITS.get(name, new):
            verdicts.append("WORSE than its limit")
        # Another compiler's binary may have another size: its limit is all that can be asked of it.
        elif change > allowed and not (others and name == "binary.bytes"):
            verdicts.append("WORSE")
        else:
            verdicts.append("better" if change < -allowed else "good")
        print(f"{name}: {number(new)}, baseline {number(old)}, {change:+.1%}: {verdicts[-1]}")
    if "better" in verdicts:
        print(f"Better by more than {tolerance:.0%}: renew the baseline with scripts/board-bench --write-baseline")
    return not any(verdict.startswith("WORSE") for verdict in verdicts)


def number(value):
    return f"{value:.2f}".rstrip("0").rstrip(".")
