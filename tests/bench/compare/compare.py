#!/usr/bin/python3
"""PeerMesh beside NATS and bare gRPC, on one machine, in one run.

    compare.py [--quick] [--growth] [--pairs N] [--scale X] [--only NAME ...] [--out DIRECTORY] [--build DIRECTORY] [--list]

What is compared (systems.py, chain.cc): an application talks to its own server, that one by mutual TLS over loopback to
another, that one to its application. PeerMesh: two peermeshd and the C++ client library. NATS: two nats-server and its C
client library. The chain: two forwarders of bare gRPC that pass frames on unread, which is what our own work is measured
against. Without TLS, applications of PeerMesh and the chain use unix sockets and those of NATS loopback TCP, because that
is what each offers; the `tls` rows have TCP and mutual TLS everywhere.

The same for all (load.h, roles.cc): payloads, their number, one publishing call for a message, the check of every message
at every subscriber (whole, once, in order), and where time is taken: at the subscribers, without the first and the last of
the messages, a tenth each, while the system fills and runs empty. A run that loses or reorders a message is void. So is one in which NATS cut a slow consumer.

Batching is each client library's own. Back-pressure: PeerMesh's subscribers say BLOCK, and its window holds publishers back;
the chain has HTTP/2's. NATS has none between publishers and subscribers: its publishers count what the subscribers have
taken in memory that both map, which costs NATS no message, no byte and no wake-up: flow control that a real application
would have to pay for. How much may be under way, and the buffers of its client library, are tried at the start of each row
of the first kind and the best is taken (systems.py); likewise the chain's records in a frame. PeerMesh is as it comes.

Systems take turns, A B C A B C ..., --pairs times; what is printed of a row is the ratio of the neighbours, least, median
and most, and the median of each figure. CPU is that of all processes, servers, publishers and subscribers, in seconds for a
million messages delivered, untimed ones included. Memory is the most each process had in a run. Absolute figures belong to
the machine and the moment: quote them with the ratio or not at all.

--growth measures instead how cost grows with the size of messages, the number of subscriptions and that of servers.

Writes compare.json, .md and .svg (or growth.*) into --out (default: bench-results in the build directory). --quick is a
fifth of everything in under two minutes, which asserts that no run is void and, loosely, that nothing is far behind. The
exit code is 1 if a run was void or, with --quick, a floor was missed.
"""

import argparse
import atexit
import collections
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
# A machine that others use too is at times twice as slow; what is far below one on it is broken.
FLOOR = 0.4


def arguments():
    parser = argparse.ArgumentParser(description="PeerMesh beside NATS and bare gRPC. The head of this file says how.")
    parser.add_argument("--quick", action="store_true", help="a fifth of everything; asserts correctness")
    parser.add_argument("--growth", action="store_true", help="how cost grows, instead of the comparison")
    parser.add_argument("--pairs", type=int, help="runs of each system and row (default: 5; with --quick 2)")
    parser.add_argument("--scale", type=float, help="messages, as a multiple of the full form's")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="rows, or beginnings of their names")
    parser.add_argument("--out", type=pathlib.Path, help="directory for what is written")
    parser.add_argument("--build", type=pathlib.Path, default=os.environ.get("PEERMESH_BUILD_DIR", ROOT / "build"))
    parser.add_argument("--list", action="store_true", help="print the names of the rows and end")
    options = parser.parse_args()
    options.pairs = options.pairs or (2 if options.quick else 5)
    options.scale = options.scale or (0.2 if options.quick else 1.0)
    options.build = pathlib.Path(options.build).resolve()
    if not (options.build / "bench/load_peermesh").exists():
        parser.error(f"{options.build} holds no build of the tests; name it with --build or PEERMESH_BUILD_DIR")
    options.out = options.out or options.build / "bench-results"
    return options


def copied(build):
    """Copies of all programs, so that one run measures one build whatever is built meanwhile."""
    copy = pathlib.Path(tempfile.mkdtemp(prefix="peermesh-bench."))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for program in ("bin/peermeshd", "bin/peermesh", "bin/peermesh-ca", "bench/load_peermesh", "bench/load_nats",
                    "bench/chain"):
        if (build / program).exists():
            (copy / program).parent.mkdir(exist_ok=True)
            shutil.copy2(build / program, copy / program)
    return copy


OPTIONS = arguments()
PROGRAMS = copied(OPTIONS.build)
os.environ["PEERMESH_BIN"] = str(PROGRAMS / "bin")
sys.path[:0] = [str(ROOT / "tests/integration"), str(OPTIONS.build / "tests/integration/stubs")]

import chart  # noqa: E402
import harness  # noqa: E402
import systems  # noqa: E402
import tables  # noqa: E402
from programs import Void  # noqa: E402
from workloads import GROWTH, WORKLOADS, Bench, one_to_one  # noqa: E402


class Session:
    """The systems that run now, and what has been measured."""

    def __init__(self, bench, kinds):
        self.bench, self.kinds = bench, kinds
        self.shape, self.running = None, []
        self.rows = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for system in self.running:
            system.close()
        self.shape, self.running = None, []

    def systems(self, workload):
        """Those that can run it, started in its shape."""
        servers = min(workload.servers, 4) if OPTIONS.quick else workload.servers
        shape = (servers, workload.tls)
        if self.shape != shape:
            self.stop()
            self.shape = shape
            for kind in self.kinds:
                if kind is not systems.Chain or shape == (2, False):
                    self.running.append(kind(self.bench.programs, *shape))
        return [system for system in self.running if workload.chain or system.name != "chain"]

    def measure(self, workload):
        row = Row(workload)
        self.rows.append(row)
        contestants = self.systems(workload)
        if workload.tuned:
            for system in contestants:
                self.tune(system, workload, row)
        if workload.name == "echo_loaded":
            self.bench.load_rate = self.half_of_nats()
        for _ in range(1 if workload.name == "at_rest" else OPTIONS.pairs):
            for system in contestants:
                row.add(system.name, lambda system=system: workload.run(system, self.bench))
        return row

    def tune(self, system, workload, row):
        """Half a run with every setting the system may have; the best is what its runs use. --quick takes the first."""
        tried = {}
        settings = system.settings(workload.size)
        if OPTIONS.quick:
            self.bench.settings[system.name, workload.size] = settings[0]
            return
        short = Bench(self.bench.programs, self.bench.scale / 2)
        for setting in settings if len(settings) > 1 else []:
            try:
                tried[setting] = one_to_one(workload.size)(system, short, setting)["rate"]
            except Void as fault:
                print(f"  {system.name} with {setting}: void: {fault}", flush=True)
        if tried:
            best = max(tried, key=tried.get)
            self.bench.settings[system.name, workload.size] = best
            row.settings[system.name] = {"best": best, "tried": {str(name): value for name, value in tried.items()}}

    def half_of_nats(self):
        """Half of what NATS carried one to one at 128 B in this run, or of what it carries now; without it, of ours."""
        for row in self.rows:
            if row.workload.name == "one_128" and row.values("NATS", "rate"):
                return int(row.median("NATS", "rate") / 2)
        system = next((system for system in self.running if system.name == "NATS"), self.running[0])
        return int(one_to_one(128)(system, self.bench)["rate"] / 2)


class Row:
    """All runs of one workload."""

    def __init__(self, workload):
        self.workload = workload
        self.runs = collections.defaultdict(list)  # system -> figures of a run, None of a void one
        self.void = []
        self.settings = {}

    def add(self, name, run):
        try:
            self.runs[name].append(run())
        except (Void, AssertionError) as fault:  # the second: something was waited for in vain
            self.runs[name].append(None)
            self.void.append(f"{name}: {fault}")
            print(f"  void: {self.void[-1]}", flush=True)

    def values(self, system, figure):
        return [run[figure] for run in self.runs[system] if run]

    def median(self, system, figure):
        values = self.values(system, figure)
        return statistics.median(values) if values else None

    def ratio(self, other, figure):
        """(least, median, most) of PeerMesh's figure divided by that of its neighbour; None without any."""
        pairs = zip(self.runs["PeerMesh"], self.runs[other])
        ratios = sorted(ours[figure] / theirs[figure] for ours, theirs in pairs if ours and theirs and theirs[figure])
        return (ratios[0], statistics.median(ratios), ratios[-1]) if ratios else None

    def as_json(self):
        figures = {figure.name: {"unit": figure.unit, "better": figure.better,
                                 **{f"ratio_to_{other}": self.ratio(other, figure.name) for other in ("NATS", "chain")},
                                 "median": {name: self.median(name, figure.name) for name in self.runs}}
                   for figure in self.workload.figures}
        return {"name": self.workload.name, "title": self.workload.title, "figures": figures, "runs": self.runs,
                "void": self.void, "settings": self.settings}


def machine():
    model = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release(), "machine": platform.machine(),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "load_before": os.getloadavg()[0], "pairs": OPTIONS.pairs, "scale": OPTIONS.scale}


def missed(rows):
    """Rows that are far behind NATS."""
    found = []
    for row in rows:
        for figure in row.workload.figures:
            ratio = row.ratio("NATS", figure.name)
            if ratio is None or not row.workload.name.startswith(("one_", "tls_", "fan_")):
                continue
            if ratio[1] < FLOOR:
                found.append(f"{row.workload.title}: {ratio[1]:.2f} of NATS, far below one")
    return found


def main():
    chosen = [workload for workload in (GROWTH if OPTIONS.growth else WORKLOADS)
              if not OPTIONS.only or workload.name.startswith(tuple(OPTIONS.only))]
    if OPTIONS.list:
        print("\n".join(f"{workload.name:14} {workload.title}" for workload in chosen))
        return 0
    kinds = [systems.PeerMesh, systems.Nats, systems.Chain]
    if not systems.find_server() or not (PROGRAMS / "bench/load_nats").exists():
        print("SKIP: rows against NATS: nats-server or libnats-dev is not installed (deploy/install-deps test)")
        kinds.remove(systems.Nats)
    facts = machine()
    print(tables.heading(facts), flush=True)
    with Session(Bench(PROGRAMS / "bench", OPTIONS.scale), kinds) as session:
        for workload in chosen:
            began = time.monotonic()
            row = session.measure(workload)
            print(f"{tables.details(row)}\n  ({time.monotonic() - began:.1f} s)", flush=True)
        rows = session.rows
    OPTIONS.out.mkdir(parents=True, exist_ok=True)
    out = OPTIONS.out / ("growth" if OPTIONS.growth else "compare")
    out.with_suffix(".json").write_text(
        json.dumps({"machine": facts, "rows": [row.as_json() for row in rows]}, indent=1) + "\n")
    out.with_suffix(".md").write_text(tables.summary(rows))
    out.with_suffix(".svg").write_text((chart.draw_growth if OPTIONS.growth else chart.draw)(rows, facts))
    print(f"\n{tables.summary(rows)}\nwritten to {OPTIONS.out}")
    faults = [fault for row in rows for fault in row.void]
    if OPTIONS.quick and not harness.SANITIZED:
        faults += missed(rows)
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
