"""The picture, like the slide's: servers to the right, throughput upwards; the straight line in red, what scattering gives in
blue, ours beside them."""

import html

from answer import ceiling
from parts import LINEAR, OBSERVED, WAYS

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 440, 64, 318, 78, 84
INK, FAINT, GRID = "#24292f", "#57606a", "#e6e8eb"
RED, BLUE = "#c62828", "#1f5fbf"
# Color, dashes, and whether points are only marked.
LOOKS = {"random": (BLUE, "", False), "roundrobin": (BLUE, "", True), "haproxy": ("#0f766e", "", True),
         "affinity": ("#b26a00", "6 4", False), "maxconn": ("#7b4fb5", "6 4", False), "both": ("#1a7f37", "", False),
         "wait": ("#5a9e3a", "2 4", False), "arm": (INK, "", True)}


def text(x, y, words, size=12, anchor="start", color=INK, weight="normal", more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}" '
            f'font-weight="{weight}"{more}>{html.escape(words)}</text>')


def draw(answer):
    """The whole picture."""
    most_x = 40
    most_y = ceiling(max([LINEAR(most_x), *(rate for rates in answer.rates.values() for rate in rates.values())]))
    x = lambda count: LEFT + count / most_x * WIDTH  # noqa: E731
    y = lambda rate: TOP + HEIGHT - rate / most_y * HEIGHT  # noqa: E731
    whole_width, whole_height = LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole_width} {whole_height}" width="{whole_width}" '
           f'height="{whole_height}" font-family="DejaVu Sans, Verdana, sans-serif">',
           f'<rect width="{whole_width}" height="{whole_height}" fill="white"/>',
           text(LEFT - 40, 30, "What a shop serves, by the number of its servers", 18, weight="bold"),
           text(LEFT - 40, 52, f"{answer.values['goal.percentile']} % of the pages within {answer.goal_s:g} s; in the units of the "
                "keynote's slide, whose straight line is 1 a server", 12, color=FAINT)]
    for rate in range(0, most_y + 1, 5):
        out.append(f'<line x1="{x(0)}" y1="{y(rate):.1f}" x2="{x(most_x)}" y2="{y(rate):.1f}" stroke="{GRID if rate else INK}"/>')
        out.append(text(x(0) - 8, y(rate) + 4, str(rate), 12, "end"))
    for count in (1, *range(5, most_x + 1, 5)):
        out.append(f'<line x1="{x(count):.1f}" y1="{y(0)}" x2="{x(count):.1f}" y2="{y(0) + 5}" stroke="{INK}"/>')
        out.append(text(x(count), y(0) + 20, str(count), 12, "middle"))
    out.append(text(x(most_x / 2), y(0) + 42, "application servers", 13, "middle"))
    labels = []
    curve = lambda of, color, more: out.append(  # noqa: E731
        f'<polyline fill="none" stroke="{color}" {more} points="'
        + " ".join(f"{x(step / 2):.1f},{y(of(step / 2)):.1f}" for step in range(2 * most_x + 1)) + '"/>')
    curve(LINEAR, RED, 'stroke-width="2.5"')
    labels.append((LINEAR(most_x), "the slide's straight line", RED))
    curve(OBSERVED, BLUE, 'stroke-width="8" stroke-opacity="0.16"')
    for way, rates in ((way, answer.rates[way]) for way in WAYS if way in answer.rates):
        color, dashes, only_marks = LOOKS[way]
        points = [(x(count), y(rate)) for count, rate in rates.items()]
        if not only_marks:
            line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
            out.append(f'<polyline fill="none" stroke="{color}" stroke-width="2.5" stroke-dasharray="{dashes}" points="{line}"/>')
        out += [mark(way, a, b, color) for a, b in points]
        last = max(rates)
        # The words stand at the right edge, so a line that ends before it has none.
        if last == most_x and (way in ("random", "arm") or not only_marks):
            labels.append((rates[last], WAYS[way].title, color))
    out += place(labels, x(most_x) + 12, y)
    note = ["Wide and light blue: what the slide shows was observed, 0.75 n - 0.0125 n²."]
    marks = [("arm", "crosses: the armv7 binary, emulated"), ("haproxy", "squares: scattered by HAProxy"),
             ("roundrobin", "circles: scattered in turn")]
    note.append("; ".join(words for way, words in marks if way in answer.rates))
    out += [text(LEFT - 40, whole_height - 24 + 16 * row, line[:1].upper() + line[1:], 11, color=FAINT) for row, line in enumerate(note)]
    return "\n".join(out + ["</svg>", ""])


def mark(way, x, y, color):
    """One point."""
    if way == "arm":
        return (f'<path d="M{x - 5:.1f} {y - 5:.1f} l10 10 m0 -10 l-10 10" stroke="{color}" stroke-width="1.6" fill="none"/>')
    if way == "haproxy":
        return (f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="none" stroke="{color}" stroke-width="1.6"/>')
    if way == "roundrobin":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke="{color}" stroke-width="1.6"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>'


def place(labels, left, y):
    """The words at the ends of the lines, moved apart where they would lie on each other."""
    out, above = [], None
    for rate, words, color in sorted(labels, reverse=True):
        at = y(rate) + 4 if above is None else max(y(rate) + 4, above + 16)
        above = at
        out.append(text(left, at, words, 12, color=color, weight="bold"))
    return out
