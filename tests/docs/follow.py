"""Follows a page of the documentation word for word, in a machine of its own: usage: follow.py PAGE BEELANCE FOLDER

Runs in namespaces of its own (tests/docs.rs), where /etc, /usr/sbin, /run and /tmp are its own and nothing listens yet. Of the page

    ```sh         each line is a command, which must succeed
    ```console    lines behind `$ ` are commands, what follows is what they print: numbers may differ, `...` is anything
    ```conf       lines of a file, which `check` must accept

A command that starts a server, or ends in `&`, goes on in the background to the end of its block; a beelance with
/etc/beelance.conf to the end of the page. Each is asked for a page, and must end with 0 when it is told to.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

PATIENCE_S = 60
BASE = """listen.web = {web}
backend.s1 = 127.0.0.1:8081
backend.s1.pool = shop
listen.web.pool = shop
log.access = stderr
"""
SYSTEM = """admin.socket = /run/beelance.sock
listen.local = unix:/run/beelance/web.sock
listen.local.pool = shop
user = nobody
"""
SERVER = """listen.server = 127.0.0.1:8081
route.all.path = /*
route.all.return = 200 a shop
"""


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


def machine(program, folder):
    """The namespaces' own files, and what the page takes for granted: a file, a program, a server behind it."""
    for place in ("etc", "usr/sbin"):
        upper, work = folder / place / "upper", folder / place / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/{place},upperdir={upper},workdir={work}", f"/{place}")
    shutil.copy(program, "/usr/sbin/beelance")
    for place in ("/run", "/tmp"):
        run("mount", "-t", "tmpfs", "tmpfs", place)
    run("ip", "link", "set", "lo", "up")
    os.mkdir("/tmp/work")
    os.chdir("/tmp/work")
    os.environ |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": "/tmp"}
    os.mkdir("/run/beelance")
    shutil.chown("/run/beelance", "nobody")
    write("/etc/beelance.conf", BASE.format(web="127.0.0.1:80") + SYSTEM)
    write("shop.conf", BASE.format(web="127.0.0.1:8080"))
    write("server.conf", SERVER)
    for copy in ("beelance.new", "/tmp/beelance"):
        shutil.copy("/usr/sbin/beelance", copy)
    os.symlink("/run/beelance.sock", "/tmp/b.sock")
    # By a name of its own: it is no beelance for who looks for one.
    shutil.copy("/usr/sbin/beelance", "/usr/sbin/shop")
    server = subprocess.Popen(["shop", "run", "-c", "server.conf"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    if not server.stdout.readline().startswith(b"listening on"):
        sys.exit("the server behind does not start")
    return server


def run(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def write(path, text):
    pathlib.Path(path).write_text(text)


def blocks(page):
    """(where, kind, lines) of each block that has one of the kinds."""
    kind, lines, begin = None, [], 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            if kind is None:
                kind, lines, begin = line[3:].strip(), [], number
            else:
                if kind in ("sh", "console", "conf"):
                    yield f"{page}:{begin}", kind, lines
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
    plain = [re.sub(r"\s+", " ", re.sub(r"\d+", "0", line)).strip() for line in said.splitlines()]
    at = 0
    for line in wanted:
        line = re.sub(r"\s+", " ", re.sub(r"\d+", "0", line)).strip()
        if line in ("", "..."):
            continue
        while at < len(plain) and plain[at] != line:
            at += 1
        if at == len(plain):
            return False
        at += 1
    return True


def steps(kind, lines):
    """(command, what it prints) of a block."""
    if kind == "sh":
        return [(line, []) for line in lines if line.strip() and not line.startswith("#")]
    found = []
    for line in lines:
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


def follow(where, kind, lines, staying):
    going = []
    for command, wanted in steps(kind, lines):
        plain = re.sub(r"\s+#.*", "", command).strip()
        print(f"{where}: {plain}", flush=True)
        if plain.endswith("&") or "beelance run" in plain:
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
            return ended.returncode == 0 and alike(wanted, ended.stdout)

        # What was started just now may not be there yet, and what was asked for just now may still be under way.
        until(where, lambda: f"`{plain}` ended with {said}, instead of {wanted}", is_done)
    for one in reversed(going):
        one.end()


def main():
    page, program, folder = map(pathlib.Path, sys.argv[1:])
    page = page.resolve()
    found = list(blocks(page))
    server = machine(program, folder)
    staying = []
    for where, kind, lines in found:
        if kind != "conf":
            follow(where, kind, lines, staying)
            continue
        print(f"{where}: a file", flush=True)
        write("added.conf", BASE.format(web="127.0.0.1:8080") + "\n".join(lines) + "\n")
        ended = subprocess.run(["beelance", "check", "-c", "added.conf"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if ended.returncode:
            fail(where, ended.stderr)
    for one in staying:
        one.end()
    server.terminate()
    print(f"{sum(len(steps(kind, lines)) for _, kind, lines in found if kind != 'conf')} commands, "
          f"{sum(kind == 'conf' for _, kind, _ in found)} files")


if __name__ == "__main__":
    main()
