"""The emulated board: how qemu is called. One Cortex-A7, a network of its own (the host is 10.0.2.2), disks by name."""

MEMORY_MB = 64


class Disk:
    """A file that the board sees as a disk with this serial number."""

    def __init__(self, name, path, writable=False):
        self.name, self.path, self.writable = name, path, writable


def command(kernel, initrd, disks=(), append="", forwarded=(), memory_mb=MEMORY_MB, machine="virt"):
    """The words of the command line. `forwarded` are pairs of an address here and a port of the board."""
    words = ["qemu-system-arm", "-M", machine, "-cpu", "cortex-a7", "-m", str(memory_mb), "-smp", "1", "-display", "none",
             "-no-reboot", "-kernel", str(kernel), "-initrd", str(initrd),
             "-append", f"console=ttyAMA0 panic=-1 quiet cma=0 {append}".strip()]
    network = "user,id=net,ipv6=off" + "".join(f",hostfwd=tcp:{here}-:{port}" for here, port in forwarded)
    words += ["-netdev", network, "-device", "virtio-net-device,netdev=net"]
    for disk in disks:
        words += ["-drive", f"if=none,id={disk.name},format=raw,file={disk.path},readonly={'off' if disk.writable else 'on'}",
                  "-device", f"virtio-blk-device,drive={disk.name},serial={disk.name}"]
    return words
