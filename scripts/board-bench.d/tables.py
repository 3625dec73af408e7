"""The tables: as text for a terminal, as Markdown for docs/benchmarks.md, of which one section is this script's."""

import re

import figures
import packages
import peers
import usermode
from common import ROOT, Failed, replace, run

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- board-bench -->", "<!-- /board-bench -->"
HEADER = """\
# Benchmarks

What beelance costs beside its peers. Every section is written by the script that it names, none by hand.

"""
INTRODUCTION = """\
## On the board: instructions, memory, start

Written by `scripts/board-bench --write` on {date}, on {machine}, of {versions}.
All are exact counts of emulators, the same on any machine; none was taken on silicon.

The board is `qemu-system-arm -M virt -cpu cortex-a7 -m {memory} -icount shift=0`: one processor, {total} kB of memory left by
Debian's multi-platform kernel, and a nanosecond of its time is an instruction. The client, two backends that answer
with 128 bytes and the proxy run in it, a boot for each proxy. All do the same: no log, connections kept on both sides,
X-Forwarded-For, no probes, one thread (the files in `scripts/board-bench.d/conf/`). HAProxy, minimal, is built from
Debian's source: static, without TLS, Lua, PCRE and threads. Files of a proxy lie in memory on this board and are no part
of what MemAvailable is less by.
"""
USER = """\
In user mode (`qemu-arm`) the kernel's part is not counted, but each system call is; clock reads are among them, as
there is no vDSO. With 16 connections all send before the proxy wakes, and so do the backends.
"""
# What beelance promises: instructions, kB, microseconds, instructions / system calls.
PROMISED = {
    "keep-alive-1": "40,000", "fresh": "85,000", "rss-idle": "1,024", "first-byte": "50,000", "wakeups": "0",
    "user keep-alive-1": "7,000 / 8",
}


def instructions(board):
    head = ("user + kernel instructions per request", "keep-alive, 1 connection", "keep-alive, 16 connections",
            "a new connection for every request")
    keys = ("keep-alive-1", "keep-alive-16", "fresh")
    rows = [(peer.title, *(counted(board[peer.name][key]) for key in keys)) for peer in measured(board)]
    return [head, *rows, promised(keys)]


def memory(board):
    head = ("memory in kB; start; idle", "resident, idle", "of it anonymous", "resident, after", "of it anonymous",
            "MemAvailable less by, idle", "start to first byte, us", "wake-ups in 20 s")
    keys = ("rss-idle", "anon-idle", "rss-after", "anon-after", "taken", "first-byte", "wakeups")
    rows = []
    for peer in measured(board):
        if peer is not peers.NONE:
            own = board[peer.name]
            own = {**own, "taken": own["available-before"] - own["available-idle"]}
            rows.append((peer.title, *(counted(own[key]) for key in keys)))
    return [head, *rows, promised(keys)]


def user(found):
    rows = [row for row in usermode.ROWS if not row.logged]
    head = ("user instructions / system calls per request", *(row.title for row in rows))
    lines = [(peer.title, *(pair(found[peer.name][row.name]) for row in rows)) for peer in measured(found)]
    return [head, *lines, promised(["user " + row.name for row in rows])]


def extra(found):
    """In words: what the table has no column for."""
    row = next(row for row in usermode.ROWS if row.logged)
    by_call = ", ".join(f"{name} {count:.2f}" for name, count in found["beelance"]["keep-alive-1"]["by_call"].items())
    return (f"beelance with an affinity cookie and the access log on standard error, keep-alive, 1 connection: "
            f"{pair(found['beelance'][row.name])}. Its system calls of a keep-alive request, 1 connection: {by_call}. Its binary: "
            f"{counted(figures.of_user({})['binary.bytes'])} bytes, at most {counted(figures.LIMITS['binary.bytes'])}.")


def measured(found):
    return [peer for peer in peers.ALL if peer.name in found]


def promised(keys):
    return ("beelance's promise, at most", *(PROMISED.get(key, "") for key in keys))


def pair(row):
    return f"{counted(row['instructions'])} / {row['calls']:.1f}"


def counted(value):
    return f"{value:,.0f}"


def text(rows):
    """A table for a terminal. Its columns are narrow: long heads are wrapped."""
    widths = [max(len(row[0]) for row in rows)] + [15] * (len(rows[0]) - 1)
    wrapped = [wrap(cell, width) for cell, width in zip(rows[0], widths)]
    height = max(map(len, wrapped))
    heads = [[cell[line - height + len(cell)] if line >= height - len(cell) else "" for cell in wrapped]
             for line in range(height)]
    lines = [*heads, *rows[1:]]
    return "\n".join("  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                               for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in lines)


def wrap(words, width):
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def of(result):
    """The tables that there are figures for."""
    return ([instructions(result["board"]), memory(result["board"])] if result["board"] else []) + (
        [user(result["user"])] if result["user"] else [])


def write(result):
    """Puts the section into the page, in the place of the one before or at the end."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    introduction = INTRODUCTION.format(date=result["date"], machine=result["machine"], versions=versions,
                                       memory=result["memory_mb"], total=counted(result["board"]["beelance"]["total"]))
    section = "\n\n".join([
        BEGIN + "\n" + introduction.rstrip(),
        markdown(instructions(result["board"])),
        markdown(memory(result["board"])),
        USER.rstrip(),
        markdown(user(result["user"])),
        extra(result["user"]) + "\n" + END,
    ]) + "\n"
    page = PAGE.read_text() if PAGE.exists() else HEADER
    before, begin, rest = page.partition(BEGIN)
    if begin:
        _old, end, after = rest.partition(END + "\n")
        if not end:
            raise Failed(f"{PAGE}: {BEGIN} without {END}")
        replace(PAGE, before + section + after)
    else:
        replace(PAGE, page.rstrip("\n") + "\n\n" + section)


def versions():
    """Of everything that has a part in the figures."""
    names = {"haproxy": "HAProxy"}
    commit = run("git", "-C", ROOT, "describe", "--always", "--dirty").strip()
    return {"beelance": f"{commit} ({figures.compiler().partition(' (')[0]})",
            **{names.get(name, name): version for name, version in packages.peers()[1].items()},
            "qemu": re.search(r"version (\S+)", run("qemu-system-arm", "--version")).group(1),
            "Linux": packages.kernel()[1] + " in the board"}
