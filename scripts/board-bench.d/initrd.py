"""Writes an initial root file system (cpio, "newc"): the same bytes for the same files, without root and tools."""

import gzip

FOLDER, FILE, CHARACTER_DEVICE = 0o040755, 0o100755, 0o020600


class Initrd:
    """What is added, in order; a file's folder comes before it."""

    def __init__(self):
        self.archive = bytearray()
        self.entries = 0

    def folder(self, path):
        self.entry(path, FOLDER)

    def file(self, path, content):
        self.entry(path, FILE, content)

    def console(self):
        self.entry("dev/console", CHARACTER_DEVICE, device=(5, 1))

    def entry(self, path, mode, content=b"", device=(0, 0)):
        self.entries += 1
        name = path.encode() + b"\0"
        # Inode, mode, owner, group, links, time, size, device of the file system, device, length of the name, checksum.
        fields = (self.entries, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
        self.append(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        self.append(content)

    def append(self, piece):
        self.archive += piece
        self.archive += bytes(-len(self.archive) % 4)

    def packed(self):
        self.entry("TRAILER!!!", 0)
        return gzip.compress(bytes(self.archive), 6, mtime=0)
