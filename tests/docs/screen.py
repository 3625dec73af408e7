"""A program that takes the whole terminal, in a terminal of its own, until its screen has shown what it should."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

PATIENCE_S = 60
# What a VT100 does with the cursor, colours and character sets.
CONTROLS = r"\x1b[()][A-Z0-9]|\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|[\x0e\x0f]"


def show(command, words):
    """Runs it until all words were shown, then types `q`; what is wrong, or nothing."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        os.environ["TERM"] = "vt100"
        os.execvp(command[0], command)
    shown, missing, end = "", words, time.monotonic() + PATIENCE_S
    asked = False
    while time.monotonic() < end:
        if not missing and not asked:
            os.write(terminal, b"q")
            asked = True
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            shown += os.read(terminal, 65536).decode(errors="replace")
        except OSError:
            break
        plain = re.sub(CONTROLS, " ", shown)
        missing = [word for word in words if word not in plain]
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if missing or code:
        return f"{' '.join(command)} ended with {code} and did not show {missing}: {shown[-2000:]!r}"
    return None
