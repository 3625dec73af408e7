"""What is measured: the systems, the workloads, and what design and documentation promise of them."""

import dataclasses

# As the results name them, as the reader sees them, and their colour in the picture.
SYSTEMS = {
    "beelance": ("beelance", "#e4572e"),
    "haproxy": ("HAProxy", "#4c78a8"),
    "splice": ("HAProxy, splice", "#93b7dc"),
    "nginx": ("nginx", "#54a24b"),
    "floor": ("floor", "#bab0ac"),
}
PEERS = ("haproxy", "splice", "nginx")


@dataclasses.dataclass(frozen=True)
class Workload:
    """What the client asks for."""

    name: str
    title: str
    path: str
    body: int
    connections: int
    closing: bool = False
    post: int = 0
    # HAProxy with splice does the same as without where no body is large enough for it; a floor that opens a connection
    # of its own for each client's is none where a proxy would reuse one.
    systems: tuple = ("beelance", "haproxy", "splice", "nginx", "floor")
    # The most that beelance may take of the better peer's CPU time.
    promise: float | None = None


WITHOUT_SPLICE = ("beelance", "haproxy", "nginx", "floor")
WORKLOADS = (
    Workload("keepalive-64", "small, 64 connections", "/small", 94, 64, systems=WITHOUT_SPLICE, promise=0.75),
    Workload("keepalive-1", "small, 1 connection", "/small", 94, 1, systems=WITHOUT_SPLICE, promise=0.70),
    Workload("keepalive-512", "small, 512 connections", "/small", 94, 512, systems=WITHOUT_SPLICE),
    Workload("close", "small, a connection each", "/small", 94, 64, closing=True, systems=WITHOUT_SPLICE[:3],
             promise=0.85),
    Workload("16k", "16 kB, 64 connections", "/16k", 16 * 1024, 64, promise=0.85),
    Workload("1m", "1 MB, 16 connections", "/1m", 1024 * 1024, 16, promise=0.90),
    Workload("chunked", "16 kB in chunks of 4 kB", "/chunked", 16 * 1024, 64),
    Workload("post", "POST of 16 kB", "/post", 94, 64, post=16 * 1024),
)
# Idle keep-alive connections, each after one request; how much memory it may take; who is asked.
IDLE = "idle"
IDLE_CONNECTIONS = 7000
IDLE_PROMISE_KB = 8 * 1024
IDLE_SYSTEMS = ("beelance", "haproxy", "nginx")
# System calls for a small request with 64 connections.
CALLS_PROMISE = 4.3
SMALL = b"0123456789" * 9 + b"0123"


def body(size):
    """The body of so many bytes that an answer must have."""
    return SMALL if size == len(SMALL) else b"".join(b"%015d\n" % place for place in range(size // 16))
