"""What the scripts of the board share: places, the way to fail, progress, processes."""

import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = ROOT / "target"
CACHE = TARGET / "board"
BUILT = TARGET / "armv7-unknown-linux-musleabihf" / "release" / "beelance"
STARTED = time.monotonic()


class Failed(Exception):
    """It cannot go on, or what would come of it is worth nothing."""


def binary():
    """The board's binary."""
    if not BUILT.exists():
        raise Failed(f"{BUILT.relative_to(ROOT)} is not there: scripts/build-arm builds it")
    return BUILT


def progress(text):
    """One line that says how far it is, on standard error: standard output is for the figures."""
    name = pathlib.Path(sys.argv[0]).name
    print(f"{name}: {time.monotonic() - STARTED:4.0f} s  {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a command that must succeed; what it printed."""
    command = [str(word) for word in command]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
    if "input" in options:
        del options["stdin"]
    try:
        ended = subprocess.run(command, check=False, **options)
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


def replace(path, content):
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    if isinstance(content, bytes):
        new.write_bytes(content)
    else:
        new.write_text(content)
    os.replace(new, path)
