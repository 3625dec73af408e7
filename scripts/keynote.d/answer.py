"""What the runs come to: how many servers do the same work, from how many on it pays, what it costs in watts; as text for
the screen, and as the section of docs/keynote.md."""

import math

from parts import OBSERVED, SLIDE, WAYS, number

# Which way answers the question of how many servers do the same work.
OURS = "both"


class Answer:
    """The figures, in the slide's units."""

    def __init__(self, figures, values):
        self.values, self.figures = values, figures
        self.unit, self.goal_s = number(values, "unit"), number(values, "goal") / 1000
        self.rates = {way: {count: of["pages_per_s"] / self.unit for count, of in sorted(by_count.items())}
                      for way, by_count in figures.items()}

    def at(self, way, count):
        """Throughput with so many servers, also between those that were measured; none beyond."""
        points = [(0, 0.0), *self.rates[way].items()]
        for (left, low), (right, high) in zip(points, points[1:]):
            if left <= count <= right:
                return low + (high - low) * (count - left) / (right - left)
        return None

    def range(self, way, count):
        """The least and the most of several runs, in words."""
        each = sorted(rate / self.unit for rate in self.figures[way].get(count, {}).get("each", []))
        return f" ({each[0]:.2f} to {each[-1]:.2f} in {len(each)} runs)" if len(each) > 1 else ""

    def enough(self, way, rate):
        """The least whole number of servers that reach a rate; none when it was never reached."""
        most = max(self.rates[way], default=0)
        return next((count for count in range(1, most + 1) if self.at(way, count) >= rate), None)

    def same_work(self):
        """For each number of scattered servers: their rate, how many of ours do as much, and watts of both."""
        rows = []
        for count, rate in self.rates.get("random", {}).items():
            ours = self.enough(OURS, rate) if OURS in self.rates else None
            if ours:
                server, board = number(self.values, "watts.server"), number(self.values, "watts.board")
                rows.append((count, rate, ours, count * server, ours * server + board))
        return rows

    def pays_from(self, machines):
        """The least number of servers from which on one machine or more is saved, when balancing takes `machines` of them;
        numbers between two that were measured count, too."""
        saved = {}
        for count in range(1, max(self.rates.get("random", {0: 0})) + 1):
            ours = self.enough(OURS, self.at("random", count)) if OURS in self.rates else None
            if ours:
                saved[count] = count - ours - machines
        lasting = [count for count in saved if all(more >= 1 for other, more in saved.items() if other >= count)]
        return min(lasting, default=None)

    # The parts of the page

    def fit(self):
        """The scattered runs against the slide."""
        rows = [[str(count), f"{OBSERVED(count):.2f}", *(self.against(way, count) for way in ("random", "roundrobin", "haproxy"))]
                for count in SLIDE]
        return grid(["servers", "the slide", "at random", "in turn", "HAProxy, at random"], rows)

    def against(self, way, count):
        """A rate, and how far it is from the slide."""
        rate = self.rates.get(way, {}).get(count)
        return "" if rate is None else f"{rate:.2f} ({(rate / OBSERVED(count) - 1) * 100:+.0f} %)"

    def table(self, show):
        """A row for each number of servers, a column for each way."""
        ways = [way for way in WAYS if way in self.rates]
        counts = sorted({count for way in ways for count in self.rates[way]})
        cell = lambda way, count: show(way, count) if count in self.rates[way] else ""  # noqa: E731
        return grid(["servers", *(WAYS[way].title for way in ways)],
                    [[str(count), *(cell(way, count) for way in ways)] for count in counts])

    def throughput(self):
        return self.table(lambda way, count: f"{self.rates[way][count]:.2f}")

    def most(self):
        """The most at any load within the goal, not only at the heaviest."""
        return self.table(lambda way, count: f"{self.figures[way][count]['best_per_s'] / self.unit:.2f}")

    def users(self):
        return self.table(lambda way, count: f"{self.figures[way][count]['users']:.0f}")

    def hits(self):
        return self.table(lambda way, count: f"{self.figures[way][count]['hits_percent']:.0f} %")

    def calls(self):
        return self.table(lambda way, count: f"{self.figures[way][count]['calls_per_s']:.0f}/s")

    def in_flight(self):
        return self.table(lambda way, count: str(self.figures[way][count]["in_flight"]))

    def cpu(self):
        """CPU time of the balancer for a page, as a part of HAProxy's in mode tcp."""
        if "haproxy" not in self.figures:
            return []

        def show(way, count):
            theirs, ours = self.figures["haproxy"].get(count), self.figures[way][count]
            if theirs is None or WAYS[way].arm:
                return ""
            # Only figures of the same time can be compared; of earlier ones the part itself was kept.
            if "cpu_us" in theirs and "cpu_us" in ours:
                return f"{ours['cpu_us'] / theirs['cpu_us']:.2f}"
            return f"{ours['cpu_part']:.2f}" if "cpu_part" in ours and "cpu_part" in theirs else ""
        return self.table(show)

    def users_line(self):
        """What was counted exactly."""
        every = [(way, of) for way, by_count in self.figures.items() for of in by_count.values()]
        whole = [(way, of["counted"] | {"runs": len(of["each"])}) for way, of in every if "counted" in of]
        total = lambda key, ways=WAYS: sum(counted[key] for way, counted in whole if way in ways)  # noqa: E731
        bound = [way for way in WAYS if WAYS[way].bound and way != "wait"]
        limited = [of["in_flight"] for way, of in every if WAYS[way].limited]
        said = (f"{total('runs')} runs, {total('pages'):,} pages, {total('users'):,} users, {total('errors')} pages that did not "
                "come. In every run the servers' misses, the calls of the database and the pairs of a user and a server he came to for "
                f"the first time are the same number. With affinity {total('pairs', bound) - total('users', bound)} of "
                f"{total('users', bound):,} users moved")
        if total("users", ["wait"]):
            elsewhere = total("pairs", ["wait"]) - total("users", ["wait"])
            said += f"; with the bounded wait {elsewhere:,} times one of {total('users', ['wait']):,} users went to another server for once"
        said += f"; with maxconn = {self.values['maxconn']} no server ever had more than {max(limited)} requests." if limited else "."
        earlier = [f"{WAYS[way].title} with {listed(counts)}" for way in WAYS
                   if (counts := [count for count, of in self.figures.get(way, {}).items() if "counted" not in of])]
        if earlier:
            said += (" From earlier runs with the same shop, of which only the figures in these tables were kept and which are not "
                     f"among the counts above: {'; '.join(earlier)}.")
        return said

    def sentences(self):
        """The answer, as far as it was measured."""
        rows = self.same_work()
        if not rows:
            return ["Not measured yet."]
        said = []
        twenty, ten = self.rates["random"].get(20), self.at(OURS, 10)
        if twenty and ten:
            verdict = "at least as much" if ten >= twenty else f"{(1 - ten / twenty) * 100:.0f} % less"
            enough = next((f" As much as twenty do {ours}." for count, _, ours, *_ in rows if count == 20), "")
            said.append(f"Half the servers: ten behind beelance serve {ten:.2f}{self.range(OURS, 10)}, twenty scattered ones "
                        f"{twenty:.2f}{self.range('random', 20)}: {verdict}. "
                        f"The slide has {OBSERVED(20):.0f} for twenty.{enough}")
            if self.at(OURS, 20) is not None:
                said.append(f"The same twenty serve {self.at(OURS, 20) / twenty:.2f} times as much behind beelance.")
        for machines, what in ((1, "one of them becomes the balancer"), (0, "a board becomes the balancer")):
            found = self.pays_from(machines)
            said.append(f"When {what}, a server is saved from {found} servers on (the keynote: from four)." if found else
                        f"When {what}, no number of servers that was measured saves one.")
        return said

    def same_work_grid(self):
        rows = [[str(count), f"{rate:.2f}", str(ours), f"{ours / count * 100:.0f} %", f"{before:.0f}", f"{after:.1f}",
                 f"{before - after:.1f}"] for count, rate, ours, before, after in self.same_work()]
        return grid(["scattered servers", "serve", "servers behind beelance that do", "", "W before", "W after", "W saved"], rows)

    def text(self):
        """For the screen."""
        return "\n".join(["Throughput at the goal, in the slide's units:", *plain(self.throughput()), "", "Against the slide:",
                          *plain(self.fit()), "", *plain(self.same_work_grid()), "", *self.sentences(), "", self.users_line()])

    def section(self):
        """For the page, between its marks."""
        missing = [WAYS[way].title for way in WAYS if set(WAYS[way].counts) - set(self.rates.get(way, {}))]
        parts = ["![Throughput against the number of servers](keynote.svg)", "", *(f"- {line}" for line in self.sentences()), "",
                 self.users_line(), "",
                 *([f"Not measured whole in this run: {', '.join(missing)}.", ""] if missing else []),
                 "### The scattered runs against the slide", "", *self.fit(), "",
                 f"### Throughput with {self.values['goal.percentile']} % of the pages within {self.goal_s:g} s", "",
                 f"In the slide's units: 1.0 is {self.unit:g} pages a second of this shop.", "", *self.throughput(), "",
                 "Users on the site there:", "", *self.users(), "",
                 "That is the heaviest load that still meets the goal: a crowd grows whether the shop likes it or not. A shop without "
                 "limits serves more when fewer come, so this is the most that was served in any step within the goal:", "",
                 *self.most(), "",
                 "### How many servers do the same work", "",
                 f"A server is taken for {self.values['watts.server']} W, the board for {self.values['watts.board']} W.", "",
                 *self.same_work_grid(), "",
                 "### Session cache: hits", "", *self.hits(), "", "### Calls of the database", "", *self.calls(), "",
                 "### Most requests in flight at one server", "", *self.in_flight(), ""]
        if cpu := self.cpu():
            parts += ["### CPU time of the balancer per page", "",
                      "As a part of what HAProxy takes with as many servers (`mode tcp`; a page is a connection).", "", *cpu, ""]
        return "\n".join(parts).rstrip("\n")


def listed(counts):
    """Numbers of servers, in words."""
    *all_but_last, last = map(str, counts)
    return f"{', '.join(all_but_last)} and {last} servers" if all_but_last else f"{last} server{'s' * (last != '1')}"


def grid(head, rows):
    """A table of Markdown."""
    line = lambda cells: "| " + " | ".join(cells) + " |"  # noqa: E731
    return [line(head), "|" + "---|" * len(head), *map(line, rows)]


def plain(table):
    """The same for the screen, in columns."""
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table if not line.startswith("|---")]
    # An empty last cell is stripped with the bars.
    columns = max(len(row) for row in rows)
    rows = [row + [""] * (columns - len(row)) for row in rows]
    widths = [min(max(len(row[place]) for row in rows), 22) for place in range(columns)]
    return ["  ".join(cell[:22].rjust(width) for cell, width in zip(row, widths)) for row in rows]


def replace_section(file, name, body):
    """Writes `body` between the marks `name` of the file; the rest of it stays."""
    before, start, rest = file.read_text().partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not start or not end:
        raise ValueError(f"{file}: no marks <!-- {name} --> and <!-- /{name} -->")
    file.write_text(f"{before}{start}\n{body}\n{end}{after}")


def ceiling(value):
    """Up to the next five, for an axis."""
    return int(math.ceil(value / 5) * 5)
