"""What a run comes to: medians, ratios, the table on the screen, and the section of docs/benchmarks.md."""

import statistics

from workloads import CALLS_PROMISE, IDLE_PROMISE_KB, IDLE_SYSTEMS, PEERS, SYSTEMS, WORKLOADS

LATENCIES = ("p50_us", "p99_us", "p999_us")
RATE_KEYS = (*LATENCIES, "cpu_us")
FULL_KEYS = ("cpu_us", "user_us", "system_us", "per_s")


def summary(rounds):
    """Of one workload: each system's medians, and the ratio of beelance's CPU time to each other one's."""
    systems = {name: medians(results) for name, results in rounds.items()}
    own = [result["full"]["cpu_us"] for result in rounds["beelance"]]
    ratios = {}
    for name, results in rounds.items():
        if name != "beelance":
            each = [mine / result["full"]["cpu_us"] for mine, result in zip(own, results)]
            ratios[name] = {"median": statistics.median(each), "min": min(each), "max": max(each)}
    best = min((name for name in ratios if name in PEERS), key=lambda name: systems[name]["cpu_us"])
    return {"systems": systems, "ratios": ratios, "best": best}


def medians(results):
    """Of one system over the rounds."""
    full = {key: statistics.median(result["full"][key] for result in results) for key in FULL_KEYS}
    costs = [result["full"]["cpu_us"] for result in results]
    shown = {**full, "cpu_min_us": min(costs), "cpu_max_us": max(costs),
             "memory_kb": statistics.median(result["memory_kb"] for result in results)}
    if "rate" in results[0]:
        shown["unanswered"] = sum(result["rate"]["unanswered"] for result in results)
        shown["rate"] = {key: statistics.median(result["rate"][key] for result in results) for key in RATE_KEYS}
    calls = results[-1].get("calls")
    if calls:
        shown["calls"] = sum(calls.values())
    return shown


def measured(result):
    """The workloads of the result, in order, each with its summary."""
    return [(workload, result["workloads"][workload.name]["summary"]) for workload in WORKLOADS
            if workload.name in result["workloads"]]


# What is promised


def promises(result):
    """Each promise: what, the figure promised, the figure measured, and what that means."""
    rows = []
    for workload in WORKLOADS:
        if workload.promise:
            found = result["workloads"].get(workload.name, {}).get("summary")
            figure = found and found["ratios"][found["best"]]["median"]
            against = f" against {SYSTEMS[found['best']][0]}, the better peer" if found else ""
            rows.append((f"CPU per request, {workload.title}{against}", workload.promise, figure, "{:.2f}"))
    small = result["workloads"].get("keepalive-64", {}).get("summary", {}).get("systems", {}).get("beelance", {})
    rows.append(("system calls per request, small, 64 connections", CALLS_PROMISE, small.get("calls"), "{:.2f}"))
    idle = result["idle"].get("beelance")
    rows.append((f"resident memory with {result['idle_connections']:,} idle connections, MB", IDLE_PROMISE_KB / 1024,
                 idle and idle["with_kb"] / 1024, "{:.1f}"))
    return [(what, form.format(figure), form.format(found) if found else "", verdict(figure, found))
            for what, figure, found, form in rows]


def verdict(promised, found):
    """Kept, or by how much not."""
    if not found:
        return "not measured"
    return "kept" if found <= promised else f"missed by {(found / promised - 1) * 100:.1f} %"


# On the screen


def text(result, with_promises):
    """The whole table."""
    lines = [machine(result), *versions(result), ""]
    head = ("", "CPU us", "from..to", "user", "system", "requests/s", "memory", "calls", "p50 us", "p99 us", "p99.9 us",
            "CPU us", "ratio", "from..to")
    form = "{:<18}{:>8}{:>15}{:>7}{:>8}{:>12}{:>9}{:>7} |{:>9}{:>9}{:>9}{:>8} |{:>8}{:>13}"
    for workload, found in measured(result):
        rate = result["workloads"][workload.name].get("rate_per_s")
        lines.append(workload.title + (f"; between the bars: at {rate:,} a second" if rate else ""))
        lines.append(form.format(*head))
        for name, figures in found["systems"].items():
            mark = " *" if name == found["best"] else ""
            lines.append(form.format(SYSTEMS[name][0] + mark, *cells(figures), *ratio_cells(found["ratios"].get(name))))
        lines.append("")
    if result["idle"]:
        lines.append(f"{result['idle_connections']:,} idle connections: resident memory in MB before and with them")
        for name in IDLE_SYSTEMS:
            sizes = result["idle"][name]
            lines.append(f"{SYSTEMS[name][0]:<18}{sizes['before_kb'] / 1024:>8.1f}{sizes['with_kb'] / 1024:>8.1f}")
        lines.append("")
    lines.append("* the better peer; ratio: beelance's CPU time against this system's; memory: the peak, in MB")
    lines += [noise(result), *unanswered(result), ""]
    for what, promised, found, meaning in promises(result) if with_promises else ():
        if found:
            lines.append(f"{what}: {found}, at most {promised} promised: {meaning}")
    return "\n".join(lines)


def cells(figures):
    """A system's figures as text."""
    rate = figures.get("rate")
    latency = [f"{rate[key]:,.0f}" for key in LATENCIES] + [f"{rate['cpu_us']:.2f}"] if rate else [""] * 4
    return [f"{figures['cpu_us']:.2f}", f"{figures['cpu_min_us']:.1f}..{figures['cpu_max_us']:.1f}",
            f"{figures['user_us']:.1f}", f"{figures['system_us']:.1f}", f"{figures['per_s']:,.0f}",
            f"{figures['memory_kb'] / 1024:.1f}", f"{figures['calls']:.2f}" if "calls" in figures else "", *latency]


def ratio_cells(ratio):
    """A ratio and its range as text."""
    return [f"{ratio['median']:.3f}", f"{ratio['min']:.2f}..{ratio['max']:.2f}"] if ratio else ["", ""]


def machine(result):
    """One line about where and when."""
    return f"{result['date']}; {result['machine']}"


def versions(result):
    """One line for each program."""
    return [f"  {name}: {version}" for name, version in result["versions"].items()]


def noise(result):
    """What others did meanwhile."""
    each = ", ".join(f"{part * 100:.0f} %" for part in result["busy"])
    return f"Before each round other processes took this much of the machine: {each}."


def unanswered(result):
    """A line about each system that could not keep up with a rate."""
    return [f"At the fixed rate of {workload.title}, {figures['unanswered']:,} requests through {SYSTEMS[name][0]} had no answer "
            "within five seconds." for workload, found in measured(result) for name, figures in found["systems"].items()
            if figures.get("unanswered")]


# In docs/benchmarks.md


def section(result):
    """The text between the marks."""
    return "\n".join([
        "## Beside HAProxy and nginx", "",
        f"{machine(result)}. `{result['command']}`: {result['rounds']} rounds, each measurement "
        f"{result['seconds']:g} s long.", "", *versions_list(result), "", METHOD, "", " ".join([noise(result), *unanswered(result)]), "",
        "![CPU time per request](benchmarks.svg)", "",
        "### What is promised", "", *grid(["promise", "at most", "measured", ""], promises(result)), "",
        "### CPU microseconds per request", "",
        "At all it can take: user + system, in parentheses the least and the most of the rounds. The ratio is beelance "
        "against the better peer within a round: the median, and the range.", "", *cpu_grid(result), "",
        "The same at the fixed rate of the latencies below.", "",
        *system_grid(result, lambda figures: f"{figures['rate']['cpu_us']:.1f}" if "rate" in figures else ""), "",
        "### Requests a second", "",
        "Client, backends and proxy share the processors.", "",
        *system_grid(result, lambda figures: f"{figures['per_s']:,.0f}"), "",
        "### Latency at a fixed rate", "",
        "Microseconds: p50 / p99 / p99.9, medians of the rounds. The rate is the same for all: half of what the slowest "
        "proxy reached. Where a round has less than 1,000 requests, its p99.9 is the slowest of them.", "", *latency_grid(result), "",
        "### Memory", "", "The most resident memory under each load, in MB.", "",
        *system_grid(result, lambda figures: f"{figures['memory_kb'] / 1024:.1f}"), "",
        f"Resident memory with {result['idle_connections']:,} idle keep-alive connections, each after one request, in MB.",
        "", *idle_grid(result), "",
        "### System calls per request", "", "As `strace -c` counts them, which slows everything down.", "",
        *calls_grid(result)])


METHOD = """\
Each system runs on one thread (nginx: one process) between the same client and the same two backends (nginx processes
that answer from memory and the page cache), with keep-alive on both sides and without logs; the configurations are in
`scripts/bench.d`. Where there are two processors or more, a proxy has one to itself, and client and backends have the
rest. Within a round each has its turn with every workload, in new processes, and the order changes from round to
round. CPU time is what the kernel accounts to the proxy from the first request to the last answer, after a fifth of a
second of warm-up on the same connections; the total is exact, its parts user and system are sampled. The client
checks status and length of every answer. At the fixed rate it sends each request when it is due, whatever became of
the ones before, and latency counts from when it was due to its answer's last byte: the time a request waits for a
free connection is in it. HAProxy with splice is left out where no body is large enough for it, and the floor where a
proxy would reuse a backend connection: it is a forwarder that looks at nothing, two receives and two sends a request."""


def grid(head, rows):
    """A table of Markdown."""
    line = lambda cells: "| " + " | ".join(cells) + " |"
    return [line(head), "|" + "---|" * len(head), *map(line, rows)]


def system_grid(result, show, more_head=(), more=lambda workload, found: ()):
    """A row for each workload, a column for each system."""
    cells = lambda found: [show(found["systems"][name]) if name in found["systems"] else "" for name in SYSTEMS]
    rows = [[workload.title, *cells(found), *more(workload, found)] for workload, found in measured(result)
            if any(cells(found))]
    return grid(["", *(title for title, _ in SYSTEMS.values()), *more_head], rows)


def cpu_grid(result):
    """CPU time."""
    def show(figures):
        return (f"{figures['user_us']:.1f} + {figures['system_us']:.1f} = {figures['cpu_us']:.1f} "
                f"({figures['cpu_min_us']:.1f} to {figures['cpu_max_us']:.1f})")

    def more(_workload, found):
        ratio = found["ratios"][found["best"]]
        return [f"**{ratio['median']:.2f}** of {SYSTEMS[found['best']][0]} ({ratio['min']:.2f} to {ratio['max']:.2f})"]
    return system_grid(result, show, ["ratio"], more)


def latency_grid(result):
    """Latency."""
    def show(figures):
        rate = figures.get("rate")
        return " / ".join(f"{rate[key]:,.0f}" for key in LATENCIES) if rate else ""
    return system_grid(result, show, ["requests/s"],
                       lambda workload, _found: [f"{result['workloads'][workload.name]['rate_per_s']:,}"])


def calls_grid(result):
    """System calls, where they were counted."""
    return system_grid(result, lambda figures: f"{figures['calls']:.2f}" if "calls" in figures else "")


def idle_grid(result):
    """Memory with idle connections."""
    names = [name for name in IDLE_SYSTEMS if name in result["idle"]]
    return grid(["", *(SYSTEMS[name][0] for name in names)],
                [[row, *(f"{result['idle'][name][key] / 1024:.1f}" for name in names)]
                 for row, key in (("before", "before_kb"), ("with them", "with_kb"))])


def versions_list(result):
    """The versions as a list."""
    return [f"- {name}: {version}" for name, version in result["versions"].items()]


def replace_section(file, name, body):
    """Writes `body` between the marks `name` of the file; the rest of it stays. Creates the file if need be."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    old = file.read_text() if file.exists() else HEADER
    before, found, rest = old.partition(start)
    if found and end not in rest:
        raise ValueError(f"{file}: {start} without {end}")
    after = rest.partition(end)[2] if found else "\n"
    if not found:
        before = before.rstrip("\n") + "\n\n"
    file.write_text(f"{before}{start}\n{body}\n{end}{after}")


HEADER = "# Benchmarks\n\nScripts write the sections below: to change a figure, run the script again.\n"
