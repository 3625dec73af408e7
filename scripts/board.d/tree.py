"""A file tree in memory, written as an initial root file system (cpio, "newc") or as a tar archive: the same bytes for the
same files, without root and tools.
"""

import gzip
import io
import stat
import tarfile


class Tree:
    """What is added, by path; a file's folders are made with it. What is added again replaces what was there."""

    def __init__(self):
        self.entries = {}

    def folder(self, path, mode=0o755):
        self.add(path, stat.S_IFDIR | mode)

    def file(self, path, content, mode=0o755):
        self.add(path, stat.S_IFREG | mode, content)

    def link(self, path, target):
        self.add(path, stat.S_IFLNK | 0o777, target.encode())

    def console(self):
        """What the kernel opens before there is a /dev."""
        self.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))

    def add(self, path, mode, content=b"", device=(0, 0)):
        parent = path.rpartition("/")[0]
        if parent and parent not in self.entries:
            self.folder(parent)
        self.entries[path] = mode, content, device

    def copy(self, folder, to=""):
        """Adds the files of a folder here as they are: whoever may run them there may in the tree."""
        for source in sorted(folder.rglob("*")):
            path = f"{to}{source.relative_to(folder)}"
            if source.is_file():
                self.file(path, source.read_bytes(), 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)
            else:
                self.folder(path)

    def cpio(self):
        archive = bytearray()

        def append(piece):
            archive.extend(piece)
            archive.extend(bytes(-len(archive) % 4))

        def entry(inode, path, mode, content, device):
            name = path.encode() + b"\0"
            # Inode, mode, owner, group, links, time, size, device of the file system, device, length of the name, checksum.
            fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
            append(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
            append(content)

        for inode, (path, parts) in enumerate(self.entries.items(), 1):
            entry(inode, path, *parts)
        entry(len(self.entries) + 1, "TRAILER!!!", 0, b"", (0, 0))
        return gzip.compress(bytes(archive), 6, mtime=0)

    def tar(self):
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path, (mode, content, device) in self.entries.items():
                member = tarfile.TarInfo(path)
                member.mode, member.uname, member.gname = stat.S_IMODE(mode), "root", "root"
                if stat.S_ISDIR(mode):
                    member.type = tarfile.DIRTYPE
                elif stat.S_ISLNK(mode):
                    member.type, member.linkname = tarfile.SYMTYPE, content.decode()
                elif stat.S_ISCHR(mode):
                    member.type, (member.devmajor, member.devminor) = tarfile.CHRTYPE, device
                else:
                    member.size = len(content)
                tar.addfile(member, io.BytesIO(content) if member.isfile() else None)
        return output.getvalue()
