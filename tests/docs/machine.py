"""The machine on which a page of the documentation is followed: namespaces in which /dev, /etc, /usr/sbin, /run, /tmp, /var/log
and the network are its own (tests/docs.rs makes them), and what a page takes for granted: a file, a program, two servers behind."""

import os
import pathlib
import shutil
import subprocess
import sys

# Addresses of the pages: the balancer, the syslog, the servers.
ADDRESSES = ("192.168.1.2", "192.168.1.5", "192.168.1.11", "192.168.1.12")
BASE = """listen.web = {web}
listen.web.pool = shop
backend.s1 = 192.168.1.11:8080
backend.s1.pool = shop
backend.s2 = 192.168.1.12:8080
backend.s2.pool = shop
log.access = stderr
"""
SYSTEM = """admin.socket = /run/beelance.sock
listen.local = unix:/run/beelance/web.sock
listen.local.pool = shop
pool.shop.check.uri = /healthz
pool.shop.check.inter = 200ms
pool.shop.check.agent-port = 8099
pool.shop.cookie = SRV
pool.shop.stick = hdr:X-User
user = nobody
"""
SERVER = """listen.one = 192.168.1.11:8080
listen.two = 192.168.1.12:8080
route.all.path = /*
route.all.return = 200 a shop
"""
AGENT = "socat TCP-LISTEN:8099,reuseaddr,fork SYSTEM:'echo up'"
# Those of a machine's devices that programs of a page open.
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "watchdog")


def run(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def write(path, text):
    pathlib.Path(path).write_text(text)


def make(page, program, folder, lines):
    """All of it; `lines` are added to /etc/beelance.conf. The processes that are to be ended."""
    for place in ("etc", "usr/sbin"):
        upper, work = folder / place / "upper", folder / place / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/{place},upperdir={upper},workdir={work}", f"/{place}")
    shutil.copy(program, "/usr/sbin/beelance")
    python(page.parent.parent)
    os.makedirs("/etc/systemd/system", exist_ok=True)
    shutil.copy(page.parent.parent / "cross/init/beelance.service", "/etc/systemd/system")
    devices(folder / "dev")
    for place in ("/run", "/tmp", "/var/log", "/var/spool/rsyslog"):
        if os.path.isdir(place):
            run("mount", "-t", "tmpfs", "tmpfs", place)
    run("hostname", "board")
    run("ip", "link", "set", "lo", "up")
    for address in ADDRESSES:
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
    os.mkdir("/tmp/work")
    os.chdir("/tmp/work")
    os.environ |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": "/tmp", "HOME": "/tmp/work", "TERM": "vt100"}
    os.mkdir("/run/beelance")
    shutil.chown("/run/beelance", "nobody")
    write("/etc/beelance.conf", BASE.format(web="0.0.0.0:80") + SYSTEM + lines)
    write("shop.conf", BASE.format(web="127.0.0.1:8080"))
    write("server.conf", SERVER)
    # The kernel's messages are another machine's.
    syslog = pathlib.Path("/etc/rsyslog.conf")
    syslog.write_text("".join(line for line in syslog.open() if "imklog" not in line))
    for copy in ("beelance.new", "/tmp/beelance"):
        shutil.copy("/usr/sbin/beelance", copy)
    os.symlink("/run/beelance.sock", "/tmp/b.sock")
    # By a name of its own: it is no beelance for who looks for one.
    shutil.copy("/usr/sbin/beelance", "/usr/sbin/shop")
    server = subprocess.Popen(["shop", "run", "-c", "server.conf"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    if not server.stdout.readline().startswith(b"listening on"):
        sys.exit("the server behind does not start")
    return [server, subprocess.Popen(["bash", "-c", f"exec {AGENT}"], stdin=subprocess.DEVNULL)]


def devices(folder):
    """A /dev of its own, where a syslog can have its socket."""
    folder.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", str(folder))
    for name in DEVICES:
        if os.path.exists(f"/dev/{name}"):
            (folder / name).touch()
            run("mount", "--bind", f"/dev/{name}", str(folder / name))
    for name in ("pts", "shm"):
        (folder / name).mkdir()
    run("mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", str(folder / "pts"))
    (folder / "ptmx").symlink_to("pts/ptmx")
    run("mount", "-t", "tmpfs", "tmpfs", str(folder / "shm"))
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        (folder / name).symlink_to(f"/proc/self/fd{target}")
    run("mount", "--rbind", str(folder), "/dev")


def python(root):
    """What scripts/setup has installed by pip is installed here as well."""
    found = list(root.glob("target/python/lib/python3*/site-packages"))
    if not found or not (found[0] / "haproxyadmin").is_dir():
        sys.exit(f"haproxyadmin is not in {root}/target/python; scripts/setup puts it there")
    shutil.copytree(found[0] / "haproxyadmin", "/etc/python/haproxyadmin")
    shutil.copy(found[0] / "six.py", "/etc/python")
    os.environ["PYTHONPATH"] = "/etc/python"
