"""SVG: how many times better PeerMesh is, row by row, against NATS and against the chain; and how cost grows.

In the first, to the right is better, whatever the unit; a dot is the median, the line goes from the least to the most, a
tick is what is wanted. Plain SVG with a style sheet of its own, readable on light and dark pages, like the plots of tests/sim.
"""

import html
import math

PAINTS = {  # name: (light, dark)
    "page": ("#ffffff", "#14181d"), "ink": ("#1f2933", "#e6eaee"), "soft": ("#66727f", "#9aa6b2"),
    "grid": ("#e4e8ec", "#2a3138"), "blue": ("#2f6fb3", "#6aa9e9"), "amber": ("#d08a1d", "#e7b04f"),
    "green": ("#2e8b67", "#5cc29b"),
}
LEFT, WIDTH, PAGE, ROW, TOP = 370, 540, 1130, 26, 96
STEPS = (0.25, 0.5, 1, 2, 4, 8)


def style():
    def rules(which):
        return "".join(f".f-{name}{{fill:{paint[which]}}}.s-{name}{{stroke:{paint[which]}}}"
                       for name, paint in PAINTS.items())
    return ("text{font:12px system-ui,'Segoe UI','DejaVu Sans',sans-serif}text.title{font-size:17px;font-weight:600}"
            f"{rules(0)}@media(prefers-color-scheme:dark){{{rules(1)}}}")


def place(times):
    share = math.log(max(min(times, STEPS[-1]), STEPS[0]) / STEPS[0]) / math.log(STEPS[-1] / STEPS[0])
    return LEFT + WIDTH * share


def text(x, y, what, anchor="start", kind="f-soft"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(what)}</text>'


def better(figure, ratio):
    """A ratio as "times better", least first."""
    return ratio if figure.better == "higher" else tuple(1 / value if value else STEPS[-1] for value in reversed(ratio))


def mark(ratio, y, colour):
    least, median, most = (place(value) for value in ratio)
    return (f'<line x1="{least:.1f}" y1="{y}" x2="{most:.1f}" y2="{y}" class="s-{colour}" stroke-width="2"/>'
            f'<circle cx="{median:.1f}" cy="{y}" r="4.5" class="f-{colour}"/>')


def draw(rows, facts):
    body, y = [], TOP
    for row in rows:
        for figure in row.workload.figures:
            nats, chain = (row.ratio(other, figure.name) for other in ("NATS", "chain"))
            if not nats and not chain:
                continue
            what = row.workload.title + (f": {figure.name}" if len(row.workload.figures) > 1 else "")
            body.append(text(LEFT - 12, y + 4, what, "end", "f-ink"))
            if figure.goal and nats:
                goal = figure.goal[0] if figure.better == "higher" else 1 / figure.goal[0]
                x = place(goal)
                body.append(f'<line x1="{x:.1f}" y1="{y - 8}" x2="{x:.1f}" y2="{y + 8}" class="s-green" stroke-width="2"/>')
            if chain:
                body.append(mark(better(figure, chain), y + 5, "amber"))
            if nats:
                body.append(mark(better(figure, nats), y - (3 if chain else 0), "blue"))
                body.append(text(LEFT + WIDTH + 14, y + 4, f"{better(figure, nats)[1]:.2f} x NATS"))
            y += ROW
    grid = []
    for step in STEPS:
        x = place(step)
        grid.append(f'<line x1="{x:.1f}" y1="{TOP - 14}" x2="{x:.1f}" y2="{y - ROW + 14}" class="s-grid" '
                    f'stroke-width="{2 if step == 1 else 1}"/>')
        grid.append(text(x, y + 6, f"{step:g} x", "middle"))
    legend = [text(24, 30, "PeerMesh beside NATS and bare gRPC", kind="title f-ink"),
              text(24, 50, f"{facts['processor']}, {facts['cores']} cores; {facts['date'][:10]}; {facts['pairs']} "
                           "interleaved runs of each; to the right is better"),
              f'<circle cx="{LEFT}" cy="68" r="4.5" class="f-blue"/>', text(LEFT + 10, 72, "against NATS"),
              f'<circle cx="{LEFT + 120}" cy="68" r="4.5" class="f-amber"/>',
              text(LEFT + 130, 72, "against the raw gRPC chain"),
              f'<line x1="{LEFT + 320}" y1="60" x2="{LEFT + 320}" y2="76" class="s-green" stroke-width="2"/>',
              text(LEFT + 330, 72, "wanted against NATS")]
    return page(legend + grid + body, y + 24)


def page(parts, height):
    parts = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {PAGE} {height}" width="{PAGE}" height="{height}">\n'
            f'<style>{style()}</style>\n<rect width="100%" height="100%" class="f-page"/>\n{parts}\n</svg>\n')


# --- Growth ---

PANEL, GAP = 300, 62
COLOURS = {"PeerMesh": "blue", "NATS": "amber"}
AXES = {"bytes": "bytes of payload", "subscriptions": "subscriptions", "servers": "servers with a subscriber"}


def short(value, what):
    units = (("Mi", 1 << 20), ("Ki", 1 << 10)) if what == "bytes" else (("k", 1000),)
    for unit, size in units:
        if value >= size * 0.99:
            return f"{value / size:.2g}{unit}" if value < 10 * size else f"{value / size:.0f}{unit}"
    return f"{value:g}"


def panel(left, what, rows):
    """CPU of all processes for a million messages against what grows, both axes logarithmic."""
    top, bottom = TOP + 20, TOP + 20 + PANEL
    lines = {name: [(row.workload.growth[1], row.median(name, "cpu_all")) for row in rows
                    if row.median(name, "cpu_all")] for name in COLOURS}
    points = [point for line in lines.values() for point in line]
    if not points:
        return []
    most_x = max(x for x, _ in points)
    least_x = min(min(x for x, _ in points), most_x / 2)
    low = 10 ** math.floor(math.log10(min(y for _, y in points)))
    high = 10 ** math.ceil(math.log10(max(y for _, y in points)) + 1e-9)
    at_x = lambda x: left + PANEL * math.log(x / least_x) / math.log(most_x / least_x)
    at_y = lambda y: bottom - PANEL * math.log(y / low) / math.log(high / low)
    parts = [text(left, top - 12, f"CPU s per million, by {AXES[what]}", kind="f-ink")]
    value = low
    while value <= high * 1.001:
        parts.append(f'<line x1="{left}" y1="{at_y(value):.1f}" x2="{left + PANEL}" y2="{at_y(value):.1f}" class="s-grid"/>')
        parts.append(text(left - 8, at_y(value) + 4, f"{value:g}", "end"))
        value *= 10
    for x in sorted({x for x, _ in points}):
        parts.append(text(at_x(x), bottom + 18, short(x, what), "middle"))
    for name, line in lines.items():
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" class="s-{COLOURS[name]}" stroke-width="2"/>')
        parts += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3.5" class="f-{COLOURS[name]}"/>' for x, y in line]
    return parts


def draw_growth(rows, facts):
    parts = [text(24, 30, "How cost grows", kind="title f-ink"),
             text(24, 50, f"{facts['processor']}, {facts['cores']} cores; {facts['date'][:10]}; all processes: servers, "
                          "publisher, subscribers")]
    for i, (name, colour) in enumerate(COLOURS.items()):
        parts.append(f'<circle cx="{28 + 100 * i}" cy="68" r="4.5" class="f-{colour}"/>')
        parts.append(text(38 + 100 * i, 72, name))
    for i, what in enumerate(AXES):
        parts += panel(60 + i * (PANEL + GAP), what, [row for row in rows if row.workload.growth[0] == what])
    return page(parts, TOP + PANEL + 60)
