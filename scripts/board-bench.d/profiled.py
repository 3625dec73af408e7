"""Where the instructions of a request go: by the function of the source that a block of instructions was made from."""

import contextlib
import os
import subprocess

import peers
import usermode
from common import CACHE, ROOT, progress, run
from workload import on_one_processor

TARGET_NAME = "armv7-unknown-linux-musleabihf"
SHOWN = 40


def measure(name):
    """Prints what a request of the row of this name spends in which function; true, as nothing is compared."""
    row = next(row for row in usermode.ROWS if row.name == name)
    program = build()
    with contextlib.ExitStack() as stack:
        stack.enter_context(on_one_processor())
        counts, requester = usermode.warmed_up(stack, usermode.build_plugin(), peers.BEELANCE, row, program)
        before = counts.blocks()
        requester.requests(usermode.REQUESTS)
        after = counts.blocks()
    spent = {address: (count - before.get(address, 0)) / usermode.REQUESTS for address, count in after.items()}
    spent = {address: count for address, count in spent.items() if count}
    print(f"{row.title}: {sum(spent.values()):.0f} user instructions per request\n")
    frames = where(program, list(spent))
    show("by function of ours, with what is inlined into it from elsewhere",
         grouped(spent, lambda address: "{0}  {1}".format(*ours(frames[address]))))
    show("by file of ours or crate, the same way", grouped(spent, lambda address: part(ours(frames[address])[1])))
    return True


def build():
    """The binary with its symbols and lines, in a directory of its own."""
    progress("building beelance with its lines, a minute or two the first time")
    folder = CACHE / "profile"
    environment = {**os.environ, "CARGO_PROFILE_RELEASE_STRIP": "none",
                   "CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only"}
    run(ROOT / "cross" / "cargo", "build", "--release", "--bin", "beelance", "--target-dir", folder, env=environment)
    return folder / TARGET_NAME / "release" / "beelance"


def where(program, addresses):
    """For each address the functions, innermost first, each with its file."""
    command = ["arm-linux-gnueabihf-addr2line", "-aifC", "-e", program]
    asked = "".join(f"{address:#x}\n" for address in addresses)
    answer = subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    frames, current = {}, None
    lines = iter(answer.splitlines())
    for line in lines:
        if line.startswith("0x"):
            current = frames.setdefault(int(line, 16), [])
        else:
            file = next(lines).rpartition(":")[0].removeprefix(f"{ROOT}/")
            current.append((line, file))
    return frames


def ours(frames):
    """The innermost function of ours; else the one that is no part of another."""
    return next((frame for frame in frames if frame[1].startswith("src/")), frames[-1])


def part(file):
    """A file of ours as it is, of others the crate: what stands before src/ in their paths."""
    folders = file.split("/")
    return file if "src" not in folders[1:] else folders[folders.index("src", 1) - 1]


def grouped(spent, key):
    groups = {}
    for address, count in spent.items():
        groups[key(address)] = groups.get(key(address), 0) + count
    return sorted(groups.items(), key=lambda group: -group[1])


def show(title, groups):
    print(title)
    for name, count in groups[:SHOWN]:
        print(f"{count:8.0f}  {name}")
    rest = sum(count for _name, count in groups[SHOWN:])
    print(f"{rest:8.0f}  in {max(0, len(groups) - SHOWN)} others\n")
