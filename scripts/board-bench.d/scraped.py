"""What a scrape of /metrics each second costs the requests of that second: user instructions, counted under qemu-arm.

The fewer requests there are in a second, the more of the scrape is on each, and the less it matters: what counts is a second full
of them.
"""

import contextlib
import http.client
import statistics

import peers
import usermode
from common import Failed, progress
from places import OUT
from workload import on_one_processor

SCRAPES = 9
# Requests in a second that leaves the core nothing: 1 GHz, 40,000 instructions each, the kernel's among them, and four cycles, which is
# many, for one of them.
FULL_SECOND = 1_000_000_000 // 40_000 // 4
MOST_PERCENT = 2


def measure():
    """Prints it; whether it is within the promise."""
    plain, config = peers.BEELANCE, peers.BEELANCE.config
    row = usermode.ROWS[0]
    plain.config = "scraped.conf"
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(on_one_processor())
            counts, requester = usermode.warmed_up(stack, usermode.build_plugin(), plain, row)
            found = [line.split()[2] for line in (OUT / "user.log").read_text().splitlines() if "(admin.listen)" in line]
            scraper = http.client.HTTPConnection(found[0], timeout=20)
            request = figure(counts, lambda: requester.requests(usermode.REQUESTS)) / usermode.REQUESTS
            scrape = figure(counts, lambda: ask(scraper, requester.workload))
            scraper.close()
    finally:
        plain.config = config
    percent = 100 * scrape / (FULL_SECOND * request)
    progress(f"a keep-alive request: {request:.0f} user instructions; a scrape of two servers: {scrape:.0f}")
    print(f"a scrape each second adds {percent:.2f} % to the user instructions of {FULL_SECOND} requests; "
          f"at most {MOST_PERCENT} % from {100 * scrape / (MOST_PERCENT * request):.0f} requests a second on")
    return percent < MOST_PERCENT


def figure(counts, do):
    """The instructions of the median time that it is done."""
    spent = []
    for _ in range(SCRAPES):
        before = counts.read()[0]
        do()
        spent.append(counts.read()[0] - before)
    return statistics.median(spent)


def ask(scraper, workload):
    """One scrape, until the process sleeps again."""
    scraper.request("GET", "/metrics")
    answer = scraper.getresponse()
    if answer.status != 200 or b"\nhaproxy_process_requests_total " not in answer.read():
        raise Failed("/metrics does not tell what it should")
    workload.settle()
