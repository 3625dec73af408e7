"""docs/board.md on the board, word for word: what it has its reader type, and what it says that comes of it."""

import re
import subprocess

from checks import expect
from common import ROOT

PAGE = ROOT / "docs" / "board.md"


def typed():
    """The blocks of section 1, each line without its indentation."""
    section = PAGE.read_text().split("\n## 1. ")[1].split("\n## ")[0]
    return [re.sub(r"(?m)^    ", "", block) for block in re.findall(r"(?m)(?:^    .*\n)+", section)]


def steps(block, prompt):
    """(command, what it prints) of a block; a here-document belongs to its command."""
    found, end = [], None
    for line in block.splitlines():
        if end:
            found[-1][0] += "\n" + line
            end = None if line == end else end
        elif line.startswith(prompt):
            found.append([line[len(prompt):], []])
            here = re.search(r"<<(\w+)", line)
            end = here and here.group(1)
        elif found:
            found[-1][1].append(line)
    return found


def plain(line):
    return re.sub(r"\d+", "0", line)


def without_a_board(site, _figures):
    """docs/board.md, section 1: what is typed there works, and prints what it says"""
    outside, inside = ([step for block in typed() for step in steps(block, prompt)] for prompt in ("$ ", "# "))
    expect(len(outside) >= 1 and len(inside) >= 4, f"docs/board.md has other steps: {outside}, {inside}")
    for command, printed in outside:
        here = command.replace("127.0.0.1:8080", f"127.0.0.1:{site.board.ports[80]}")
        said = subprocess.run(["bash", "-c", here], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
        expect(all(line in said.splitlines() for line in printed), f"{command!r} prints {said!r} and not {printed}")
    for command, printed in inside:
        # A server of the reader's own.
        said = site.board.run(command.replace("10.0.2.2:8000", f"10.0.2.2:{site.far.port}"))
        lines = [plain(line) for line in said.splitlines()]
        expect(all(plain(line) in lines for line in printed), f"{command!r} prints {said!r} and not {printed}")
    site.board.until("wget -q -O - http://127.0.0.1/", "what was typed serves")
    expect(site.curl()[2] == "from afar\n", "the server that was typed does not answer")
