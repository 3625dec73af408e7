"""Follows a page of the documentation word for word, in a machine of its own: usage: follow.py PAGE BEELANCE FOLDER

Runs in namespaces of its own (machine.py). Of the page

    ```sh         each line, with the text that belongs to it (<<'END'), is a command, which must succeed
    ```console    lines behind `$ ` are commands, what follows is what they print: numbers may differ, `...` is anything
    ```conf       lines of a file, which `check` must accept
    ```conf run   lines that stand in /etc/beelance.conf from the beginning of the page to its end

A block of another kind, and a command that cannot be followed, are in NOT_RUN, with the reason. A command that starts a server, or
ends in `&`, goes on in the background to the end of its block; a beelance with /etc/beelance.conf to the end of the page. Each is
asked for a page, and must end with 0 when it is told to. A line that gives a variable a value holds for the rest of the page.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

import machine
import screen

PATIENCE_S = 60
# What is not followed, by how the block or the command begins, and why.
NOT_RUN = {
    "ssh -L": "there is no other machine",
    "kill %1": "what goes on in the background ends with its block here",
    "apiVersion: keda.sh": "KEDA needs a cluster; the question it asks is asked of a real Prometheus above",
    "$ beelance ctl show sess": "needs a client that is served, one that waits and one that is idle: tests/ctl_sessions.rs has them",
}
# What is done in other words, since no systemd runs here.
STAND_INS = {"systemctl restart rsyslog": "rsyslogd"}
# Programs that take the whole terminal: what they must show before `q` ends them.
SCREENS = {"hatop": ["HAProxy", "web", "shop", "s1", "s2"]}
RUN = ("sh", "console", "conf", "conf run")


def fail(where, what):
    sys.exit(f"{where}: {what}")


def until(where, what, is_so):
    """Waits until it is so; what it says."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := is_so()):
        if time.monotonic() > end:
            fail(where, f"not within {PATIENCE_S} s: {what() if callable(what) else what}")
        time.sleep(0.02)
    return answer


def reason(text):
    """Why it is not followed, if it is not."""
    return next((why for begin, why in NOT_RUN.items() if text.startswith(begin)), None)


def blocks(page):
    """(where, kind, lines) of each block that is followed."""
    kind, lines, begin = None, [], 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            if kind is None:
                kind, lines, begin = line[3:].strip(), [], number
                continue
            where = f"{page}:{begin}"
            if kind in RUN:
                yield where, kind, lines
            elif not reason("\n".join(lines)):
                fail(where, f"a block of the kind `{kind}` is not followed, and NOT_RUN does not say why")
            kind = None
        elif kind is not None:
            lines.append(line)


class Background:
    """A command that goes on, in a group of processes of its own."""

    def __init__(self, where, command):
        self.where, self.command = where, command
        self.out = open(f"/tmp/background-{time.monotonic_ns()}", "w+b")
        self.process = subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=subprocess.STDOUT, start_new_session=True)
        if found := re.search(r"UNIX-RECV:(\S+)", command):
            until(where, "its socket is there", lambda: os.path.exists(found.group(1)))
        if "beelance run" in command:
            self.ask()
        # Whoever types it sees its first words before he types on.
        elif "beelance demo" in command:
            until(where, lambda: self.said(), lambda: "\nProcesses: " in self.said())

    def said(self):
        self.out.flush()
        return pathlib.Path(self.out.name).read_text(errors="replace")

    def ask(self):
        """It serves."""
        text = pathlib.Path(re.search(r"-c (\S+)", self.command).group(1)).read_text()
        url = "http://" + re.search(r"listen\.web\s*= (\S+)", text).group(1)

        def answered():
            if self.process.poll() is not None:
                fail(self.where, f"{self.command} has ended with {self.process.returncode}: {self.said()}")
            try:
                return urllib.request.urlopen(url, timeout=PATIENCE_S).status == 200
            except OSError:
                return False

        until(self.where, lambda: f"{url} answers; {self.said()}", answered)

    def end(self):
        if "beelance demo" in self.command:
            # As Ctrl-C does it.
            self.process.send_signal(signal.SIGINT)
            if self.process.wait(PATIENCE_S):
                fail(self.where, f"{self.command} ended with {self.process.returncode}: {self.said()}")
            return
        if "beelance run" not in self.command:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return
        # Only beelance is told: what reads its lines ends with it.
        members = subprocess.run(["pgrep", "-x", "-s", str(self.process.pid), "beelance"], capture_output=True, text=True, check=False)
        for pid in members.stdout.split():
            os.kill(int(pid), signal.SIGTERM)
        if self.process.wait(PATIENCE_S):
            fail(self.where, f"{self.command} ended with {self.process.returncode}: {self.said()}")
        if "halog" in self.command and " s1" not in self.said() and "/s1" not in self.said():
            fail(self.where, f"{self.command} does not tell of the server: {self.said()}")


def alike(wanted, said):
    """Whether what was said has the lines, in this order, but for numbers and blanks."""
    def of(line):
        return re.sub(r"\s+", " ", re.sub(r"\d+", "0", line)).strip()

    plain = [of(line) for line in said.splitlines()]
    at = 0
    for line in map(of, wanted):
        if line in ("", "..."):
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        while at < len(plain) and not pattern.fullmatch(plain[at]):
            at += 1
        if at == len(plain):
            return False
        at += 1
    return True


def steps(kind, lines):
    """(command, what it prints) of a block."""
    found, rest = [], iter(lines)
    if kind == "sh":
        for line in rest:
            if text := re.search(r"<<'(\w+)'", line):
                # The text up to the word that ends it.
                for more in rest:
                    line += f"\n{more}"
                    if more == text.group(1):
                        break
            if line.strip() and not line.startswith("#"):
                found.append((line, []))
        return found
    for line in rest:
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


def follow(where, kind, lines, staying):
    going = []
    for command, wanted in steps(kind, lines):
        plain = command if "\n" in command else re.sub(r"\s+#.*", "", command).strip()
        print(f"{where}: {plain}", flush=True)
        if why := reason(plain):
            print(f"not run: {why}")
            continue
        plain = STAND_INS.get(plain, plain)
        if value := re.fullmatch(r"([A-Z]+)=(\S+)", plain):
            os.environ[value[1]] = value[2]
            continue
        if words := SCREENS.get(plain.split()[0]):
            if missing := screen.show(plain.split(), words):
                fail(where, missing)
            continue
        if plain.endswith("&") or re.search(r"beelance (run|demo)", plain):
            one = Background(where, plain.removesuffix("&"))
            (staying if "-c /etc/beelance.conf" in plain else going).append(one)
            until(where, lambda: f"{plain} prints\n{wanted}\nbut\n{[it.said() for it in going]}",
                  lambda: not wanted or any(alike(wanted, it.said()) for it in going))
            continue
        said = ""

        def is_done():
            nonlocal said
            ended = subprocess.run(["bash", "-c", plain], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S, check=False)
            said = f"{ended.returncode}: {ended.stdout}"
            # What goes on in the background prints to the same terminal.
            return ended.returncode == 0 and alike(wanted, ended.stdout + "\n" + "".join(it.said() for it in going))

        # What was started just now may not be there yet, and what was asked for just now may still be under way.
        until(where, lambda: f"`{plain}` ended with {said}, instead of {wanted}", is_done)
    for one in reversed(going):
        one.end()


def main():
    page, program, folder = map(pathlib.Path, sys.argv[1:])
    page = page.resolve()
    found = list(blocks(page))
    lines = [line for _, kind, lines in found if kind == "conf run" for line in lines]
    servers = machine.make(page, program, folder, "\n".join(lines) + "\n")
    staying = []
    for where, kind, lines in found:
        if not kind.startswith("conf"):
            follow(where, kind, lines, staying)
        elif kind == "conf":
            print(f"{where}: a file", flush=True)
            machine.write("added.conf", machine.BASE.format(web="127.0.0.1:8080") + "\n".join(lines) + "\n")
            ended = subprocess.run(["beelance", "check", "-c", "added.conf"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                   check=False)
            if ended.returncode:
                fail(where, ended.stderr)
    for one in staying:
        one.end()
    for server in servers:
        server.terminate()
    files = [kind for _, kind, _ in found if kind.startswith("conf")]
    print(f"{sum(len(steps(kind, lines)) for _, kind, lines in found if not kind.startswith('conf'))} commands, {len(files)} files")


if __name__ == "__main__":
    main()
