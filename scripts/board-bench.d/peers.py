"""Who is measured: beelance, its peers, and no proxy at all; how each is started, and which files it needs."""

import packages
import programs
from common import binary
from places import HERE


class Peer:
    """One proxy. `words` is its command line; @WORDS@ in it and in its configuration are filled in."""

    def __init__(self, name, title, words, config=None, is_static=True):
        self.name, self.title, self.words, self.config, self.is_static = name, title, words, config, is_static

    def program(self):
        """The program's file on this machine."""
        if self is BEELANCE:
            return binary()
        if self is NONE:
            return programs.program("server")
        if self.is_static:
            return packages.static_haproxy()[0]
        return packages.peers()[0] / self.words[0].lstrip("/")

    def why_not(self):
        """Why it cannot be measured on this machine, if so."""
        return packages.static_haproxy()[1] if self is STATIC_HAPROXY else None

    def fill(self, values, logged=False):
        """The command line and the configuration for these addresses."""
        text = self.config and (HERE / "conf" / self.config).read_text()
        if logged:
            text += (HERE / "conf" / "logged.conf").read_text()
        return [filled(word, values) for word in self.words], text and filled(text, values)

    def files(self):
        """Path in the guest and file here of the program and every library it needs."""
        found = {self.words[0]: self.program()}
        if self.is_static:
            return found
        return found | packages.libraries(packages.peers()[0], self.program())


def filled(text, values):
    for word, value in values.items():
        text = text.replace(f"@{word}@", value)
    return text


# A backend in the proxy's place: what the kernel and a server do anyway.
NONE = Peer("none", "no proxy", ["/bin/server", "8000"])
BEELANCE = Peer("beelance", "beelance", ["/bin/beelance", "run", "-c", "@CONFIG@"], "beelance.conf")
STATIC_HAPROXY = Peer("haproxy-static", "HAProxy, minimal", ["/bin/haproxy", "-db", "-f", "@CONFIG@"], "haproxy.cfg")
ALL = (
    NONE,
    BEELANCE,
    Peer("pen", "pen", ["/usr/bin/pen", "-f", "-r", "-H", "@LISTEN@", "@BACKEND_1@", "@BACKEND_2@"], is_static=False),
    Peer("nginx", "nginx", ["/usr/sbin/nginx", "-p", "@FOLDER@/", "-e", "@FOLDER@/nginx.log", "-c", "@CONFIG@"],
         "nginx.conf", is_static=False),
    STATIC_HAPROXY,
    Peer("haproxy", "HAProxy, Debian's", ["/usr/sbin/haproxy", "-db", "-f", "@CONFIG@"], "haproxy.cfg",
         is_static=False),
)
