"""scripts/install against the board, by a real ssh server in it."""

import pathlib
import subprocess
import tempfile

from checks import expect
from common import ROOT, binary, run
from load import Load

# It looks well until it is to serve.
DIES = b"#!/bin/sh\ncase $1 in run) exit 3 ;; esac\n"


class Way:
    """Keys and an ssh server in the board, which has none of its own, and scripts/install with them."""

    def __init__(self, site):
        self.site = site
        self.temporary = tempfile.TemporaryDirectory(prefix="install-")
        self.folder = pathlib.Path(self.temporary.name)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "key")
        public = (self.folder / "key.pub").read_text().strip()
        # The root cannot be written to: what the server needs there is mounted from memory.
        for command in (
            "mount -o bind /tmp/ssh/lib /lib",
            "mkdir -p -m 700 /tmp/home/.ssh && mount -o bind /tmp/home /root",
            f"echo '{public}' >/root/.ssh/authorized_keys",
            "/tmp/ssh/usr/sbin/dropbearkey -t ed25519 -f /tmp/hostkey >/dev/null",
            "/tmp/ssh/usr/sbin/dropbear -r /tmp/hostkey -s -P /tmp/dropbear.pid",
        ):
            site.board.run(command)
        self.ssh = (f"ssh -p {site.board.ports[22]} -i {self.folder}/key -o StrictHostKeyChecking=no "
                    f"-o UserKnownHostsFile={self.folder}/known -o BatchMode=yes -o LogLevel=ERROR "
                    f"-o ControlMaster=auto -o ControlPath={self.folder}/control -o ControlPersist=60")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The connection that they share is a process of its own.
        subprocess.run([*self.ssh.split(), "-O", "exit", "127.0.0.1"], stdin=subprocess.DEVNULL, capture_output=True,
                       check=False)
        self.temporary.cleanup()

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o755)
        return path

    def install(self, *words):
        """Its exit code, and what it said."""
        command = [ROOT / "scripts" / "install", "--ssh", self.ssh, *words, "root@127.0.0.1"]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, check=False)
        return ended.returncode, ended.stdout

    def must(self, status, words, *options):
        """Runs it: it must end with this and say these words."""
        ended, said = self.install(*options)
        for word in words:
            expect(ended == status and word in said, f"scripts/install {options} ended with {ended}: {said}")

    def runs(self, program):
        """Which program serves."""
        expect(self.site.curl()[0] == 200, "it does not serve")
        found = self.site.board.run(f"readlink /proc/{self.site.pid()}/exe")
        expect(found == program, f"{found} runs and not {program}")


def goes_through(way, place, before):
    """The same on every board: dry, refused, put back, installed, there already, rolled back."""
    board = way.site.board
    # The same program with other bytes.
    other = way.file("other", binary().read_bytes() + b"another release")
    sums = f"sha256sum {place} /rw/beelance.conf /etc/init.d/S50beelance 2>&1; ls /rw"
    was = board.try_run(sums)[1]
    way.must(0, ["would put", "would check"], "--dry-run", "--binary", other)
    way.must(1, ["nothing to put back", "nothing has changed"], "--rollback")
    way.must(1, ["beelance.conf.new:1: listne.web", "nothing has changed"], "--config", way.file("wrong", b"listne.web = :80\n"))
    way.must(1, ["does not run on the board", "nothing has changed"], "--binary", "/bin/true")
    way.must(1, ["is put back", "nothing has changed"], "--binary", way.file("dies", DIES))
    way.runs(before)
    expect(board.try_run(sums)[1] == was, "a refused installation has left something")
    way.must(0, [f"as {place}", "beelance runs"], "--binary", other)
    way.runs(place)
    expect(board.run(f"sha256sum <{place}").split()[0] == run("sha256sum", other).split()[0], "another binary is there")
    way.must(0, ["all is there already, and runs"], "--binary", other)
    way.must(0, [f"would put back {place}"], "--rollback", "--dry-run")
    way.must(0, ["is back"], "--rollback")
    way.runs(before)
    expect(board.try_run(sums)[1] == was, "a rollback has left something")


def on_flash(site, _figures):
    """scripts/install beside a root that cannot be written to: into /rw, and back; one without room says so"""
    with Way(site) as way:
        goes_through(way, "/rw/beelance", "/usr/sbin/beelance")
        site.board.run("cp /rw/beelance.conf /tmp/good.conf && mount -t tmpfs -o size=256k small /rw && "
                       "cp /tmp/good.conf /rw/beelance.conf")
        way.must(1, ["kB free", "docs/board.md"], "--binary", way.file("other", binary().read_bytes() + b"another"))


def on_writable(site, _figures):
    """scripts/install where the root can be written to: in place and under load, the init script as well, and back"""
    run_here = site.board.run
    run_here("mount -o remount,rw / && echo '# older' >>/etc/init.d/S50beelance")
    sums = "sha256sum /usr/sbin/beelance /etc/init.d/S50beelance; ls /usr/sbin /etc/init.d"
    was = run_here(sums)
    with Way(site) as way:
        other = way.file("other", binary().read_bytes() + b"another release")
        pid = site.pid()
        with Load(site.board.ports[80]) as load:
            way.must(0, ["as /usr/sbin/beelance", "as /etc/init.d/S50beelance", "beelance runs"], "--binary", other)
            load.more(20)
        expect(site.pid() == pid, "it was started anew, instead of upgraded in place")
        way.runs("/usr/sbin/beelance")
        expect(run_here("sha256sum </usr/sbin/beelance").split()[0] == run("sha256sum", other).split()[0],
               "another binary is there")
        expect("older" not in run_here("cat /etc/init.d/S50beelance"), "the init script is the old one")
        way.must(0, ["is back"], "--rollback")
        way.runs("/usr/sbin/beelance")
    expect(run_here(sums) == was, "a rollback has left something")
