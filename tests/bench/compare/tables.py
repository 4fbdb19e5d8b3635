"""What is printed: the details of a row, and one table of all ratios in Markdown."""


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def times(ratio):
    """(least, median, most) as text."""
    return "-" if ratio is None else f"{ratio[1]:.2f} ({ratio[0]:.2f} to {ratio[2]:.2f})"


def reached(figure, ratio, goal):
    if not goal or not ratio:
        return ""
    better = ratio[1] >= goal[0] if figure.better == "higher" else ratio[1] <= goal[0]
    bound = ">=" if figure.better == "higher" else "<="
    return f"{'reached' if better else 'NOT REACHED'}: {bound} {goal[0]} wanted, {goal[1]} dreamt of"


def heading(facts):
    return (f"{facts['processor']}, {facts['cores']} cores, Linux {facts['kernel']}; {facts['date']}; load average "
            f"{facts['load_before']:.1f}; {facts['pairs']} runs of each, {facts['scale']:g} of the full length")


def medians(runs, part):
    """Medians by name of a dictionary that every run has."""
    runs = [run[part] for run in runs if run and part in run]
    if not runs:
        return {}
    middle = lambda values: sorted(values)[len(values) // 2]
    return {name: middle([run[name] for run in runs]) for name in runs[0]}


def details(row):
    workload = row.workload
    lines = [f"\n{workload.name}: {workload.title}"]
    for name, runs in row.runs.items():
        figures = [f"{number(row.median(name, figure.name))} {figure.unit}" if figure.better == "higher" or
                   len(workload.figures) == 1 else f"{figure.name} {number(row.median(name, figure.name))} {figure.unit}"
                   for figure in workload.figures]
        if any(run and "mb_s" in run for run in runs):
            figures.append(f"{number(row.median(name, 'mb_s'))} MB/s")
        lines.append(f"  {name:9} {'  '.join(figures)}")
        cpu = medians(runs, "cpu")
        if cpu:
            parts = ", ".join(f"{process} {value:.3g}" for process, value in cpu.items())
            lines.append(f"            CPU s per million {sum(cpu.values()):.3g}: {parts}")
        memory = medians(runs, "memory")
        if memory:
            lines.append("            MB at most " + ", ".join(f"{process} {kb / 1024:.0f}" for process, kb in memory.items()))
    for name, found in row.settings.items():
        lines.append(f"            {name} uses {found['best']}")
    for figure in workload.figures:
        for other, goal in (("NATS", figure.goal), ("chain", figure.chain)):
            ratio = row.ratio(other, figure.name)
            if ratio:
                lines.append(f"  PeerMesh / {other}, {figure.name}: {times(ratio)}  {reached(figure, ratio, goal)}")
        value = row.median("PeerMesh", figure.name)
        if figure.own and value is not None:
            lines.append(f"  PeerMesh, {figure.name}: {number(value)}  {reached(figure, (value,) * 3, figure.own)}")
    return "\n".join(lines)


def summary(rows):
    lines = ["| workload | unit | PeerMesh | NATS | chain | PeerMesh / NATS (min to max) | PeerMesh / chain |",
             "|---|---|---|---|---|---|---|"]
    for row in rows:
        for figure in row.workload.figures:
            cells = [number(row.median(name, figure.name)) if name in row.runs else ""
                     for name in ("PeerMesh", "NATS", "chain")]
            ratios = [times(row.ratio(other, figure.name)) if other in row.runs else "" for other in ("NATS", "chain")]
            what = row.workload.title + (f": {figure.name}" if len(row.workload.figures) > 1 else "")
            lines.append(f"| {' | '.join([what, figure.unit, *cells, *ratios])} |")
    return "\n".join(lines) + "\n"
