"""The programs that work in the board beside beelance, built by the cross gcc: a client and a backend."""

import pathlib

from common import CACHE, is_newer, run

SOURCES = pathlib.Path(__file__).resolve().parent / "guest"


def program(name):
    source, made = SOURCES / f"{name}.c", CACHE / "guest" / name
    made.parent.mkdir(parents=True, exist_ok=True)
    if not is_newer(made, source):
        run("arm-linux-gnueabihf-gcc", "-O2", "-Wall", "-Wextra", "-static", "-s", "-o", made, source)
    return made
