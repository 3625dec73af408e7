"""What the parts of scripts/board-bench share: places, the way to fail, progress, processes."""

import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = ROOT / "target"
CACHE = TARGET / "board"
OUT = TARGET / "board-bench"
BUILT = TARGET / "armv7-unknown-linux-musleabihf" / "release" / "beelance"
STARTED = time.monotonic()


class Failed(Exception):
    """Nothing can be measured, or what was measured is worth nothing."""


def binary():
    """The board's binary."""
    if not BUILT.exists():
        raise Failed(f"{BUILT.relative_to(ROOT)} is not there: scripts/build-arm builds it")
    return BUILT


def progress(text):
    """One line that says how far it is, on standard error: standard output is for the figures."""
    print(f"board-bench: {time.monotonic() - STARTED:4.0f} s  {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a command that must succeed; what it printed."""
    command = [str(word) for word in command]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, check=False, **options)
    except FileNotFoundError:
        raise Failed(f"{command[0]} is missing: scripts/setup installs it") from None
    if ended.returncode != 0:
        raise Failed(f"{' '.join(command)} failed:\n{ended.stdout}")
    return ended.stdout


def end(process):
    """Ends a process that this script started."""
    process.kill()
    process.wait()


def is_newer(made, *sources):
    """Whether a file is there and no older than what it was made of."""
    return made.exists() and all(made.stat().st_mtime >= source.stat().st_mtime for source in sources)


def replace(path, text):
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    os.replace(new, path)
