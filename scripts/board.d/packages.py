"""Debian's armhf packages, unpacked under target/board and not installed: the kernel, busybox, and the peers' programs.

apt gets lists of its own for this, so the machine learns no foreign architecture. What is there is not fetched again.
"""

import lzma
import os
import re
import shutil
import struct
import subprocess
import tarfile
import time
import zlib

from common import CACHE, Failed, progress, replace, run

PEERS = (
    "haproxy", "nginx", "pen", "libc6", "libcap2", "libcrypt1", "libgcc-s1", "libgcrypt20", "libgeoip1",
    "libgpg-error0", "liblua5.3-0", "liblz4-1", "liblzma5", "libopentracing-c-wrapper0", "libopentracing1", "libpcre2-8-0", "libssl3",
    "libstdc++6", "libsystemd0", "libzstd1", "zlib1g",
)
# What Debian's kernel has not built in: network, disks, the file systems of / and of /rw, the watchdog.
MODULES = ("failover", "net_failover", "virtio_mmio", "virtio_net", "virtio_blk", "squashfs", "minix", "softdog")
DROPBEAR = ("dropbear-bin", "libc6", "libcrypt1", "libtomcrypt1", "libtommath1", "libgmp10", "zlib1g")
LOADER = "/lib/ld-linux-armhf.so.3"
LIBRARIES = ("lib/arm-linux-gnueabihf", "usr/lib/arm-linux-gnueabihf")
# Debian's multi-platform kernel is linked to run here in the memory of qemu's board "virt".
LOAD_ADDRESS = 0x4020_8000
STATIC_HAPROXY = ("TARGET=generic", "CC=arm-linux-gnueabihf-gcc", "LD=arm-linux-gnueabihf-gcc", "CPU_CFLAGS=-O2",
                  "ARCH_FLAGS=-march=armv7-a -mfpu=vfpv3-d16 -mfloat-abi=hard", "LDFLAGS=-static", "USE_EPOLL=1",
                  "USE_ACCEPT4=1", "USE_LINUX_SPLICE=1", "USE_CRYPT_H=", "USE_THREAD=")


def kernel():
    """The kernel as qemu loads it, its version, and busybox."""
    folder = CACHE / "kernel"
    wanted = [folder / "version", *(folder / "modules" / f"{name}.ko" for name in MODULES)]
    if not all(path.exists() for path in wanted):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        packages = fetch(folder, (thrice(newest_kernel), "busybox-static"))
        unpack(packages, folder, rf"boot/vmlinuz-.*|(usr/)?bin/busybox|lib/modules/.*/({'|'.join(MODULES)})\.ko")
        wrap(next((folder / "boot").iterdir()), folder / "linux.uimage")
        (folder / "modules").mkdir()
        for module in (folder / "lib").glob("**/*.ko"):
            module.rename(folder / "modules" / module.name)
        version = next(name.split("_")[1] for name in packages if name.startswith("linux-image"))
        replace(folder / "version", version + "\n")
    return folder / "linux.uimage", (folder / "version").read_text().strip(), next(folder.glob("**/bin/busybox"))


def newest_kernel():
    """The name of the package that Debian's newest armhf kernel is in."""
    depends = apt("apt-cache", "depends", "linux-image-armmp")
    image = re.search(r"Depends: (linux-image-\S+)", depends)
    if not image:
        raise Failed(f"apt knows no armhf kernel:\n{depends}")
    return image.group(1)


def modules():
    """The kernel's modules that the image loads, in the order in which they are loaded."""
    kernel()
    return [CACHE / "kernel" / "modules" / f"{name}.ko" for name in MODULES]


def peers():
    """The folder with the peers' programs and libraries, and the peers' versions."""
    root = CACHE / "peers"
    if not (root / "versions").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        packages = fetch(root, PEERS)
        unpack(packages, root, r"(usr/)?s?bin/(haproxy|nginx|pen)|(usr/)?lib/.*\.so[.0-9]*")
        loader = root / "lib" / "ld-linux-armhf.so.3"
        if not loader.exists():
            os.symlink("arm-linux-gnueabihf/ld-linux-armhf.so.3", loader)
        versions = [name.split("_")[:2] for name in packages if name.split("_")[0] in ("haproxy", "nginx", "pen")]
        replace(root / "versions", "".join(f"{name} {version}\n" for name, version in versions))
    return root, dict(line.split() for line in (root / "versions").read_text().splitlines())


def dropbear():
    """The files of an ssh server and of what it makes its key with: path in the guest, file here."""
    root = CACHE / "dropbear"
    programs = {f"/usr/sbin/{name}": name for name in ("dropbear", "dropbearkey")}
    if not (root / "there").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        unpack(fetch(root, DROPBEAR), root, r"(usr/)?s?bin/dropbear(key)?|(usr/)?lib/.*\.so[.0-9]*")
        replace(root / "there", "")
    found = {}
    for path, name in programs.items():
        found[path] = next(file for file in root.glob(f"usr/**/{name}") if file.is_file())
        found |= libraries(root, found[path])
    return found


def libraries(root, program):
    """The libraries that a program needs, with those that they need, and what loads them: path in the guest, file here."""
    found, waiting = {LOADER: next(root.glob("lib/**/ld-linux-armhf.so.3"))}, [program]
    while waiting:
        for library in re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", waiting.pop())):
            path = f"/lib/{library}"
            if path not in found:
                file = next((root / folder / library for folder in LIBRARIES if (root / folder / library).exists()), None)
                if not file:
                    raise Failed(f"{library} is in none of the packages unpacked in {root}")
                found[path] = file
                waiting.append(file)
    return found


def static_haproxy():
    """HAProxy as small as it gets, from Debian's source: its path, or why there is none."""
    program = CACHE / "haproxy-static" / "haproxy"
    if program.exists():
        return program, None
    folder = program.parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        archive = fetch_source(folder, "haproxy")
        progress("building the static haproxy, once")
        with tarfile.open(archive) as tar:
            tar.extractall(folder)
        source = next(path for path in folder.iterdir() if path.is_dir())
        run("make", "-C", source, f"-j{os.cpu_count()}", *STATIC_HAPROXY)
        run("arm-linux-gnueabihf-strip", "-o", program, source / "haproxy")
        shutil.rmtree(source)
    except (Failed, StopIteration) as failed:
        return None, str(failed)
    return program, None


def fetch(folder, packages):
    """Downloads packages; their files' names."""
    progress(f"downloading {' '.join(packages[:3])}{', ...' if len(packages) > 3 else ''} for armhf, once")
    thrice(lambda: apt("apt-get", "download", *packages, cwd=folder))
    return sorted(path.name for path in folder.glob("*.deb"))


def thrice(fetching):
    """What fetches may fail once, and once more; a pause between the tries, and new lists: they may be older than the mirror."""
    for pause_s in (10, 20):
        try:
            return fetching()
        except Failed as failed:
            progress(f"again in {pause_s} s: {failed}")
            time.sleep(pause_s)
            shutil.rmtree(CACHE / "apt", ignore_errors=True)
    return fetching()


def fetch_source(folder, package):
    """Downloads the archive that a package's source begins with, from where the system gets its packages."""
    targets = run("apt-get", "indextargets", "--format", "$(ORIGIN)|deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)",
                  "Created-By: Packages")
    failures = []
    # One after the other: not every mirror that has the packages has their sources.
    for number, source in enumerate(sorted({line for line in targets.splitlines() if line.startswith("Debian|")})):
        state = folder / f"apt-{number}"
        (state / "lists" / "partial").mkdir(parents=True)
        replace(state / "sources.list", source.partition("|")[2] + "\n")
        private = ("-o", f"Dir::Etc::SourceList={state}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
                   "-o", f"Dir::State::Lists={state}/lists", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
                   "-o", "APT::Sandbox::User=root")
        try:
            run("apt-get", *private, "update")
            run("apt-get", *private, "source", "--download-only", package, cwd=folder)
            return next(folder.glob(f"{package}_*.orig.tar.*z"))
        except Failed as failed:
            failures.append(str(failed))
        finally:
            shutil.rmtree(state)
    raise Failed(f"the source of {package} is not to be had:\n" + "\n".join(failures))


def apt(*command, **options):
    """An apt command for armhf."""
    lists = CACHE / "apt" / "lists"
    private = ("-o", "APT::Architecture=armhf", "-o", "APT::Architectures=armhf", "-o", f"Dir::State::Lists={lists}",
               "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "APT::Sandbox::User=root")
    if not lists.exists():
        (lists / "partial").mkdir(parents=True)
        progress("updating apt's list of armhf packages, once")
        # The list of some other source may fail to come; what counts are the packages.
        subprocess.run(["apt-get", *private, "update"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
    return run(command[0], *private, *command[1:], **options)


def unpack(packages, folder, wanted):
    """Unpacks those files of the packages in `folder` whose paths match."""
    for package in packages:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", folder / package], stdout=subprocess.PIPE) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    member.name = member.name.removeprefix("./")
                    if re.fullmatch(wanted, member.name) and (member.isfile() or member.issym()):
                        tar.extract(member, folder)
            process.stdout.read()
        (folder / package).unlink()


def wrap(vmlinuz, uimage):
    """Takes the kernel out of the part that unpacks itself, which would cost the guest seconds, into a U-Boot image."""
    packed = vmlinuz.read_bytes()
    image, at = b"", packed.find(b"\xfd7zXZ\0")
    # A short stream before it, if any, is not the kernel.
    while at >= 0 and len(image) < 4 << 20:
        try:
            image = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(packed[at:])
        except lzma.LZMAError:
            image = b""
        at = packed.find(b"\xfd7zXZ\0", at + 1)
    if len(image) < 4 << 20:
        raise Failed(f"no kernel in {vmlinuz}")

    def header(crc):
        # Magic, checksum of the header, time, size, addresses to load and enter, checksum; Linux, ARM, kernel, plain.
        return struct.pack(">7I4B32s", 0x2705_1956, crc, 0, len(image), LOAD_ADDRESS, LOAD_ADDRESS, zlib.crc32(image),
                           5, 2, 2, 0, b"linux")

    uimage.write_bytes(header(zlib.crc32(header(0))) + image)
