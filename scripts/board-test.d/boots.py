"""The boards that are booted: what each one is like, and what is checked on it."""

import checks
import documented
import image
import installed
import machine
import packages
import programs
from balanced import Site
from board import Board
from common import TARGET, progress, replace, run
from far import Far
from tree import Tree

OUT = TARGET / "board-test"
TOOLS, WRITABLE = OUT / "tools.tar", OUT / "rw.disk"
WRITABLE_BYTES = 4 << 20


class Boot:
    """A board from its kernel to its last check."""

    def __init__(self, name, title, config, checks, disks=(), **options):
        self.name, self.title, self.config, self.checks = name, title, config, checks
        self.disks, self.options = (machine.Disk("tools", TOOLS), *disks), options

    def run(self):
        """Boots and checks; the figures of the table."""
        figures = {}
        progress(f"booting {self.title}")
        with Far() as far, Board(OUT / f"{self.name}.console", self.disks, **self.options) as board:
            board.open_shell()
            site = Site(board, far, self.config)
            # The shell is asked for when all that starts at boot has started.
            figures["boot: beelance serves, s since the kernel began"] = board.run("cut -d' ' -f1 /proc/uptime")
            for check in self.checks:
                progress(f"  {check.__doc__}")
                check(site, figures)
        return figures


ALL = (
    Boot("flash", f"a board of {machine.MEMORY_MB} MB, its root in flash", "/rw/beelance.conf", (
        checks.boot, documented.without_a_board, checks.configure, checks.serves, checks.privileges, checks.start, checks.idle, checks.probes, checks.clock, checks.reload, checks.upgrade,
        checks.no_writes, checks.link, checks.drain, checks.crash, installed.on_flash),
         ports=(80, 22),
         disks=(machine.Disk("root", image.SQUASHFS), machine.Disk("rw", WRITABLE, writable=True)),
         append="random.trust_bootloader=off", machine_options=",dtb-randomness=off"),
    Boot("small", "the same with mem=52M, its root in memory", "/rw/beelance.conf", (
        checks.configure, checks.small, installed.on_writable, checks.watchdog), ports=(80, 22), append="mem=52M"),
)


def prepare():
    """Makes what is booted."""
    OUT.mkdir(parents=True, exist_ok=True)
    image.make()
    tools = Tree()
    for name in ("client", "server"):
        tools.file(name, programs.program(name).read_bytes())
    for path, file in packages.dropbear().items():
        tools.file(f"ssh{path}", file.read_bytes())
    replace(TOOLS, tools.tar())
    with open(WRITABLE, "wb") as disk:
        disk.truncate(WRITABLE_BYTES)
    run("/sbin/mkfs.minix", WRITABLE)
