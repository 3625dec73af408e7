"""The picture of a run: for each workload the CPU time per request of each system, and the ratio."""

import html

from report import measured, verdict
from workloads import IDLE_PROMISE_KB, IDLE_SYSTEMS, SYSTEMS

COLUMNS, WIDTH, GAP_X, GAP_Y = 3, 340, 28, 26
LEFT, TOP = 24, 84
# A panel: its names, its bars, the room for a figure behind the longest bar.
NAMES, BARS, BAR, STEP, HEAD = 104, 160, 15, 22, 44
PANEL = HEAD + 5 * STEP
INK, FAINT, KEPT, MISSED = "#24292f", "#57606a", "#1a7f37", "#b42318"


def text(x, y, words, size=12, anchor="start", color=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}" '
            f'font-weight="{weight}">{html.escape(words)}</text>')


def rectangle(x, y, width, height, color, opacity=1):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height}" fill="{color}" '
            f'fill-opacity="{opacity}"/>')


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{INK}" stroke-width="1"/>'


def panel(left, top, title, note, color, bars):
    """One workload. A bar: the system, its dark part, its length, its least and its most, and the figure behind it."""
    out = [text(left, top + 12, title, 14, weight="bold"), text(left, top + 30, note, 12, color=color)]
    longest = max(most for *_, most, _ in bars)
    start = left + NAMES
    at = lambda value: start + value / longest * BARS
    for place, (name, dark, length, least, most, figure) in enumerate(bars):
        y = top + HEAD + place * STEP
        label, color = SYSTEMS[name]
        out.append(text(start - 6, y + 12, label, 12, "end"))
        out.append(rectangle(start, y, at(dark) - start, BAR, color))
        out.append(rectangle(at(dark), y, at(length) - at(dark), BAR, color, 0.6))
        if most > least:
            out.append(line(at(least), y + BAR / 2, at(most), y + BAR / 2))
            out += [line(at(end), y + 4, at(end), y + BAR - 4) for end in (least, most)]
        out.append(text(at(max(most, length)) + 5, y + 12, figure, 12))
    return out


def cpu_panel(left, top, workload, found):
    """CPU time of one workload."""
    ratio, best = found["ratios"][found["best"]]["median"], SYSTEMS[found["best"]][0]
    note, color = f"{ratio:.2f} of {best}", INK
    if workload.promise:
        note += f", promised {workload.promise:.2f}: {verdict(workload.promise, ratio)}"
        color = KEPT if ratio <= workload.promise else MISSED
    bars = [(name, figures["user_us"], figures["cpu_us"], figures["cpu_min_us"], figures["cpu_max_us"],
             f"{figures['cpu_us']:.1f}") for name, figures in found["systems"].items()]
    return panel(left, top, workload.title, note, color, bars)


def idle_panel(left, top, result):
    """Memory with idle connections; dark is what there was before them."""
    own = result["idle"]["beelance"]["with_kb"]
    note = f"MB resident, promised {IDLE_PROMISE_KB / 1024:g}: {verdict(IDLE_PROMISE_KB, own)}"
    sizes = [(name, result["idle"][name]["before_kb"], result["idle"][name]["with_kb"]) for name in IDLE_SYSTEMS]
    bars = [(name, before, full, full, full, f"{full / 1024:.1f}") for name, before, full in sizes]
    return panel(left, top, f"{result['idle_connections']:,} idle connections", note,
                 KEPT if own <= IDLE_PROMISE_KB else MISSED, bars)


def draw(result):
    """The whole picture."""
    panels = [lambda left, top, each=each: cpu_panel(left, top, *each) for each in measured(result)]
    if result["idle"]:
        panels.append(lambda left, top: idle_panel(left, top, result))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = max(2 * LEFT + columns * (WIDTH + GAP_X) - GAP_X, 960)
    height = TOP + rows * (PANEL + GAP_Y) + 34
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           f'font-family="DejaVu Sans, Verdana, sans-serif">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           text(LEFT, 30, "CPU microseconds per request; less is better", 18, weight="bold"),
           text(LEFT, 52, f"{result['date']}, {result['machine']}", 12, color=FAINT)]
    for place, each in enumerate(panels):
        out += each(LEFT + place % columns * (WIDTH + GAP_X), TOP + place // columns * (PANEL + GAP_Y))
    out.append(text(LEFT, height - 32, "Dark: user, light: system time; with idle connections dark is what there was before "
                    "them. Lines: from the least to the most of the rounds.", 12, color=FAINT))
    out.append(text(LEFT, height - 14, "Ratio: beelance against the better peer, median of the rounds. " +
                    "; ".join(result["versions"][name] for name in ("beelance", "HAProxy", "nginx")), 12, color=FAINT))
    return "\n".join(out + ["</svg>", ""])
