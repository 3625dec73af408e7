"""What the parts share: the parameter file, the ways to balance, where things are."""

import hashlib
import pathlib

PARTS = pathlib.Path(__file__).resolve().parent
ROOT = PARTS.parent.parent
OUTPUT = ROOT / "target" / "keynote"
PARAMETERS = PARTS / "parameters"

# The slide: what was observed with n servers, and its straight line.
OBSERVED = lambda n: 0.75 * n - 0.0125 * n * n  # noqa: E731
LINEAR = lambda n: float(n)  # noqa: E731
SLIDE = (1, 5, 10, 20, 30, 40)
# Servers that are measured; up to four for the question from how many on it pays.
COUNTS = (1, 2, 3, 4, 5, 10, 20, 30, 40)


class Failed(Exception):
    """It cannot go on, or what came out is worth nothing."""


class Way:
    """A way to balance: its name, what it is called, which lines a configuration of beelance has for it."""

    def __init__(self, name, title, lines=(), limited=False, bound=False, arm=False, haproxy=False, counts=COUNTS):
        self.name, self.title, self.lines, self.counts = name, title, lines, counts
        self.limited, self.bound, self.arm, self.haproxy = limited, bound, arm, haproxy


LEAST = "pool.*.balance = leastconn"
COOKIE = "pool.*.cookie = SRV"
MAXCONN = "backend.*.maxconn = @maxconn@"
WAYS = {way.name: way for way in (
    Way("random", "scattered", ["pool.*.balance = random"]),
    Way("roundrobin", "scattered in turn", ["pool.*.balance = roundrobin"], counts=SLIDE),
    Way("haproxy", "scattered by HAProxy", haproxy=True, counts=SLIDE),
    Way("affinity", "affinity", [LEAST, COOKIE], bound=True),
    Way("maxconn", "maxconn", [LEAST, MAXCONN], limited=True),
    Way("both", "affinity and maxconn", [LEAST, COOKIE, MAXCONN], limited=True, bound=True),
    Way("wait", "the same with bounded wait", [LEAST, COOKIE, MAXCONN, "pool.*.stick.wait = @stick.wait@"], limited=True,
        bound=True),
    Way("arm", "affinity and maxconn, the armv7 binary", [LEAST, COOKIE, MAXCONN], limited=True, bound=True, arm=True,
        counts=SLIDE),
)}
SCATTERED = ("random", "roundrobin", "haproxy")


def parameters():
    """The file's values as text."""
    lines = (line.split("#")[0] for line in PARAMETERS.read_text().splitlines())
    return {key.strip(): value.strip() for key, found, value in (line.partition("=") for line in lines) if found}


def number(values, key):
    """A value without its unit."""
    return float(values[key].removesuffix("ms"))


def mark():
    """Tells the runs of one shop from those of another: what only the balancer, the report and comments say does not count."""
    others = ("unit", "watts.", "maxconn", "stick.wait")
    of_shop = sorted(pair for pair in parameters().items() if not pair[0].startswith(others))
    sources = sorted((PARTS / "shop" / "src").glob("*.rs"))
    return hashlib.sha256((repr(of_shop) + "".join(file.read_text() for file in sources)).encode()).hexdigest()[:12]
