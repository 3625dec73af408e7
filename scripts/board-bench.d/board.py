"""The whole board: 64 MB, one Cortex-A7, Debian's kernel, under qemu-system-arm with -icount shift=0, where one
nanosecond is one instruction. The client, two backends and the proxy run in it; a boot for each proxy.
"""

import re
import subprocess

import packages
import programs
from common import Failed, end, progress
from places import HERE, OUT
from tree import Tree

MEMORY_MB = 64
LONGEST_S = 900
ADDRESSES = {"LISTEN": "127.0.0.1:8000", "BACKEND_1": "127.0.0.1:8001", "BACKEND_2": "127.0.0.1:8002",
             "FOLDER": "/tmp", "CONFIG": "/etc/proxy.conf"}
# What guest/init prints: instructions per request, microseconds, kB, kB available, wake-ups in 20 idle seconds.
FIGURES = ("keep-alive-1", "keep-alive-16", "fresh", "first-byte", "rss-idle", "anon-idle", "rss-after", "anon-after",
           "available-before", "available-idle", "available-after", "wakeups", "total")


def measure(peer):
    """Boots the board with this proxy; its figures."""
    kernel, version, busybox = packages.kernel()
    OUT.mkdir(parents=True, exist_ok=True)
    image = OUT / f"{peer.name}.initrd"
    write_initrd(image, peer, busybox)
    figures = boot(kernel, image, OUT / f"{peer.name}.console")
    progress(f"board, {peer.title}: {figures['keep-alive-1']} instructions per keep-alive request, "
             f"{figures['rss-idle']} kB resident")
    return {**figures, "kernel": version}


def write_initrd(image, peer, busybox):
    initrd = Tree()
    for folder in ("bin", "dev", "etc", "lib", "proc", "sys", "tmp", "usr", "usr/bin", "usr/sbin"):
        initrd.folder(folder)
    initrd.console()
    initrd.file("init", (HERE / "guest" / "init").read_bytes())
    initrd.file("bin/busybox", busybox.read_bytes())
    for name in ("client", "server"):
        initrd.file(f"bin/{name}", programs.program(name).read_bytes())
    initrd.file("etc/passwd", b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    initrd.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    words, config = peer.fill(ADDRESSES)
    initrd.file("command", " ".join(words).encode())
    if config:
        initrd.file("etc/proxy.conf", config.encode())
    for path, source in peer.files().items():
        if path != "/bin/server":
            initrd.file(path.lstrip("/"), source.read_bytes())
    image.write_bytes(initrd.cpio())


def boot(kernel, image, console):
    """Runs the board until it powers itself off; the figures it printed."""
    command = ["qemu-system-arm", "-M", "virt", "-cpu", "cortex-a7", "-m", str(MEMORY_MB), "-smp", "1",
               "-icount", "shift=0,sleep=off", "-nographic", "-no-reboot", "-nic", "none",
               "-kernel", str(kernel), "-initrd", str(image),
               "-append", "console=ttyAMA0 panic=-1 quiet cma=0"]
    with open(console, "wb") as output:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        except FileNotFoundError:
            raise Failed("qemu-system-arm is missing: scripts/setup installs it") from None
        try:
            process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            end(process)
    said = console.read_text(errors="replace")
    figures = {name: int(value) for name, value in re.findall(r"^figure (\S+) (\d+)\s*$", said, re.MULTILINE)}
    if "done" not in said.split() or set(figures) != set(FIGURES):
        raise Failed(f"the board did not get through its measurement, see {console}:\n{said[-2000:]}")
    return figures
