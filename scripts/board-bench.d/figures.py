"""The figures that the gate keeps: their names, the committed baseline, what is worse than it."""

import re

from common import BINARY, HERE, Failed, replace

BASELINE = HERE / "baseline"
TOLERANCE = 0.02
# For a binary of another compiler than the baseline's: what it makes of the same source differs.
TOLERANCE_OTHERWISE = 0.10
# What may never be exceeded, whatever the baseline says.
LIMITS = {"binary.bytes": 921_600}
HEADER = """\
# Figures of beelance that scripts/test keeps: 2 % more is a failure. Written by scripts/board-bench --write-baseline.
"""


def of_user(measured):
    """What user mode's rows and the binary itself add to the figures."""
    figures = {"binary.bytes": BINARY.stat().st_size}
    for name, row in measured.items():
        figures[f"user.{name}.instructions"] = round(row["instructions"], 1)
        figures[f"user.{name}.calls"] = round(row["calls"], 2)
    return figures


def compiler():
    """What built the binary, as it says in its section .comment, which is no part of what is stripped."""
    found = re.search(rb"rustc version [^\0]*", BINARY.read_bytes())
    return found.group().decode() if found else "unknown"


def write(figures):
    lines = [f"{name} = {value}\n" for name, value in sorted(figures.items())]
    replace(BASELINE, "".join([HEADER, f"compiler = {compiler()}\n", *lines]))


def read():
    """The baseline's compiler and its figures."""
    try:
        lines = BASELINE.read_text().splitlines()
    except FileNotFoundError:
        raise Failed(f"{BASELINE} is missing: scripts/board-bench --write-baseline") from None
    pairs = dict(line.split(" = ", 1) for line in lines if line and not line.startswith("#"))
    built_by = pairs.pop("compiler", "unknown")
    return built_by, {name: float(value) for name, value in pairs.items()}


def gate(figures, sections):
    """Compares with the baseline, a line each; whether all are good enough. The sections are first words of names."""
    built_by, baseline = read()
    baseline = {name: value for name, value in baseline.items() if name.partition(".")[0] in sections}
    tolerance = TOLERANCE
    if built_by != compiler():
        tolerance = TOLERANCE_OTHERWISE
        print(f"This binary is from {compiler()}, the baseline's from {built_by}: {tolerance:.0%} allowed")
    good = True
    renew = False
    for name in sorted(baseline.keys() | figures.keys()):
        old, new = baseline.get(name), figures.get(name)
        if old is None or new is None:
            print(f"{name}: {'not measured' if new is None else 'not in the baseline'}")
            good = False
            continue
        change = new / old - 1 if old else float(new > 0)
        verdict = "good"
        if new > LIMITS.get(name, new):
            verdict, good = f"WORSE than the limit of {LIMITS[name]}", False
        elif change > tolerance and (tolerance == TOLERANCE or name not in LIMITS):
            verdict, good = "WORSE", False
        elif change < -tolerance:
            verdict, renew = "better", True
        print(f"{name}: {number(new)}, baseline {number(old)}, {change:+.1%}: {verdict}")
    if renew:
        print(f"Better by more than {tolerance:.0%}: renew the baseline with scripts/board-bench --write-baseline")
    return good


def number(value):
    return f"{value:.2f}".rstrip("0").rstrip(".")
