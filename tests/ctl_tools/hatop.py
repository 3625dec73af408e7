"""Runs hatop in a pseudo-terminal until its screen shows all the words given; prints what was missing."""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time


def main(socket, words):
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        os.environ["TERM"] = "vt100"
        os.execvp("hatop", ["hatop", "-s", socket])
    shown, end = "", time.monotonic() + 20
    missing = words
    while missing and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                break
            plain = re.sub(r"\x1b[()][A-Z0-9]|\x1b\[[0-9;?]*[a-zA-Z]|[\x0e\x0f]", " ", shown)
            missing = [word for word in words if word not in plain]
    try:
        os.write(terminal, b"q")
    except OSError:
        pass
    os.kill(pid, 15)
    os.waitpid(pid, 0)
    if missing:
        sys.exit(f"hatop does not show {missing}:\n{shown[-2000:]}")

main(sys.argv[1], sys.argv[2:])
