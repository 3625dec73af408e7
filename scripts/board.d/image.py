"""The board's image: a root file system of BusyBox, Debian's, and beelance, which nothing writes to."""

import shutil

import packages
from common import ROOT, TARGET, Failed, binary, replace, run
from tree import Tree

OUT = TARGET / "image"
INITRD, SQUASHFS, OVERLAY = OUT / "board.initrd", OUT / "board.squashfs", OUT / "overlay.tar"
FOLDERS = ("bin", "dev", "etc", "lib", "mnt", "proc", "root", "run", "rw", "sbin", "sys", "tmp", "usr", "var", "var/empty")
# In seconds: for how long the watchdog lets a loop stand still.
ARGUMENTS = {"softdog": " soft_margin=5"}


def make():
    """Writes the image both ways, and the overlay; their paths."""
    replace(INITRD, root().cpio())
    squash(root(), SQUASHFS)
    tree = Tree()
    add_beelance(tree)
    replace(OVERLAY, tree.tar())
    return INITRD, SQUASHFS, OVERLAY


def added_bytes():
    """What that overlay takes of a root that is packed as a Breadbee's."""
    tree, path = Tree(), OUT / "overlay.squashfs"
    add_beelance(tree)
    squash(tree, path)
    taken = path.stat().st_size
    path.unlink()
    return taken


def add_beelance(tree):
    """What a root file system needs to run beelance, and all that it needs."""
    init = ROOT / "cross" / "init"
    tree.file("usr/sbin/beelance", binary().read_bytes())
    tree.file("etc/init.d/S50beelance", (init / "S50beelance").read_bytes())
    tree.file("etc/beelance.conf", (init / "beelance.conf").read_bytes(), 0o644)


def root():
    tree = Tree()
    for folder in FOLDERS:
        tree.folder(folder)
    tree.console()
    busybox = packages.kernel()[2]
    tree.file("bin/busybox", busybox.read_bytes())
    for path in run("qemu-arm-static", busybox, "--list-full").split():
        if path != "bin/busybox":
            tree.link(path, "/bin/busybox")
    tree.link("etc/resolv.conf", "/tmp/resolv.conf")
    tree.link("var/run", "/run")
    tree.copy(ROOT / "cross" / "image")
    for module in packages.modules():
        tree.file(f"lib/modules/{module.name}", module.read_bytes(), 0o644)
    order = [module.stem + ARGUMENTS.get(module.stem, "") + "\n" for module in packages.modules()]
    tree.file("lib/modules/order", "".join(order).encode(), 0o644)
    add_beelance(tree)
    return tree


def squash(tree, path):
    """As a Breadbee's root is: squashfs, packed by xz."""
    if not shutil.which("mksquashfs"):
        raise Failed("mksquashfs is missing: scripts/setup installs it")
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    run("mksquashfs", "-", new, "-tar", "-comp", "xz", "-b", "128k", "-mkfs-time", "0", "-all-time", "0", "-no-xattrs",
        "-processors", "1", "-quiet", "-no-progress", input=tree.tar(), text=False)
    new.rename(path)


def kernel():
    """The kernel that boots it here."""
    return packages.kernel()[0]
